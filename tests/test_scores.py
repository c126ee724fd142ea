"""Scores and biases: each by its formula, over dense pairs and over the complete graph alike.

Axes: B samples, N tokens, H heads, D channels of a head.
"""

import math

import pytest
import torch
from torch import Tensor, nn

import tokennet as tn
from tokennet.mixers.score import Place
from tokennet.pairs import Dense

B, N, H, D = 2, 5, 2, 4
DIM = H * D


def complete(batch: int = B, size: int = N, attr: Tensor | None = None) -> tn.Structure:
    """Samples of equal length, every pair an edge."""
    i, j = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    one = torch.stack([j.flatten(), i.flatten()])
    index = torch.cat([one + b * size for b in range(batch)], 1)
    return tn.Structure.dense(batch, size, edges=tn.Edges(index, None, attr))


def dense_weights(attention: tn.Attention, x: Tensor, structure: tn.Structure) -> Tensor:
    """`[B, H, N, N]`, also for attention over edges."""
    weights = attention.weights(x, structure)
    if isinstance(weights, Tensor):
        return weights
    (source, target), values = weights
    matrix = values.new_zeros(B, H, N, N)
    for s, t, row in zip(source.tolist(), target.tolist(), values, strict=True):
        matrix[t // N, :, t % N, s % N] = row
    return matrix


def parts(attention: tn.Attention, x: Tensor) -> tuple[Tensor, Tensor]:
    """q, k `[B, H, N, D]`."""
    return tuple(f(x).view(B, N, H, D).transpose(1, 2) for f in (attention.query, attention.key))


def offsets() -> Tensor:
    return torch.arange(N)[None, :] - torch.arange(N)[:, None]


FORMULAS = {
    "dot": (lambda: tn.DotScore(power=0), lambda s, q, k: q @ k.mT),
    "scaled dot": (lambda: tn.DotScore(), lambda s, q, k: q @ k.mT / math.sqrt(D)),
    "1/d": (lambda: tn.DotScore(power=1), lambda s, q, k: q @ k.mT / D),
    "cosine": (
        lambda: tn.CosineScore(scale=3.0),
        lambda s, q, k: (
            s.log_scale.exp()
            * (q @ k.mT)
            / (q.norm(dim=-1)[..., None] * k.norm(dim=-1)[..., None, :])
        ),
    ),
    "bilinear": (lambda: tn.BilinearScore(H, D), lambda s, q, k: q @ s.weight @ k.mT),
    "additive": (
        lambda: tn.AdditiveScore(H, D),
        lambda s, q, k: (
            (q[..., :, None, :] + k[..., None, :, :]).tanh() @ s.vector[:, None, :, None]
        ).squeeze(-1),
    ),
    "location": (
        lambda: tn.LocationScore(H, D, 7),
        lambda s, q, k: (q @ s.weight.mT)[..., :N],
    ),
    "query and key norm": (
        lambda: tn.DotScore(tn.QueryKeyNorm(D)),
        lambda s, q, k: s.maps[0].query(q) @ s.maps[0].key(k).mT / math.sqrt(D),
    ),
    "ALiBi": (
        lambda: tn.DotScore() + tn.AlibiBias(H),
        lambda s, q, k: (
            q @ k.mT / math.sqrt(D) - offsets().abs() * torch.tensor([2**-4, 2**-8])[:, None, None]
        ),
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("edges", [False, True], ids=["full", "edges"])
def test_formula(name: str, edges: bool) -> None:
    make, formula = FORMULAS[name]
    topology = tn.EdgeList() if edges else tn.Full()
    attention = tn.Attention(DIM, H, topology, score=make()).double()
    x = torch.randn(B, N, DIM, dtype=torch.float64)
    q, k = parts(attention, x)
    expected = formula(attention.score, q, k).softmax(-1)
    weights = dense_weights(attention, x, complete())
    torch.testing.assert_close(weights, expected, rtol=1e-10, atol=1e-12)
    assert (expected - 1 / N).abs().max() > 1e-3, "not uniform: the score matters"
    v = attention.value(x).view(B, N, H, D).transpose(1, 2)
    y = attention.output((expected @ v).transpose(1, 2).flatten(2))
    torch.testing.assert_close(attention(x, complete()), y, rtol=1e-10, atol=1e-12)


def test_scaling_keeps_scores_of_size_one() -> None:
    """Without the root the softmax saturates as heads grow wide, and gradients vanish."""
    sizes, gradients = {}, {}
    for power in (0.0, 0.5, 1.0):
        q = torch.randn(200, 256, requires_grad=True)
        scores = q @ torch.randn(16, 256).T / 256**power
        sizes[power] = float(scores.detach().std())
        weights = scores.softmax(-1)
        (grad,) = torch.autograd.grad(weights[:, 0].sum(), scores)
        gradients[power] = float(grad.abs().mean())
    assert sizes[0.0] == pytest.approx(16, rel=0.1)
    assert sizes[0.5] == pytest.approx(1, rel=0.1)
    assert sizes[1.0] == pytest.approx(1 / 16, rel=0.1)
    assert gradients[0.5] > 3 * gradients[0.0]


def test_queries_need_not_split_dim_evenly() -> None:
    """Head spaces of any width: 3 heads of 5 channels for tokens of 8."""
    attention = tn.Attention(8, tn.Heads(3, head_dim=5))
    assert attention.query.out_features == 15
    assert attention(torch.randn(1, 4, 8), tn.Structure.dense(1, 4)).shape == (1, 4, 8)


def test_grouped_queries_are_repeated_keys() -> None:
    """With keys and values repeated for each group, plain attention gives the same."""
    grouped = tn.Attention(DIM, tn.Heads(4, kv_heads=2)).double()
    plain = tn.Attention(DIM, 4).double()
    with torch.no_grad():
        for name in ("query", "key", "value", "output"):
            mine, other = getattr(grouped, name), getattr(plain, name)
            for key in ("weight", "bias"):
                value = getattr(mine, key)
                if name in ("key", "value"):
                    value = value.unflatten(0, (2, 2)).repeat_interleave(2, 0).flatten(0, 1)
                getattr(other, key).copy_(value)
    x, structure = torch.randn(B, N, DIM).double(), tn.Structure.dense(B, N)
    torch.testing.assert_close(grouped(x, structure), plain(x, structure), rtol=1e-11, atol=1e-12)


def test_heads_in_turn_equal_heads_at_once() -> None:
    """Four heads are four attentions of one head whose results are joined."""
    joint = tn.Attention(DIM, tn.Heads(4, output=False)).double()
    x, structure = torch.randn(B, N, DIM).double(), tn.Structure.dense(B, N)
    alone = []
    for h in range(4):
        one = tn.Attention(DIM, tn.Heads(1, head_dim=2, output=False)).double()
        with torch.no_grad():
            for name in ("query", "key", "value"):
                rows = slice(2 * h, 2 * h + 2)
                getattr(one, name).weight.copy_(getattr(joint, name).weight[rows])
                getattr(one, name).bias.copy_(getattr(joint, name).bias[rows])
        alone.append(one(x, structure))
    torch.testing.assert_close(torch.cat(alone, -1), joint(x, structure), rtol=1e-11, atol=1e-12)


def test_rotary_scores_know_offsets_only() -> None:
    """Shifting all positions changes no score; and it is a rotation: norms stay."""
    rotary = tn.Rotary(6)
    q, k = torch.randn(1, 9, 2, 6).double(), torch.randn(1, 9, 2, 6).double()
    place = torch.arange(9)[None]
    near = torch.einsum("bnhd,bmhd->bhnm", rotary.turn(q, place), rotary.turn(k, place))
    far = torch.einsum(
        "bnhd,bmhd->bhnm", rotary.turn(q, place + 5000), rotary.turn(k, place + 5000)
    )
    torch.testing.assert_close(near, far, rtol=1e-9, atol=1e-9)
    plain = torch.einsum("bnhd,bmhd->bhnm", q, k)
    assert (near - plain).abs().max() > 0.1
    torch.testing.assert_close(rotary.turn(q, place).norm(dim=-1), q.norm(dim=-1))


def test_alibi_slopes_of_any_number_of_heads() -> None:
    """Geometric for powers of two; else odd steps of the next power fill up, as in the paper."""
    torch.testing.assert_close(tn.AlibiBias(8).slope, 2.0 ** -torch.arange(1, 9))
    slopes = tn.AlibiBias(12).slope
    assert len(set(slopes.tolist())) == 12
    torch.testing.assert_close(slopes[8:], 2.0 ** -torch.tensor([0.5, 1.5, 2.5, 3.5]))


@pytest.mark.parametrize("edges", [False, True], ids=["full", "edges"])
def test_edge_bias_and_features(edges: bool) -> None:
    """Over dense pairs the bias stands where edges are; over edges both read the features."""
    attr = torch.randn(B * N * N, 3).double()
    structure = complete(attr=attr)
    topology = tn.EdgeList() if edges else tn.Full()
    bias = tn.EdgeBias(3, H)
    attention = tn.Attention(DIM, H, topology, score=tn.DotScore() + bias).double()
    x = torch.randn(B, N, DIM).double()
    q, k = parts(attention, x)
    extra = (attr @ bias.map.weight.T).view(B, N, N, H).permute(0, 3, 1, 2)
    expected = (q @ k.mT / math.sqrt(D) + extra).softmax(-1)
    torch.testing.assert_close(dense_weights(attention, x, structure), expected)


def test_shortest_paths_on_a_path_graph() -> None:
    """Distances along the edges' direction; beyond the most, and without a way, one number."""
    index = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]])  # 0 -> 1 -> 2 -> 3 -> 4
    structure = tn.Structure.dense(1, N, edges=tn.Edges(index))
    bias = tn.ShortestPathBias(1, max_distance=2)
    with torch.no_grad():
        bias.table.copy_(torch.arange(4.0)[:, None])
    attention = tn.Attention(DIM, 1, score=tn.DotScore(power=0) + bias)
    nn.init.zeros_(attention.query.weight)
    nn.init.zeros_(attention.query.bias)
    scores = attention.weights(torch.randn(1, N, DIM), structure)[0, 0].log()
    expected = torch.where(offsets() > 0, 3, (-offsets()).clamp(max=3)).float()
    found = scores - scores.diagonal()[:, None]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_any_maps_for_query_key_and_value() -> None:
    """f_q, f_k, f_v are arbitrary token-wise maps; identities leave no parameter: the basic one."""
    same = {n: nn.Identity() for n in ("query", "key", "value", "output")}
    bare = tn.Attention(DIM, 1, score=tn.DotScore(power=0)).with_maps(**same)
    basic = tn.BasicAttention()
    assert sum(p.numel() for m in (bare, basic) for p in m.parameters()) == 0
    x = torch.randn(B, N, DIM)
    expected = (x @ x.mT).softmax(-1) @ x
    for mixer in (bare, basic):
        torch.testing.assert_close(mixer(x, tn.Structure.dense(B, N)), expected)


@pytest.mark.parametrize(("front", "rows"), [(False, 1), (True, 2)])
def test_one_row_of_positions_where_samples_agree(front: bool, rows: int) -> None:
    """Padding behind leaves one, padding in front one for each sample; the numbers stay."""
    valid = torch.tensor([[True, True, True, True, True], [True, True, True, False, False]])
    structure = tn.Structure.padded(valid.flip(1) if front else valid)
    assert Place(structure, Dense()).offset.shape == (rows, N, N)
    score = tn.DotScore(tn.Rotary(D)) + tn.RelativeBias(H) + tn.AlibiBias(H)
    attention, x = tn.Attention(DIM, H, tn.Causal(), score=score).double(), torch.randn(2, N, DIM)
    together = attention(x.double(), structure)
    for b, keep in enumerate(structure.layout.valid):
        alone = attention(x[b, keep].double()[None], tn.Structure.dense(1, int(keep.sum())))
        torch.testing.assert_close(together[b, keep], alone[0])
