"""With the same weights, our graph operators are PyG's: output and every gradient.

Axes: T tokens, E edges, H heads, D channels of a head.
"""

import warnings

import pytest
import torch
from exactness import DTYPES, TOLERANCE, assert_exact
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import tokennet as tn

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # PyG calls torch.jit.script at import
    from torch_geometric.nn import GATConv, GATv2Conv, GCNConv, TransformerConv

each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
each_loops = pytest.mark.parametrize("loops", [True, False], ids=["self-loops", "no self-loops"])
draws = settings(max_examples=12, deadline=None)
seeds, sizes = st.integers(0, 10_000), st.integers(1, 7)
heads, head_dims = st.integers(1, 4), st.sampled_from([1, 3, 8])


def _multigraph(tokens: int, *, one_loop: bool) -> Tensor:
    """Random edges, some of them repeated, some self-loops; the last two tokens are isolated.

    `one_loop`: at most one self-loop for a token. Of several, PyG keeps one where it adds
    self-loops; we keep all, as we do with any repeated edge.
    """
    count = int(torch.randint(0, 4 * tokens, ()))
    index = torch.randint(tokens, (2, count))
    index = torch.cat([index, index[:, : count // 3]], 1)
    if one_loop:
        index = index[:, index[0] != index[1]]
        some = torch.arange(tokens)[torch.rand(tokens) < 0.4]
        index = torch.cat([index, some.expand(2, -1)], 1)
    return index[:, torch.randperm(index.shape[1])]


@each_dtype
@each_loops
@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
@draws
@given(seeds, sizes, sizes, sizes)
def test_graph_convolution_is_gcn(dtype, loops, weighted, seed, tokens, dim, out_dim):
    torch.manual_seed(seed)
    ours = tn.GraphConvolution(dim, out_dim=out_dim, self_loops=loops)
    theirs = GCNConv(dim, out_dim, add_self_loops=loops)
    index = _multigraph(tokens, one_loop=loops)
    inputs = [torch.randn(tokens + 2, dim, dtype=dtype)]
    if weighted:
        inputs.append(torch.rand(index.shape[1], dtype=dtype) + 0.1)

    def run(x: Tensor, weight: Tensor | None = None) -> Tensor:
        return ours(x, tn.Structure.packed([len(x)], edges=tn.Edges(index, weight)))

    names = {"map.weight": "lin.weight", "bias": "bias"}
    assert_exact(ours, theirs, names, run, lambda x, w=None: theirs(x, index, w), inputs)


@each_dtype
@each_loops
@pytest.mark.parametrize("mean_heads", [False, True], ids=["joined", "mean"])
@pytest.mark.parametrize("version", [1, 2])
@draws
@given(seeds, sizes, sizes, heads, head_dims)
def test_graph_attention_is_gat(
    dtype, loops, mean_heads, version, seed, tokens, dim, num_heads, head_dim
):
    torch.manual_seed(seed)
    kind, conv = (tn.GraphAttention, GATConv) if version == 1 else (tn.GraphAttentionV2, GATv2Conv)
    out_dim = head_dim if mean_heads else num_heads * head_dim
    ours = kind(dim, num_heads, out_dim=out_dim, self_loops=loops, mean_heads=mean_heads)
    theirs = conv(dim, head_dim, num_heads, concat=not mean_heads, add_self_loops=loops)
    names = {"bias": "bias"}
    if version == 1:
        names |= {"value.weight": "lin.weight", "score": "att_src att_dst"}
    else:
        names |= {f"value.{n}": f"lin_l.{n}" for n in ("weight", "bias")}
        names |= {f"target.{n}": f"lin_r.{n}" for n in ("weight", "bias")}
        names |= {"score": "att"}
    index = _multigraph(tokens, one_loop=loops)
    structure = tn.Structure.packed([tokens + 2], edges=tn.Edges(index))
    x = torch.randn(tokens + 2, dim, dtype=dtype)
    assert_exact(ours, theirs, names, lambda x: ours(x, structure), lambda x: theirs(x, index), [x])


@each_dtype
@draws
@given(seeds, sizes, sizes, heads, head_dims)
def test_attention_over_edges_is_transformer_conv(dtype, seed, tokens, dim, num_heads, head_dim):
    torch.manual_seed(seed)
    ours = tn.Parallel(
        tn.Attention(dim, tn.Heads(num_heads, head_dim=head_dim, output=False), tn.EdgeList()),
        tn.Pointwise(dim, out_dim=num_heads * head_dim),
    )
    theirs = TransformerConv(dim, head_dim, num_heads)
    names = {
        f"mixers.0.{n}.{kind}": f"lin_{n}.{kind}"
        for n in ("query", "key", "value")
        for kind in ("weight", "bias")
    }
    names |= {f"mixers.1.map.{kind}": f"lin_skip.{kind}" for kind in ("weight", "bias")}
    index = _multigraph(tokens, one_loop=False)
    structure = tn.Structure.packed([tokens + 2], edges=tn.Edges(index))
    x = torch.randn(tokens + 2, dim, dtype=dtype)
    assert_exact(ours, theirs, names, lambda x: ours(x, structure), lambda x: theirs(x, index), [x])


@each_dtype
def test_weights_are_those_of_gat(dtype):
    """Edge by edge, whatever order either library keeps them in."""
    torch.manual_seed(0)
    ours, theirs = tn.GraphAttention(5, 3, out_dim=12).to(dtype), GATConv(5, 4, 3).to(dtype)
    with torch.no_grad():
        theirs.lin.weight.copy_(ours.value.weight)
        theirs.att_src.copy_(ours.score[:1])
        theirs.att_dst.copy_(ours.score[1:])
    pairs = torch.randperm(49)[:20]  # no repeated edge
    index = torch.stack([pairs // 7, pairs % 7])
    x = torch.randn(7, 5, dtype=dtype)
    structure = tn.Structure.packed([7], edges=tn.Edges(index))
    (source, target), weights = ours.weights(x, structure)
    _, ((their_source, their_target), their_weights) = theirs(
        x, index, return_attention_weights=True
    )
    zeros = torch.zeros(7, 7, 3, dtype=dtype)
    mine = zeros.index_put((target, source), weights, accumulate=True)
    other = zeros.index_put((their_target, their_source), their_weights, accumulate=True)
    assert (mine - other).abs().max() <= TOLERANCE[dtype]
    assert (mine.sum(1) - 1).abs().max() <= TOLERANCE[dtype]
