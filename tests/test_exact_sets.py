"""With the same weights, blocks and readouts of sets are those of PyG and torch.

Axes: B samples, N tokens, L latents, S seeds, Q queries, D channels.
"""

import warnings
from collections.abc import Callable
from functools import partial

import pytest
import torch
from exactness import DTYPES, TOLERANCE, assert_exact
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import tokennet as tn

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # PyG calls torch.jit.script at import
    from torch_geometric.nn.aggr import AttentionalAggregation, SetTransformerAggregation
    from torch_geometric.nn.aggr.utils import InducedSetAttentionBlock

each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
each_norm = pytest.mark.parametrize("norm", [True, False], ids=["norm", "no norm"])
draws = settings(max_examples=8, deadline=None)
seeds, sizes, counts = st.integers(0, 10_000), st.integers(1, 7), st.integers(1, 3)


def block(dim: int, num_heads: int, topology: tn.Topology, norm: bool = True) -> tn.Block:
    """MAB: norm(h + relu(W h + b)) with h = norm(x + attention(x, memory))."""
    place = tn.PostNorm if norm else partial(tn.PostNorm, norm=lambda dim: nn.Identity())
    mlp = tn.TokenWise(nn.Linear(dim, dim), nn.ReLU())
    return tn.Block(dim, tn.Attention(dim, num_heads, topology), mlp=mlp, residual=place)


def attention_names(own: str, other: str) -> dict[str, str]:
    parts, kinds = ("query", "key", "value"), ("weight", "bias")
    names = {" ".join(f"{own}{p}.{k}" for p in parts): f"{other}in_proj_{k}" for k in kinds}
    return names | {f"{own}output.{k}": f"{other}out_proj.{k}" for k in kinds}


def mab_names(own: str, other: str, norm: bool = True) -> dict[str, str]:
    names = attention_names(f"{own}mixers.0.mixer.", f"{other}attn.")
    for kind in ("weight", "bias"):
        names[f"{own}mixers.1.mixer.map.0.{kind}"] = f"{other}lin.{kind}"
        if norm:
            names[f"{own}mixers.0.norm.{kind}"] = f"{other}layer_norm1.{kind}"
            names[f"{own}mixers.1.norm.{kind}"] = f"{other}layer_norm2.{kind}"
    return names


def ragged(batch: int, longest: int) -> tuple[list[int], Tensor]:
    """Lengths, some of them 0, and the sample of each row."""
    lengths = torch.randint(0, longest + 1, (batch,)).tolist()
    lengths[-1] = longest
    return lengths, torch.repeat_interleave(torch.arange(batch), torch.tensor(lengths))


@each_dtype
@each_norm
@draws
@given(seeds, counts, sizes, sizes, counts)
def test_latents_are_an_induced_set_attention_block(
    dtype, norm, seed, batch, tokens, num_latents, num_heads
):
    """ISAB of the Set Transformer, with padding."""
    torch.manual_seed(seed)
    dim, memory = 4 * num_heads, tn.Memory()
    parts = {n: block(dim, num_heads, memory, norm) for n in ("read", "write")}
    ours = tn.Latents(dim, num_latents, **parts)
    theirs = InducedSetAttentionBlock(dim, num_latents, num_heads, norm)
    names = {"latents": "ind"}
    names |= mab_names("read.", "mab1.", norm) | mab_names("write.", "mab2.", norm)
    valid = torch.rand(batch, tokens) < 0.7
    valid[:, 0] = True
    structure = tn.Structure.padded(valid)
    x = torch.randn(batch, tokens, dim, dtype=dtype)
    run = lambda x: ours(x, structure)[valid]  # noqa: E731
    assert_exact(ours, theirs, names, run, lambda x: theirs(x, valid)[valid], [x])


# three blocks without norm make numbers so large that float32 has not five places left
@pytest.mark.parametrize(
    ("dtype", "norm"), [(torch.float32, True), (torch.float64, True), (torch.float64, False)]
)
@draws
@given(seeds, counts, sizes, counts, counts)
def test_attention_readout_is_the_set_transformer(
    dtype, norm, seed, batch, longest, num_seeds, num_heads
):
    """SAB, then PMA, then SAB among the seeds; graphs without tokens are among the samples."""
    torch.manual_seed(seed)
    dim = 4 * num_heads
    readout = tn.AttentionReadout(
        dim, num_seeds * dim, block(dim, num_heads, tn.Memory(), norm),
        block(dim, num_heads, tn.Full(), norm), num_seeds=num_seeds,
    )  # fmt: skip
    readout.map = nn.Identity()  # type: ignore[assignment]  # theirs has none
    first = tn.TokenWise(nn.Linear(dim, dim), nn.ReLU())
    ours = tn.Sequential(block(dim, num_heads, tn.Full(), norm), first, readout)
    theirs = SetTransformerAggregation(dim, num_seeds, heads=num_heads, layer_norm=norm)
    names = mab_names("mixers.0.", "encoders.0.mab.", norm)
    for kind in ("weight", "bias"):
        names[f"mixers.1.map.0.{kind}"] = f"pma.lin.{kind}"
    names["mixers.2.learned"] = "pma.seed"
    names |= mab_names("mixers.2.mixers.0.", "pma.mab.", norm)
    names |= mab_names("mixers.2.mixers.1.", "decoders.0.mab.", norm)
    lengths, sample = ragged(batch, longest)
    x = torch.randn(len(sample), dim, dtype=dtype)
    structure = tn.Structure.packed(lengths)
    assert_exact(
        ours, theirs, names, lambda x: ours(x, structure), lambda x: theirs(x, sample), [x]
    )


