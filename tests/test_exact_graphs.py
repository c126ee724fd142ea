"""With the same weights, more of our graph operators are PyG's: output and every gradient.

Axes: T tokens, E edges, D channels.
"""

import warnings

import pytest
import torch
from exactness import DTYPES, assert_exact
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import tokennet as tn
from tokennet import ops

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # PyG calls torch.jit.script at import
    from torch_geometric.nn import (
        GatedGraphConv,
        GCNConv,
        GINConv,
        GINEConv,
        GPSConv,
        PNAConv,
        SAGEConv,
    )  # fmt: skip

each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
draws = settings(max_examples=8, deadline=None)
seeds, sizes = st.integers(0, 10_000), st.integers(1, 7)
POOLS = {"mean": ops.segment_mean, "max": ops.segment_max, "sum": ops.segment_sum}


def _graph(tokens: int) -> tuple[Tensor, int]:
    """Random edges, some repeated, some self-loops; the last two tokens are isolated."""
    index = torch.randint(tokens, (2, 2 * tokens))
    return torch.cat([index, index[:, : tokens // 2 + 1]], 1), tokens + 2


def _both(*names: str) -> dict[str, str]:
    """Names of the weight and bias of modules, 'ours theirs' each."""
    pairs = [n.split() for n in names]
    return {f"{o}.{kind}": f"{t}.{kind}" for o, t in pairs for kind in ("weight", "bias")}


def _mlp(dim: int, out_dim: int) -> nn.Module:
    return nn.Sequential(nn.Linear(dim, 5), nn.Tanh(), nn.Linear(5, out_dim))


@each_dtype
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("normalize", [False, True], ids=["", "unit length"])
@draws
@given(seeds, sizes, sizes, st.integers(2, 7))
def test_sage(dtype, pool, normalize, seed, tokens, dim, out_dim):
    torch.manual_seed(seed)
    ours = tn.SAGEConvolution(dim, out_dim=out_dim, pool=POOLS[pool], normalize=normalize)
    theirs = SAGEConv(dim, out_dim, aggr=pool, normalize=normalize)
    names = {**_both("heard lin_l"), "own.weight": "lin_r.weight"}
    index, size = _graph(tokens)
    structure = tn.Structure.packed([size], edges=tn.Edges(index))
    x = torch.randn(size, dim, dtype=dtype)
    assert_exact(ours, theirs, names, lambda x: ours(x, structure), lambda x: theirs(x, index), [x])


@each_dtype
@pytest.mark.parametrize("featured", [False, True], ids=["GIN", "GINE"])
@draws
@given(seeds, sizes, sizes, sizes)
def test_gin(dtype, featured, seed, tokens, dim, out_dim):
    torch.manual_seed(seed)
    more = {"out_dim": out_dim, "learn_eps": True}
    names = {**_both("mlp.0 nn.0", "mlp.2 nn.2"), "eps": "eps"}
    index, size = _graph(tokens)
    x, attr = torch.randn(size, dim, dtype=dtype), torch.randn(index.shape[1], 3, dtype=dtype)
    if featured:
        ours = tn.GINEConvolution(dim, 3, _mlp(dim, out_dim), **more)
        theirs = GINEConv(_mlp(dim, out_dim), train_eps=True, edge_dim=3)
        names |= _both("edge lin")
    else:
        ours = tn.GINConvolution(dim, _mlp(dim, out_dim), **more)
        theirs = GINConv(_mlp(dim, out_dim), train_eps=True)

    def run(x, e=None):
        return ours(x, tn.Structure.packed([size], edges=tn.Edges(index, None, e)))

    def run_theirs(x, e=None):
        return theirs(x, index) if e is None else theirs(x, index, e)

    assert_exact(ours, theirs, names, run, run_theirs, [x, attr] if featured else [x])


@pytest.mark.parametrize("edge_dim", [None, 3])
@draws
@given(seeds, sizes, sizes, sizes)
def test_pna(edge_dim, seed, tokens, dim, out_dim):
    """In float64 only: PyG takes the squared mean from the mean of squares; see below."""
    torch.manual_seed(seed)
    dtype = torch.float64
    degrees = torch.tensor([0, 1, 1, 2, 3, 3, 5])
    ours = tn.PNAConvolution(dim, degrees, out_dim=out_dim, edge_dim=edge_dim)
    theirs = PNAConv(
        dim, out_dim, ["mean", "min", "max", "std"], ["identity", "amplification", "attenuation"],
        torch.bincount(degrees), edge_dim=edge_dim,
    )  # fmt: skip
    theirs_delta = theirs.aggr_module.avg_deg_log
    assert abs(theirs_delta - ours.mean_log_degree) < 1e-6  # the last bit of a float32
    theirs_delta.fill_(ours.mean_log_degree)
    names = _both("message pre_nns.0.0", "update post_nns.0.0", "output lin")
    names |= _both("edge edge_encoder") if edge_dim else {}
    index, size = _graph(tokens)
    inputs = [torch.randn(size, dim, dtype=dtype)]
    inputs += [torch.randn(index.shape[1], edge_dim, dtype=dtype)] if edge_dim else []

    def run(x, e=None):
        return ours(x, tn.Structure.packed([size], edges=tn.Edges(index, None, e)))

    assert_exact(ours, theirs, names, run, lambda x, e=None: theirs(x, index, e), inputs)


def test_the_deviation_of_pna_is_not_lost_in_rounding():
    """float32 against float64, gradients too: PyG's were 1e-3 off where ours were 3e-6."""
    worst = 0.0
    for seed in range(30):
        torch.manual_seed(seed)
        wide = tn.PNAConvolution(5, torch.tensor([1, 2, 3]), out_dim=4).double()
        narrow = tn.PNAConvolution(5, torch.tensor([1, 2, 3]), out_dim=4)
        narrow.load_state_dict(wide.state_dict())
        wide.load_state_dict(narrow.state_dict())  # the same numbers in both
        structure = tn.Structure.packed([7], edges=tn.Edges(torch.randint(7, (2, 20))))
        x = torch.randn(7, 5)
        found = []
        for mixer, features in ((narrow, x), (wide, x.double())):
            y = mixer(features, structure).sum()
            found.append([g.double() for g in torch.autograd.grad(y, list(mixer.parameters()))])
        for a, b in zip(*found, strict=True):
            worst = max(worst, float((a - b).abs().max() / b.abs().max().clamp_min(1)))
    assert worst < 2e-5


@each_dtype
@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
@draws
@given(seeds, sizes, sizes, st.integers(1, 3))
def test_gated_graph(dtype, weighted, seed, tokens, dim, steps):
    torch.manual_seed(seed)
    ours, theirs = tn.GatedGraphConvolution(dim, steps), GatedGraphConv(dim, steps)
    cell = [f"{kind}_{side}h" for kind in ("weight", "bias") for side in "ih"]
    names = {"maps": "weight", **{f"cell.{n}": f"rnn.{n}" for n in cell}}
    index, size = _graph(tokens)
    inputs = [torch.randn(size, dim, dtype=dtype)]
    inputs += [torch.rand(index.shape[1], dtype=dtype)] if weighted else []

    def run(x, w=None):
        return ours(x, tn.Structure.packed([size], edges=tn.Edges(index, w)))

    assert_exact(ours, theirs, names, run, lambda x, w=None: theirs(x, index, w), inputs)


def _gps(dim: int, local: tn.Mixer, num_heads: int) -> tn.Mixer:
    """GPS without norms: each branch has a residual of its own, their sum goes to the MLP."""
    around = lambda mixer: tn.PostNorm(dim, mixer, norm=nn.Identity)  # noqa: E731
    return tn.Sequential(
        tn.Parallel(around(local), around(tn.Attention(dim, num_heads))),
        around(tn.Pointwise(dim, 2 * dim, activation=nn.ReLU)),
    )


@each_dtype
@pytest.mark.parametrize("local", ["GIN", "GCN"])
@draws
@given(seeds, st.lists(sizes, min_size=1, max_size=3), st.integers(1, 3), sizes)
def test_gps(dtype, local, seed, lengths, num_heads, head_dim):
    """A ragged batch: packed with us, a vector `batch` with PyG."""
    torch.manual_seed(seed)
    dim = num_heads * head_dim
    mixer = tn.GINConvolution(dim, _mlp(dim, dim)) if local == "GIN" else tn.GraphConvolution(dim)
    conv = GINConv(_mlp(dim, dim)) if local == "GIN" else GCNConv(dim, dim)
    ours = _gps(dim, mixer, num_heads)
    theirs = GPSConv(dim, conv, heads=num_heads, norm=None)
    own, attention = "mixers.0.mixers.0.mixer", "mixers.0.mixers.1.mixer"
    names = (
        _both(f"{own}.mlp.0 conv.nn.0", f"{own}.mlp.2 conv.nn.2")
        if local == "GIN"
        else {f"{own}.map.weight": "conv.lin.weight", f"{own}.bias": "conv.bias"}
    )
    for kind in ("weight", "bias"):
        qkv = " ".join(f"{attention}.{n}.{kind}" for n in ("query", "key", "value"))
        names[qkv] = f"attn.in_proj_{kind}"
    names |= _both(f"{attention}.output attn.out_proj")
    last = [n for n, m in ours.mixers[1].named_modules() if isinstance(m, nn.Linear)]
    names |= _both(*(f"mixers.1.{n} mlp.{i}" for n, i in zip(last, (0, 3), strict=True)))
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    index = torch.cat(
        [torch.randint(n, (2, n)) + o for n, o in zip(lengths, offsets[:-1], strict=True)], 1
    )
    index = index[:, index[0] != index[1]]
    batch = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    structure = tn.Structure.packed(lengths, edges=tn.Edges(index))
    x = torch.randn(sum(lengths), dim, dtype=dtype)
    assert_exact(
        ours, theirs, names, lambda x: ours(x, structure), lambda x: theirs(x, index, batch), [x]
    )
