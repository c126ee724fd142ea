"""Who is who in a call: told from names and shapes, and given back in the same form."""

import pytest
import torch
from torch import Tensor, nn

from tokennet.audit.adapter import Adapter
from tokennet.audit.rendering import Adapted, NotRepresentableError
from tokennet.audit.resolve import resolve
from tokennet.audit.roles import Roles
from tokennet.audit.session import Session
from tokennet.structure import Edges, Structure, Tokens
from tokennet.verify.plans import Domain

B, N, D = 2, 5, 4


class Given(nn.Module):
    """Gives x back, and remembers its arguments."""

    def forward(self, x, mask=None, edge_index=None, batch=None, other=None):
        self.seen = {
            "x": x, "mask": mask, "edge_index": edge_index, "batch": batch, "other": other,
        }  # fmt: skip
        return x


def call(roles: Roles, tokens: Tokens) -> dict[str, object]:
    module = Given()
    Adapted(module, roles).run(Adapted(module, roles).call(tokens.x, tokens.structure), tokens.x)
    return module.seen


def padded(lengths: tuple[int, ...] = (5, 3)) -> Tokens:
    valid = torch.arange(N)[None] < torch.tensor(lengths)[:, None]
    return Tokens(torch.randn(len(lengths), N, D), Structure.padded(valid))


@pytest.mark.parametrize(
    ("mask", "kind", "wanted"),
    [
        (torch.ones(B, N, dtype=torch.bool), None, lambda v: v),
        (torch.ones(B, N, dtype=torch.int64), None, lambda v: v.long()),
        (torch.ones(B, N), None, lambda v: v.float()),
        (torch.zeros(B, N, dtype=torch.bool), "ignore", lambda v: ~v),
        (torch.ones(B, N, 1), None, lambda v: v.float()[..., None]),
        (torch.ones(B, 1, 1, N, dtype=torch.bool), None, lambda v: v[:, None, None]),
        (torch.ones(B, N, N, dtype=torch.bool), None, lambda v: v[:, None].expand(-1, N, -1)),
        (torch.tensor([5, 3]), None, lambda v: v.sum(1)),
    ],
)
def test_masks_come_in_the_form_of_the_example(mask: Tensor, kind: str, wanted) -> None:
    x = torch.randn(B, N, D)
    roles = resolve(Given(), (x, mask), Adapter(mask="mask", mask_kind=kind))
    tokens = padded()
    seen = call(roles, tokens)["mask"]
    expected = wanted(tokens.structure.layout.valid)
    assert isinstance(seen, Tensor)
    assert seen.dtype == mask.dtype
    assert torch.equal(seen, expected)


def test_additive_masks_are_told_by_their_numbers() -> None:
    mask = torch.zeros(B, N)
    mask[1, 3:] = torch.finfo(torch.float32).min
    roles = resolve(Given(), (torch.randn(B, N, D), mask), Adapter())
    assert roles.mask is not None
    assert roles.mask.kind == "additive"
    assert torch.equal(call(roles, padded())["mask"], mask)


def test_absent_masks_of_dense_batches() -> None:
    """A mask that may be None is None where nothing is padding, and a tensor where it says so."""
    roles = resolve(Given(), (torch.randn(B, N, D),), Adapter(mask="mask"))
    assert call(roles, Tokens.dense(torch.randn(B, N, D)))["mask"] is None
    explicit = Tokens(torch.randn(B, N, D), Structure.padded(torch.ones(B, N, dtype=torch.bool)))
    assert bool(call(roles, explicit)["mask"].all())


@pytest.mark.parametrize(
    ("layout", "shape", "turn"),
    [
        ("bnd", (B, N, D), lambda x: x),
        ("nbd", (N, B, D), lambda x: x.transpose(0, 1)),
        ("bdn", (B, D, N), lambda x: x.transpose(1, 2)),
    ],
)
def test_layouts(layout: str, shape: tuple[int, ...], turn) -> None:
    roles = resolve(Given(), torch.randn(shape), Adapter(layout=layout))
    tokens = Tokens.dense(torch.randn(B, N, D))
    assert roles.size() == (B, N)
    assert torch.equal(call(roles, tokens)["x"], turn(tokens.x))


def test_tokens_first_is_told_from_the_mask() -> None:
    mask = torch.ones(B, N, dtype=torch.bool)
    roles = resolve(Given(), (torch.randn(N, B, D), mask), Adapter())
    assert roles.tokens.layout == "nbd"


def test_ids_stay_in_their_vocabulary() -> None:
    roles = resolve(Given(), torch.randint(3, 9, (B, N)), Adapter(vocabulary=(3, 8)))
    ids = call(roles, Tokens.dense(torch.randn(B, 40, 1)))["x"]
    assert not ids.is_floating_point()
    assert set(ids.flatten().tolist()) == set(range(3, 9))
    zeros = call(roles, Tokens.dense(torch.zeros(B, 4, 1)))["x"]
    assert bool((zeros == 3).all())


