"""What comes close to a symmetry, what says nothing, what can't be said; names of groups."""

import pytest
import torch
from torch import Tensor, nn

import tokennet as tn
from tokennet.audit.symmetry.elements import Group, compose, inverse, swap
from tokennet.audit.symmetry.group import symmetry_group
from tokennet.audit.symmetry.names import name_of, ranges

D = 8


class Function(nn.Module):
    """A linear map, and a function of its result."""

    def __init__(self, body):
        super().__init__()
        self.body, self.linear = body, nn.Linear(D, D)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.linear(x))


@pytest.mark.parametrize("size", [1e-3, 1e-6, 1e-9, 1e-11])
def test_a_small_leak_counts(size: float) -> None:
    code = torch.zeros(5, D, dtype=torch.float64)
    code[0, 3] = size
    leak = symmetry_group(
        Function(lambda x: x + x.mean(1, True).tanh() + code), num_tokens=5, dim=D
    )
    assert leak.name == "S4 on tokens 1..4"
    assert size / 100 < leak.gap < size


def test_a_leak_in_a_small_channel_counts() -> None:
    scale = torch.logspace(0, -5, D, dtype=torch.float64)
    code = torch.zeros(5, D, dtype=torch.float64)
    code[2, -1] = 1e-14
    for add, name in ((0, "S5"), (code, "S4 on tokens 0, 1, 3, 4")):
        module = Function(lambda x, add=add: x * scale + add)
        assert symmetry_group(module, num_tokens=5, dim=D).name == name


def test_rounding_is_no_leak() -> None:
    inside = Function(lambda x: x + (100 * x.float().exp().cumsum(1)[:, -1:].log()).double())
    found = symmetry_group(inside, num_tokens=5, dim=D)
    assert found.name == "S5"
    assert found.floor > 1e-9, "float32 inside"
    large = Function(lambda x: (x + 1e8).mean(1, True) - 1e8 + x)
    assert symmetry_group(large, num_tokens=5, dim=D).name == "S5"


def test_what_happens_seldom_counts() -> None:
    seldom = Function(lambda x: x + (x[:, :1].norm(dim=-1, keepdim=True) > 40) * x[:, :1])
    assert symmetry_group(seldom, num_tokens=5, dim=D).name == "S4 on tokens 1..4"


def test_samples_that_see_each_other() -> None:
    coupled = Function(lambda x: x - x.mean((0, 1), True))
    assert symmetry_group(coupled, num_tokens=5, dim=D).name == "S5"
    by_size = Function(lambda x: x.cumsum(1) if len(x) > 1 else x.sum(1, True) + x)
    assert symmetry_group(by_size, num_tokens=5, dim=D).name == "S5", "as it is for one sample"
    assert symmetry_group(by_size, example=torch.ones(2, 5, D)).name == "trivial"


@pytest.mark.parametrize("n", [5, 7])
@pytest.mark.parametrize(
    "body", [torch.zeros_like, lambda x: 1e-17 * x + 1, lambda x: x.mean(1) * 0 + 3]
)
def test_what_does_not_answer_says_nothing(body, n: int) -> None:
    found = symmetry_group(Function(body), num_tokens=n, dim=D)
    assert found.vacuous
    assert found.name.startswith("vacuous")
    assert "vacuous" in str(found)