@each_dtype
@pytest.mark.parametrize("channels", [False, True], ids=["tokens", "channels"])
@draws
@given(seeds, counts, sizes, sizes)
def test_gated_readout_is_attentional_aggregation(dtype, channels, seed, batch, longest, dim):
    """Where every sample has tokens; of one without we give b, and PyG 0."""
    torch.manual_seed(seed)
    width = dim if channels else 1
    ours = tn.GatedReadout(dim, dim, gate=nn.Linear(dim, width), norm=None)
    theirs = AttentionalAggregation(nn.Linear(dim, width), nn.Linear(dim, dim))
    if channels:  # there the map comes first, and each channel of its result has its own weights
        ours.map, theirs.nn = nn.Identity(), None  # type: ignore[assignment]
    names = {f"gate.{k}": f"gate_nn.{k}" for k in ("weight", "bias")}
    names |= {} if channels else {f"map.{k}": f"nn.{k}" for k in ("weight", "bias")}
    lengths = (torch.randint(longest, (batch,)) + 1).tolist()
    sample = torch.repeat_interleave(torch.arange(batch), torch.tensor(lengths))
    structure, x = tn.Structure.packed(lengths), torch.randn(len(sample), dim, dtype=dtype)
    assert_exact(
        ours, theirs, names, lambda x: ours(x, structure), lambda x: theirs(x, sample), [x]
    )
    if not channels:
        gap = tn.Structure.packed([*lengths, 0])
        assert torch.equal(ours(x, gap)[-1], ours.map.bias)
        assert theirs(x, sample, dim_size=batch + 1)[-1].abs().max() == 0


class _Detector(nn.Module):
    """Queries through torch's decoder, the tokens as memory, then a linear map."""

    def __init__(self, dim: int, num_heads: int, queries: int, depth: int, norm_first: bool):
        super().__init__()
        self.queries = nn.Parameter(torch.randn(queries, dim))
        make: Callable[[], nn.Module] = lambda: nn.TransformerDecoderLayer(  # noqa: E731
            dim, num_heads, 2 * dim, 0.0, batch_first=True, norm_first=norm_first
        )
        self.layers = nn.ModuleList(make() for _ in range(depth))
        self.map = nn.Linear(dim, 3)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        h = self.queries.expand(len(x), -1, -1)
        for layer in self.layers:
            h = layer(h, x, memory_key_padding_mask=~valid)
        return self.map(h)


@each_dtype
@pytest.mark.parametrize("norm_first", [False, True], ids=["post", "pre"])
@draws
@given(seeds, counts, sizes, counts, counts)
def test_set_readout_is_queries_through_torch_decoder(
    dtype, norm_first, seed, batch, tokens, num_queries, num_heads
):
    torch.manual_seed(seed)
    dim, depth = 4 * num_heads, 2
    blocks = [
        tn.Block(
            dim, tn.Attention(dim, num_heads), tn.Attention(dim, num_heads, tn.Memory()),
            mlp=tn.Pointwise(dim, 2 * dim, activation=nn.ReLU),
            residual=tn.PreNorm if norm_first else tn.PostNorm,
        )
        for _ in range(depth)
    ]  # fmt: skip
    ours = tn.SetReadout(dim, 3, num_queries, *blocks)
    theirs = _Detector(dim, num_heads, num_queries, depth, norm_first)
    names = {"learned": "queries", "map.weight": "map.weight", "map.bias": "map.bias"}
    for i in range(depth):
        own, other = f"mixers.{i}.mixers.", f"layers.{i}."
        names |= attention_names(f"{own}0.mixer.", f"{other}self_attn.")
        names |= attention_names(f"{own}1.mixer.", f"{other}multihead_attn.")
        for kind in ("weight", "bias"):
            names |= {f"{own}{j}.norm.{kind}": f"{other}norm{j + 1}.{kind}" for j in range(3)}
            names[f"{own}2.mixer.map.0.{kind}"] = f"{other}linear1.{kind}"
            names[f"{own}2.mixer.map.3.{kind}"] = f"{other}linear2.{kind}"
    valid = torch.rand(batch, tokens) < 0.7
    valid[:, -1] = True
    structure, x = tn.Structure.padded(valid), torch.randn(batch, tokens, dim, dtype=dtype)
    assert_exact(ours, theirs, names, lambda x: ours(x, structure), lambda x: theirs(x, valid), [x])


@each_dtype
def test_a_graph_without_tokens_among_others(dtype):
    """Nothing changes for the others, in both libraries."""
    torch.manual_seed(0)
    theirs = SetTransformerAggregation(8, 2, heads=2).to(dtype)
    x, sample = torch.randn(7, 8, dtype=dtype), torch.tensor([0, 0, 0, 2, 2, 2, 2])
    y = theirs(x, sample, dim_size=3)
    assert (y[0] - theirs(x[:3], sample[:3])[0]).abs().max() <= TOLERANCE[dtype]