def test_a_list_of_all_samples() -> None:
    x, batch = torch.randn(7, D), torch.tensor([0, 0, 0, 1, 1, 1, 1])
    index = torch.tensor([[0, 1], [1, 2]])
    roles = resolve(Given(), (x, None, index, batch), Adapter())
    assert roles.packed
    assert roles.size() == (2, 4)
    edges = Edges(torch.tensor([[0, 4], [1, 3]]))
    seen = call(roles, Tokens(torch.randn(5, D), Structure.packed([2, 3], edges=edges)))
    assert seen["batch"].tolist() == [0, 0, 1, 1, 1]
    assert torch.equal(seen["edge_index"], edges.index)


def test_last_samples_without_tokens_need_a_count() -> None:
    roles = resolve(Given(), {"x": torch.randn(3, D), "batch": torch.tensor([0, 0, 1])}, Adapter())
    with pytest.raises(NotRepresentableError, match="last sample"):
        call(roles, Tokens(torch.randn(2, D), Structure.packed([2, 0])))


def test_matrices_have_a_row_for_each_target() -> None:
    matrix = torch.zeros(B, N, N)
    roles = resolve(Given(), (torch.randn(B, N, D), None, matrix), Adapter())
    assert roles.edges_form == "matrices"
    edges = Edges(torch.tensor([[1, 5], [0, 9]]))  # 1 -> 0 in sample 0, 0 -> 4 in sample 1
    seen = call(roles, Tokens(torch.randn(B, N, D), Structure.dense(B, N, edges=edges)))
    assert seen["edge_index"].nonzero().tolist() == [[0, 0, 1], [1, 4, 0]]


def test_arguments_alongside_travel_with_the_tokens() -> None:
    x, kinds = torch.randn(B, N, D), torch.randint(0, 3, (B, N))
    roles = resolve(Given(), {"x": x, "other": kinds}, Adapter())
    assert [c.key for c in roles.alongside] == ["other"]
    assert roles.width == D + 1
    tokens = Tokens.dense(torch.randn(B, N, D + 1))
    seen = call(roles, tokens)
    assert torch.equal(seen["x"], tokens.x[..., :D])
    assert seen["other"].shape == (B, N)
    assert set(seen["other"].flatten().tolist()) <= {0, 1, 2}


def test_the_same_tensor_twice_stays_one() -> None:
    module = nn.MultiheadAttention(D, 2, batch_first=True)
    x = torch.randn(B, N, D)
    roles = resolve(module, (x, x, x), Adapter(mask="key_padding_mask"))
    assert roles.ties == (1, 2)
    made = Adapted(module, roles).call(x, Structure.dense(B, N))
    assert made.positional[0] is made.positional[1] is made.positional[2]


@pytest.mark.parametrize(
    ("adapter", "words"),
    [
        ({"tokens": "y"}, r"tokens is 'y', expected an argument of forward: x, mask"),
        ({"mask": "msk"}, r"did you mean 'mask'"),
        ({"tokens": 7}, r"tokens is 7"),
        ({"layout": "bnd"}, r"tokens.shape is \(5, 4\), expected axes bnd"),
    ],
)
def test_bad_adapters_are_refused(adapter: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        resolve(Given(), torch.randn(N, D), Adapter(**adapter))


def test_bad_fields_are_refused() -> None:
    with pytest.raises(ValueError, match="mask_kind is 'kept', expected one of keep, ignore"):
        Adapter(mask_kind="kept")
    with pytest.raises(TypeError, match="tokens is Tensor, expected an argument's name"):
        Adapter(tokens=torch.randn(2))
    with pytest.raises(ValueError, match=r"vocabulary is \(5, 2\)"):
        Adapter(vocabulary=(5, 2))


class Shaped(nn.Module):
    """Outputs of many shapes."""

    def __init__(self, kind: str):
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> object:
        pooled = x.mean(1)
        return {
            "tokens": x, "pooled": pooled, "first": x.transpose(0, 1), "scalar": x.sum(),
            "class": torch.cat([pooled[:, None], x], 1), "layers": torch.stack([pooled, pooled]),
            "tuple": (x, pooled), "field": {"logits": x, "extra": pooled},
            "complex": torch.complex(x, x), "flat": x.sum((1, 2)),
        }[self.kind]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("tokens", (0, 1, 0)),
        ("pooled", (0, None, 0)),
        ("first", (1, 0, 0)),
        ("class", (0, 1, 1)),
        ("layers", (1, None, 0)),
        ("tuple", (0, 1, 0)),
        ("field", (0, 1, 0)),
        ("complex", (0, 1, 0)),
        ("flat", (0, None, 0)),
        ("scalar", (None, None, 0)),
    ],
)
def test_axes_of_the_answer_are_found(kind: str, form: tuple) -> None:
    module = Shaped(kind)
    roles = resolve(module, torch.randn(B, N, D), Adapter())
    session = Session(module, roles, Domain(dim=D, dtypes=(torch.float64,))).opened()
    assert session.form is not None
    assert (session.form.samples, session.form.tokens, session.form.front) == form
    rows = session.rows(
        session.copy(session.plain((6, 6, 6))), session.tokens(session.plain((6,) * 3))
    )
    if kind != "scalar":
        assert rows.shape[0] == (3 if form[1] is None else 18)
