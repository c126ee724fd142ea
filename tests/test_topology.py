"""Every topology's pairs against its definition, token by token, in every layout."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tokennet as tn
from tokennet.laws import Causality, CyclicShift, GridShift, MemoryPermutation, Permutation, closure
from tokennet.pairs import Dense, Sparse
from tokennet.structure.transform import pad_into

LENGTHS = [4, 0, 1, 6, 3]
Rule = Callable[[int, int, int], bool]  # (target, source, tokens of the sample) -> communicate


def window(radius: int, *, wrap: bool = False) -> Rule:
    def rule(i: int, j: int, n: int) -> bool:
        steps = [abs(i - j)] if not wrap else [(i - j) % n, (j - i) % n]
        return min(steps) <= radius

    return rule


def neighborhood(grid: tuple[int, ...], radius: int, *, wrap: bool = False) -> Rule:
    cells = list(itertools.product(*map(range, grid)))

    def rule(i: int, j: int, n: int) -> bool:
        axes = zip(cells[i], cells[j], grid, strict=True)
        return all(window(radius, wrap=wrap)(a, b, size) for a, b, size in axes)

    return rule


def causal(i: int, j: int, n: int) -> bool:
    return j <= i


def layouts(tokens: tn.Tokens) -> dict[str, tn.Structure]:
    """The same samples, packed and padded behind, in front and in between."""
    lengths = tokens.structure.lengths
    size = int(lengths.max()) if len(lengths) else 0
    right = torch.arange(size + 1) < lengths[:, None]
    holes = right[:, torch.randperm(size + 1)]
    masks = {"right": right, "left": right.flip(1), "holes": holes}
    found = {"packed": tokens.structure, "padded": tokens.padded().structure}
    return found | {name: pad_into(tokens, valid).structure for name, valid in masks.items()}


def names(structure: tn.Structure) -> list[tuple[int, int]]:
    """(sample, position) of each real row of the flat view."""
    layout = structure.layout
    both = zip(layout.sample.tolist(), layout.position.tolist(), strict=True)
    return [
        pair if real else (-1, -1) for pair, real in zip(both, layout.valid.flatten(), strict=True)
    ]


def listed(topology: tn.Topology, structure: tn.Structure) -> list[tuple]:
    """Pairs ((sample, target), (sample, source)), read from what `pairs` returns; sorted."""
    pairs, layout, found = topology.pairs(structure), structure.layout, []
    if isinstance(pairs, Sparse):
        edges, name = pairs.edges, names(structure)
        kept = range(edges.num_edges) if edges.keep is None else edges.keep.nonzero().flatten()
        read = [(name[int(edges.target[e])], name[int(edges.source[e])]) for e in kept]
        assert all((t == (-1, -1)) == (s == (-1, -1)) for t, s in read), "padding is heard"
        return sorted(pair for pair in read if pair[0] != (-1, -1))
    size = layout.max_length
    mask = pairs.full_mask(size, size, layout.device).expand(layout.batch, size, size)
    lengths = layout.lengths.tolist()
    places = layout.padded_position.expand(layout.batch, size).tolist()
    for b, i, j in itertools.product(range(layout.batch), range(size), range(size)):
        target, source = places[b][i], places[b][j]
        if source >= lengths[b] or target >= lengths[b]:
            # with right padding the causal flag alone keeps real targets from padding
            assert not mask[b, i, j] or target >= lengths[b], "padding is heard"
        elif mask[b, i, j]:
            found.append(((b, target), (b, source)))
    return sorted(found)


def defined(lengths: list[int], rule: Rule) -> list[tuple]:
    return sorted(
        ((b, i), (b, j))
        for b, n in enumerate(lengths)
        for i, j in itertools.product(range(n), range(n))
        if rule(i, j, n)
    )


def check(topology: tn.Topology, tokens: tn.Tokens, expected: list[tuple]) -> None:
    for structure in layouts(tokens).values():
        assert listed(topology, structure) == expected
        name, matrix = names(structure), topology.matrix(structure)
        shown = sorted((name[t], name[s]) for t, s in matrix.nonzero().tolist())
        assert shown == sorted(set(expected))


def tokens_of(lengths: list[int], **facts: object) -> tn.Tokens:
    return tn.Tokens(torch.randn(sum(lengths), 1), tn.Structure.packed(lengths, **facts))


RULES: list[tuple[tn.Topology, Rule]] = [
    (tn.Full(), lambda i, j, n: True),
    (tn.Causal(), causal),
    *((tn.Window(r), window(r)) for r in (0, 1, 2, 9)),
    *((tn.Window(r, wrap=True), window(r, wrap=True)) for r in (0, 1, 2, 3, 9)),
]


@pytest.mark.parametrize(("topology", "rule"), RULES, ids=[str(t) for t, _ in RULES])
@pytest.mark.parametrize("lengths", [LENGTHS, [3, 3], [1], [0], [], [2, 0]], ids=str)
def test_topologies_of_sequences(topology: tn.Topology, rule: Rule, lengths: list[int]) -> None:
    """Also rings shorter than the window, where a token would meet itself coming back."""
    check(topology, tokens_of(lengths), defined(lengths, rule))


@pytest.mark.parametrize("radius", [0, 1, 2, 5])
@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("grid", [(1,), (2,), (7,), (3, 4), (1, 5), (5, 1), (2, 2)], ids=str)
def test_grids(grid: tuple[int, ...], wrap: bool, radius: int) -> None:
    rule = neighborhood(grid, radius, wrap=wrap)
    lengths = [math.prod(grid)] * 2
    tokens = tokens_of(lengths, grid=grid)
    check(tn.Neighborhood(radius, wrap=wrap), tokens, defined(lengths, rule))


def random_edges(lengths: list[int], seed: int = 0) -> tn.Edges:
    """Repeated edges and self-loops among them."""
    rng = torch.Generator().manual_seed(seed)
    parts, start = [torch.zeros(2, 0, dtype=torch.int64)], 0
    for n in lengths:
        if n:
            parts.append(torch.randint(start, start + n, (2, 2 * n), generator=rng))
        start += n
    return tn.Edges(torch.cat(parts, 1))


def edge_pairs(tokens: tn.Tokens) -> list[tuple]:
    name, edges = names(tokens.structure), tokens.structure.edges
    return sorted((name[t], name[s]) for s, t in edges.index.T.tolist())


@given(lengths=st.lists(st.integers(0, 5), max_size=4), seed=st.integers(0, 9))
def test_edges(lengths: list[int], seed: int) -> None:
    """A repeated edge stands there twice; self-loops come to those who have none."""
    tokens = tokens_of(lengths, edges=random_edges(lengths, seed))
    expected = edge_pairs(tokens)
    check(tn.EdgeList(), tokens, expected)
    everyone = [(b, i) for b, n in enumerate(lengths) for i in range(n)]
    loops = [(t, t) for t in everyone if (t, t) not in expected]
    check(tn.EdgeList(self_loops=True), tokens, sorted([*expected, *loops]))


DENSE = [(tn.Causal(), causal), (tn.Window(1), window(1)), (tn.Full(), lambda i, j, n: True)]


@pytest.mark.parametrize("lengths", [LENGTHS, [4, 4], [0], []], ids=str)
def test_and_of_dense_and_dense(lengths: list[int]) -> None:
    for (one, first), (two, second) in itertools.product(DENSE, DENSE):
        expected = defined(lengths, lambda i, j, n: first(i, j, n) and second(i, j, n))  # noqa: B023
        check(one & two, tokens_of(lengths), expected)
    three = tn.Causal() & tn.Window(2) & tn.Window(3, wrap=True)
    ring = window(3, wrap=True)
    expected = defined(lengths, lambda i, j, n: 0 <= i - j <= 2 and ring(i, j, n))
    check(three, tokens_of(lengths), expected)


@pytest.mark.parametrize("lengths", [LENGTHS, [4, 4], [0], []], ids=str)
@pytest.mark.parametrize("self_loops", [False, True])
def test_and_of_edges_and_dense(lengths: list[int], self_loops: bool) -> None:
    tokens = tokens_of(lengths, edges=random_edges(lengths))
    graph = tn.EdgeList(self_loops)
    everything = listed(graph, tokens.structure)
    for dense, rule in DENSE:
        allowed = set(defined(lengths, rule))
        expected = [pair for pair in everything if pair in allowed]
        check(dense & graph, tokens, expected)
        check(graph & dense, tokens, expected)


def test_and_of_edges_and_edges() -> None:
    tokens = tokens_of(LENGTHS, edges=random_edges(LENGTHS))
    past, near = tn.Causal() & tn.EdgeList(True), tn.Window(1) & tn.EdgeList()
    allowed = set(listed(past, tokens.structure)) & set(listed(near, tokens.structure))
    expected = [pair for pair in edge_pairs(tokens) if pair in allowed]
    assert expected
    check(near & past, tokens, expected)
    with_loops = listed(tn.EdgeList(True), tokens.structure)
    check(past & near, tokens, [pair for pair in with_loops if pair in allowed])


@pytest.mark.parametrize("padded", [False, True])
def test_memory(padded: bool) -> None:
    """Each token hears all memory tokens of its own sample, and no token of its own kind."""
    memory = tn.Tokens.from_list([torch.randn(n, 2) for n in (2, 0, 3)])
    memory = memory.padded() if padded else memory
    structure = tn.Structure.packed([2, 1, 3], memory=memory)
    pairs = tn.Memory().pairs(structure)
    assert isinstance(pairs, Dense)
    heard = pairs.full_mask(3, 3, structure.device).expand(3, 3, 3)
    assert heard[:, 0].sum(-1).tolist() == [2, 0, 3]
    assert torch.equal(heard, heard[:, :1].expand_as(heard))
    assert not tn.Memory().matrix(structure).any()


def test_dense_pairs_stay_cheap() -> None:
    """Without padding there is no mask, and causality is a flag that kernels know."""
    full, right = tn.Structure.dense(2, 4), tn.Structure.packed([4, 2])
    assert tn.Full().pairs(full).mask is None
    for structure in (full, right):
        pairs = tn.Causal().pairs(structure)
        assert pairs.mask is None
        assert pairs.causal
    assert (tn.Causal() & tn.Full()).pairs(full).mask is None


def test_claims() -> None:
    shift, grid, past = CyclicShift(), GridShift(), Causality()
    anything = closure({Permutation()})
    assert tn.Full().claims == tn.EdgeList().claims == anything
    assert tn.Causal().claims == {past}
    assert tn.Window(2).claims == tn.Neighborhood(1).claims == frozenset()
    assert tn.Window(2, wrap=True).claims == {shift}
    assert tn.Neighborhood(1, wrap=True).claims == {grid}
    assert tn.Memory().claims == anything | {past, MemoryPermutation()}
    assert (tn.Full() & tn.EdgeList()).claims == anything
    assert (tn.Full() & tn.Window(1, wrap=True)).claims == {shift}
    assert (tn.Window(1, wrap=True) & tn.Neighborhood(1, wrap=True)).claims == frozenset()
    assert (tn.Causal() & tn.Full()).claims == {past}
    assert (tn.Window(3, wrap=True) & tn.Causal()).claims == {past}


def test_reads_and_words() -> None:
    both = tn.Causal() & tn.EdgeList(True)
    assert both.reads == {"position", "edges"}
    assert str(both) == "Causal & EdgeList(self_loops)"
    assert [str(t) for t in (tn.Full(), tn.Window(2), tn.Window(0, wrap=True))] == [
        "Full",
        "Window(2)",
        "Window(0, wrap)",
    ]
    assert tn.Window(2) == tn.Window(2) != tn.Window(3)


@pytest.mark.parametrize("topology", [tn.EdgeList(), tn.Neighborhood(1), tn.Memory()], ids=str)
def test_missing_facts(topology: tn.Topology) -> None:
    with pytest.raises(ValueError, match=r"structure\.(edges|grid|memory) is None, expected"):
        topology.pairs(tn.Structure.dense(1, 2))