def test_a_zero_gate_is_opened_first() -> None:
    """A residual that starts at zero would pass as permutation-equivariant."""

    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.gate = nn.Parameter(torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            return x + self.gate * x.cumsum(1)

    assert symmetry_group(Gated(), num_tokens=5, dim=D).name == "trivial"
    assert symmetry_group(Gated(), num_tokens=5, dim=D, randomise=False).name == "S5"


def test_shapes() -> None:
    flat = Function(lambda x: x + x.sum(-2, True).tanh())
    for shape in ((5, D), (1, 5, D), (3, 5, D), (2, 2, 5, D)):
        assert symmetry_group(flat, example=torch.ones(shape)).name == "S5"
    for pooled, name in ((True, "trivial"), (False, "S5")):
        found = symmetry_group(Function(lambda x: x.sum(-1)), num_tokens=5, dim=D, pooled=pooled)
        assert (found.name, found.pooled) == (name, pooled)
    assert symmetry_group(
        Function(lambda x: {"y": (x,), "z": x.sum(1)}), num_tokens=5, dim=D
    ).pooled


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: symmetry_group("net"), TypeError, "module is str, expected an nn.Module"),
        (lambda: symmetry_group(nn.ReLU()), ValueError, "dim is None"),
        (lambda: symmetry_group(nn.ReLU(), dim=0), ValueError, "dim is 0, expected at least 1"),
        (lambda: symmetry_group(nn.ReLU(), dim=4, num_tokens=1), ValueError, "num_tokens is 1"),
        (
            lambda: symmetry_group(nn.ReLU(), example=torch.ones(1, 5, D), num_tokens=6),
            ValueError,
            "num_tokens is 6, expected 5",
        ),
        (lambda: symmetry_group(nn.ReLU(), example=torch.ones(5)), ValueError, "example.shape"),
        (
            lambda: symmetry_group(nn.ReLU(), example=torch.ones(1, 5).long()),
            TypeError,
            "floating point",
        ),
        (
            lambda: symmetry_group(nn.ReLU(), example=tn.Tokens.dense(torch.ones(1, 5, D))),
            TypeError,
            "expected a tensor for ReLU",
        ),
        (
            lambda: symmetry_group(Function(lambda x: x.sum(-1)), dim=D),
            ValueError,
            "pooled=False if",
        ),
        (lambda: symmetry_group(Function(lambda x: x[:, 1:]), dim=D), ValueError, "one answer"),
        (lambda: symmetry_group(Function(torch.rand_like), dim=D), ValueError, "another at each"),
        (lambda: symmetry_group(Function(lambda x: x / 0), dim=D), ValueError, "not finite"),
        (lambda: symmetry_group(nn.LazyLinear(D), dim=D), ValueError, "lazy parameter"),
        (
            lambda: symmetry_group(tn.Attention(D, 2, tn.EdgeList())),
            ValueError,
            "structure.edges is None",
        ),
        (
            lambda: symmetry_group(
                tn.Attention(D, 2, tn.EdgeList()), edges=torch.tensor([[7], [0]]), num_tokens=5
            ),
            ValueError,
            r"edges is 7, expected less than num_tokens \(5\)",
        ),
        (
            lambda: symmetry_group(
                nn.ReLU(), dim=D, edges=tn.Edges(torch.tensor([[1], [0]]), torch.ones(1))
            ),
            ValueError,
            "an index alone",
        ),
        (
            lambda: symmetry_group(tn.Pointwise(D)).contains((0, 1, 1, 2, 3)),
            ValueError,
            "the numbers 0 to 4",
        ),
    ],
)
@pytest.mark.usefixtures("no_typecheck")
def test_bad_input(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_the_same_seed_gives_the_same() -> None:
    module = tn.Attention(D, 2, tn.Causal())
    state = torch.get_rng_state()
    one, two = (symmetry_group(module, seed=3) for _ in range(2))
    assert torch.equal(state, torch.get_rng_state())
    assert one == two
    assert one.gap != symmetry_group(module, seed=4).gap


def grid_shifts(rows: int, columns: int) -> list[tuple[int, ...]]:
    cells = torch.arange(rows * columns).view(rows, columns)
    return [tuple(cells.roll(1, axis).flatten().tolist()) for axis in (0, 1)]


def rook() -> list[tuple[int, ...]]:
    """Rows exchanged, and rows for columns."""
    cells = torch.arange(16).view(4, 4)
    turned = [cells[[1, 2, 3, 0]], cells[[1, 0, 2, 3]], cells.T]
    return [tuple(t.flatten().tolist()) for t in turned]


@pytest.mark.parametrize(
    ("name", "generators"),
    [
        ("trivial", [(0, 1, 2)]),
        ("S2 on tokens 0, 4", [swap(5, 0, 4)]),
        ("C3", [(1, 2, 0)]),
        ("A4", [(1, 2, 0, 3), (0, 2, 3, 1)]),
        ("D4", [(1, 2, 3, 0), (3, 2, 1, 0)]),
        ("C6", grid_shifts(2, 3)),
        ("C2 x C4", grid_shifts(2, 4)),
        ("C6 x C6", grid_shifts(6, 6)),
        ("C2 x C2 x C2", [tuple(i ^ k for i in range(8)) for k in (1, 2, 4)]),
        ("S2 x S2", [swap(4, 0, 1), swap(4, 2, 3)]),
        ("D5", [(1, 2, 3, 4, 0, 6, 7, 8, 9, 5), (4, 3, 2, 1, 0, 9, 8, 7, 6, 5)]),
        ("S2 wr S3", [swap(6, 0, 1), (2, 3, 4, 5, 0, 1), (2, 3, 0, 1, 4, 5)]),
        ("order 20 group", [(1, 2, 3, 4, 0), (0, 2, 4, 1, 3)]),
        ("S20", [swap(20, i, i + 1) for i in range(19)]),
        ("order 1152 group", rook()),
    ],
)
def test_names(name: str, generators: list[tuple[int, ...]]) -> None:
    assert name_of(Group(generators, len(generators[0]))) == name


def test_arithmetic_of_permutations() -> None:
    p, q = (1, 2, 0, 3), (3, 1, 2, 0)
    x = torch.randn(4)
    assert torch.equal(x[list(p)][list(q)], x[list(compose(p, q))])
    assert compose(p, inverse(p)) == (0, 1, 2, 3)
    assert ranges([0, 1, 3, 4, 5, 8]) == "0, 1, 3..5, 8"


@pytest.mark.parametrize(
    "generators",
    [
        [swap(8, 0, 1), swap(8, 1, 2), swap(8, 4, 5)],
        [swap(8, 0, 1), (1, 2, 3, 4, 5, 6, 7, 0)],
        [swap(8, 0, 4), (1, 2, 3, 0, 5, 6, 7, 4)],
        [(1, 2, 0, 3, 4, 5, 6, 7), (0, 2, 3, 4, 5, 6, 7, 1)],
        [],
    ],
)
def test_order_and_members_agree_with_sympy(generators: list[tuple[int, ...]]) -> None:
    from sympy.combinatorics import Permutation, PermutationGroup

    group = Group(generators, 8)
    known = PermutationGroup([Permutation(list(p), size=8) for p in [*generators, tuple(range(8))]])
    assert group.order == known.order()
    for _ in range(30):
        p = tuple(torch.randperm(8).tolist())
        assert group.contains(p) == known.contains(Permutation(list(p)))
    assert all(group.contains(tuple(p.array_form)) for p in known.generators)
