"""Attention over dense and sparse pairs against its oracles, and against each other."""

import pytest
import torch
from oracle import TOLERANCE, compare, dtypes, graph, graphs, heads, random, results

import tokennet as tn
from tokennet import ops
from tokennet.pairs import Dense, Pairs, Sparse
from tokennet.structure import SortedEdges


@graphs
@heads
@dtypes
def test_sparse_attention(kind: str, num_heads: int, head_dim: int, dtype: torch.dtype) -> None:
    for rows in (1, 63):
        pairs = Sparse(graph(kind, rows))
        q, k, v = (random(rows, num_heads, head_dim, dtype=dtype) for _ in range(3))
        found = compare(lambda q, k, v: ops.attend(q, k, v, pairs), q, k, v, scale=4)  # noqa: B023
        edges = pairs.edges
        heard = edges.target if edges.keep is None else edges.target[edges.keep]
        silent = torch.ones(rows, dtype=torch.bool).index_fill(0, heard, False)
        assert not found[0][silent].any(), "0 for a token without any pair"


@graphs
@pytest.mark.parametrize("rows", [0, 500])
def test_sparse_attention_of_other_sizes(kind: str, rows: int) -> None:
    pairs = Sparse(graph(kind, rows))
    q, k, v = (random(rows, 2, 3, dtype=torch.float64) for _ in range(3))
    compare(lambda q, k, v: ops.attend(q, k, v, pairs, scale=0.3), q, k, v)


def masks(kind: str, n: int, m: int) -> Pairs:
    some = torch.rand(2, n, m) < 0.5
    keys = (torch.arange(m) < torch.tensor([[m], [m // 2]]))[:, None]
    return {
        "all": Dense(),
        "causal": Dense(causal=True),
        "mask": Dense(some),
        "mask, rows alone": Dense(some & (torch.arange(n) % 3 > 0)[:, None]),
        "keys": Dense(keys),
        "keys, causal": Dense(keys, causal=True),
        "one mask for all": Dense(some[:1]),
        "nothing": Dense(torch.zeros(2, n, m, dtype=torch.bool)),
    }[kind]


MASKS = ["all", "causal", "mask", "mask, rows alone", "keys", "keys, causal", "one mask for all"]


SIZES = [(1, 1), (63, 63), (5, 9), (9, 5), (3, 0), (0, 0), (0, 2)]  # targets, sources
FITTING = [
    (kind, n, m) for kind in [*MASKS, "nothing"] for n, m in SIZES if n == m or "causal" not in kind
]


@pytest.mark.parametrize(("kind", "n", "m"), FITTING)
@dtypes
def test_dense_attention(kind: str, n: int, m: int, dtype: torch.dtype) -> None:
    pairs = masks(kind, n, m)
    q, k, v = (random(2, size, 2, 3, dtype=dtype) for size in (n, m, m))
    found = compare(lambda q, k, v: ops.attend(q, k, v, pairs), q, k, v)
    silent = ~pairs.full_mask(n, m, q.device).any(-1).expand(2, n)
    assert not found[0][silent].any(), "0 for a token without any pair"


@heads
@dtypes
def test_dense_attention_of_other_heads(num_heads: int, head_dim: int, dtype: torch.dtype) -> None:
    q, k, v = (random(2, 500 // head_dim + 1, num_heads, head_dim, dtype=dtype) for _ in range(3))
    compare(lambda q, k, v: ops.attend(q, k, v, Dense(causal=True)), q, k, v)


@dtypes
def test_attention_of_extreme_logits(dtype: torch.dtype) -> None:
    """+-1e4 before the softmax: the largest wins, nothing overflows."""
    q = 100 * random(1, 7, 1, 1, dtype=dtype)
    k, v = 100 * random(1, 7, 1, 1, dtype=dtype), random(1, 7, 1, 4, dtype=dtype)
    # the gradient of a logit has the size of q and k
    compare(lambda q, k, v: ops.attend(q, k, v, Dense(), scale=1.0), q, k, v, scale=100)
    pairs = Sparse(graph("random", 7))
    compare(lambda q, k, v: ops.attend(q, k, v, pairs, scale=1.0), q[0], k[0], v[0], scale=100)


def test_attention_in_bfloat16() -> None:
    q, k, v = (random(2, 63, 2, 20, dtype=torch.bfloat16) for _ in range(3))
    compare(lambda q, k, v: ops.attend(q, k, v, Dense()), q, k, v, scale=2)
    pairs = Sparse(graph("random", 63))
    compare(lambda q, k, v: ops.attend(q, k, v, pairs), q[0], k[0], v[0], scale=2)


@dtypes
def test_the_complete_graph_is_full_attention(dtype: torch.dtype) -> None:
    every = torch.cartesian_prod(torch.arange(9), torch.arange(9)).T
    pairs = Sparse(SortedEdges.of(tn.Edges(every), 9))
    inputs = [random(9, 2, 5, dtype=dtype) for _ in range(3)]
    sparse = results(lambda q, k, v: ops.attend(q, k, v, pairs), inputs)
    dense = results(lambda *x: ops.attend(*(t[None] for t in x), Dense())[0], inputs)
    for a, b in zip(sparse, dense, strict=True):
        torch.testing.assert_close(a, b, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("sparse", [False, True])
def test_weights_are_those_of_attention(sparse: bool) -> None:
    if sparse:
        pairs: Pairs = Sparse(graph("kept", 30))
        q, k, v = (random(30, 2, 3, dtype=torch.float64) for _ in range(3))
        weights = ops.attention_weights(q, k, pairs)
        y = ops.spmm(weights, v, pairs.edges)
    else:
        pairs = masks("mask, rows alone", 6, 6)
        q, k, v = (random(2, 6, 2, 3, dtype=torch.float64) for _ in range(3))
        weights = ops.attention_weights(q, k, pairs)
        y = torch.einsum("bhnm,bmhd->bnhd", weights, v)
    torch.testing.assert_close(y, ops.attend(q, k, v, pairs))
    assert weights.isfinite().all()


@pytest.mark.parametrize("sparse", [False, True])
def test_gradcheck_of_attention(sparse: bool) -> None:
    pairs: Pairs = Sparse(graph("kept", 5)) if sparse else masks("mask, rows alone", 4, 4)
    shape = (5, 2, 3) if sparse else (2, 4, 2, 3)
    inputs = tuple(torch.randn(shape, dtype=torch.float64, requires_grad=True) for _ in range(3))
    assert torch.autograd.gradcheck(lambda q, k, v: ops.attend(q, k, v, pairs), inputs)


@pytest.mark.parametrize("sparse", [False, True])
def test_dropout_keeps_the_mean(sparse: bool) -> None:
    rows = 40
    every = torch.cartesian_prod(torch.arange(rows), torch.arange(rows)).T
    pairs = Sparse(SortedEdges.of(tn.Edges(every), rows)) if sparse else Dense()
    q = torch.zeros(rows, 4, 3)
    v = torch.ones(rows, 4, 3)
    if sparse:
        y = ops.attend(q, q, v, pairs, dropout=0.5)
    else:
        y = ops.attend(q[None], q[None], v[None], pairs, dropout=0.5)
    assert y.std() > 0.05
    assert abs(float(y.mean()) - 1) < 0.05
