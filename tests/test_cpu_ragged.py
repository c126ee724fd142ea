"""Compiled attention over samples of different lengths, and its form in buckets, beside dense
attention in float64: outputs, log-sums and every gradient."""

import math
from typing import NamedTuple

import pytest
import torch
from cpu_variants import threads, variant  # noqa: F401 - fixtures
from torch import Tensor

from tokennet.ops import buckets
from tokennet.ops.buckets import attend_buckets
from tokennet.ops.cpu import ragged

LENGTHS = [[], [0], [1], [7, 0, 1], [63, 64, 65], [5] * 9, [200, 1, 130], [16, 33, 0, 31]]
HEADS = [(1, 1, 1), (3, 3, 3), (4, 8, 8), (1, 16, 16), (4, 20, 5), (8, 32, 1), (3, 64, 64),
         (1, 128, 128), (2, 5, 33)]  # fmt: skip


class Case(NamedTuple):
    """Inputs of a call, in float32."""

    q: Tensor
    k: Tensor
    v: Tensor
    ptr: Tensor
    k_ptr: Tensor
    causal: bool
    scale: float


class Outcome(NamedTuple):
    out: Tensor
    log_sum: Tensor
    q: Tensor
    k: Tensor
    v: Tensor


def pointer(lengths: list[int]) -> Tensor:
    return torch.tensor([0, *lengths], dtype=torch.int64).cumsum(0)


def make(
    lengths: list[int], heads: tuple[int, int, int], causal: bool, sources: list[int] | None = None
) -> Case:
    """Where targets are the sources, q, k and v are parts of one tensor, if they are as wide."""
    num_heads, size, channels = heads
    others = lengths if sources is None else sources
    q = torch.randn(sum(lengths), 3, num_heads, size)
    k = q if sources is None else torch.randn(sum(others), 3, num_heads, size)
    v = k if size == channels else torch.randn(sum(others), 3, num_heads, channels)
    ptr, k_ptr = pointer(lengths), pointer(others)
    return Case(q[:, 0], k[:, 1], v[:, 2], ptr, k_ptr, causal, size**-0.5)


def dense(case: Case, grad: Tensor) -> Outcome:
    """Sample by sample, through whole matrices in float64."""
    leaves = [t.double().requires_grad_() for t in case[:3]]
    outs, sums = [leaves[2][:0]], [leaves[0].new_zeros(0)]
    for i in range(len(case.ptr) - 1):
        targets = slice(*case.ptr[i : i + 2].tolist())
        sources = slice(*case.k_ptr[i : i + 2].tolist())
        q, k, v = leaves[0][targets], leaves[1][sources], leaves[2][sources]
        scores = torch.einsum("nhd,mhd->nhm", q, k) * case.scale
        if case.causal:
            later = torch.ones(len(q), len(k), dtype=torch.bool).triu(1)
            scores = scores.masked_fill(later[:, None], -math.inf)
        outs.append(torch.einsum("nhm,mhc->nhc", scores.softmax(-1), v))
        empty = scores.new_full(scores.shape[:2], math.inf)
        sums.append((scores.logsumexp(-1) if len(k) else empty).flatten().detach())
    out = torch.cat(outs)
    grads = torch.autograd.grad(
        out, leaves, grad.double(), allow_unused=True, materialize_grads=True
    )
    return Outcome(out.detach(), torch.cat(sums).view(len(out), case.q.shape[1]), *grads)


def compiled(case: Case, grad: Tensor) -> Outcome:
    out, log_sum = ragged.ragged_attend(*case)
    grads = ragged.ragged_attend_backward(grad, *case[:3], out, log_sum, *case[3:])
    return Outcome(out, log_sum, *grads)


def bucketed(case: Case, grad: Tensor) -> list[Tensor]:
    leaves = [t.detach().requires_grad_() for t in case[:3]]
    out = attend_buckets(*leaves, *case[3:])
    grads = torch.autograd.grad(out, leaves, grad, allow_unused=True, materialize_grads=True)
    return [out.detach(), *grads]


def assert_agrees(case: Case, scale: float = 1.0) -> None:
    grad = torch.randn(len(case.q), *case.v.shape[1:])
    found, expected = compiled(case, grad), dense(case, grad)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == torch.float32
        assert a.shape == b.shape
        finite = b[b.isfinite()]
        size = max(1.0, float(finite.abs().max()) if len(finite) else 0.0)
        limit = 32 * torch.finfo(torch.float32).eps * scale * size
        torch.testing.assert_close(a.double(), b, rtol=0, atol=limit)


@pytest.mark.usefixtures("variant")
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_within_samples(lengths: list[int], heads: tuple[int, int, int], causal: bool) -> None:
    assert_agrees(make(lengths, heads, causal))


@pytest.mark.usefixtures("variant")
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("heads", [(1, 1, 1), (4, 20, 5), (3, 64, 64)])
def test_across_samples(heads: tuple[int, int, int], causal: bool) -> None:
    """Other sources than targets: none, one, fewer, more."""
    case = make([5, 0, 70, 9, 33, 1], heads, causal, sources=[0, 4, 1, 70, 33, 150])
    assert_agrees(case)
    out, log_sum = ragged.ragged_attend(*case)
    assert not out[:5].any()
    assert log_sum[:5].eq(math.inf).all()
    assert log_sum[5:].isfinite().all()


@pytest.mark.usefixtures("variant")
@pytest.mark.parametrize("causal", [False, True])
def test_more_queries_than_a_task_and_more_keys_than_a_chunk(causal: bool) -> None:
    assert_agrees(make([1100, 3], (2, 8, 8), causal), scale=4)


@pytest.mark.usefixtures("variant")
def test_extreme_logits() -> None:
    """+-1e4: the largest wins, nothing overflows, and weights elsewhere are exactly 0."""
    case = make([40, 3, 25], (2, 1, 4), False)
    case = case._replace(q=100 * case.q.sign(), k=100 * case.k, scale=1.0)
    assert (case.q * case.k).abs().max() > 1e4
    assert_agrees(case, scale=1e3)
    assert_agrees(case._replace(causal=True), scale=1e3)


@pytest.mark.usefixtures("variant")
def test_samples_do_not_see_each_other() -> None:
    """Not even infinities and NaN of a neighbour, nor what stands in the rest of a strided row."""
    case = make([33, 20, 7], (2, 5, 5), False)
    grad = torch.randn(60, 2, 5)
    before = compiled(case, grad)
    for t in case[:3]:
        t[:33] = math.nan
        t[53:] = math.inf
    after = compiled(case, grad)
    for a, b in zip(before, after, strict=True):
        assert torch.equal(a[33:53], b[33:53])
        assert a.isfinite().all()


@pytest.mark.usefixtures("variant", "threads")
def test_threads_change_no_bit() -> None:
    case = make([300, 1, 70, 600, 64], (4, 16, 16), True)
    grad = torch.randn(len(case.q), 4, 16)
    torch.set_num_threads(1)
    one = compiled(case, grad)
    for number in (2, 3, 7):
        torch.set_num_threads(number)
        for a, b in zip(compiled(case, grad), one, strict=True):
            assert torch.equal(a, b)


@pytest.mark.usefixtures("variant")
def test_results_of_a_sample_depend_on_nothing_else() -> None:
    """Alone or among others, at whichever place: the same bits."""
    case = make([50, 37, 90], (3, 20, 20), False)
    grad = torch.randn(177, 3, 20)
    among = compiled(case, grad)
    alone = Case(*(t[50:87].clone() for t in case[:3]), pointer([37]), pointer([37]), *case[5:])
    for a, b in zip(among, compiled(alone, grad[50:87]), strict=True):
        assert torch.equal(a[50:87], b)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("heads", [(1, 1, 1), (4, 20, 5), (3, 16, 16)])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("across", [False, True])
def test_buckets(
    across: bool, lengths: list[int], heads: tuple[int, int, int], causal: bool
) -> None:
    sources = list(reversed(lengths)) if across else None
    case = make(lengths, heads, causal, sources)
    case = case._replace(**{name: getattr(case, name).double() for name in "qkv"})
    grad = torch.randn(len(case.q), *case.v.shape[1:], dtype=torch.float64)
    expected = dense(case, grad)
    without_sum = (expected.out, expected.q, expected.k, expected.v)
    for a, b in zip(bucketed(case, grad), without_sum, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_buckets_are_not_padded_to_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The widths that torch's attention sees."""
    seen = []
    attend = torch.nn.functional.scaled_dot_product_attention

    def watched(q: Tensor, *args: Tensor, **options: object) -> Tensor:
        seen.append(tuple(q.shape[::2]))
        return attend(q, *args, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    lengths = [10, 100, 11, 10, 98, 50]
    case = make(lengths, (2, 4, 4), False)
    bucketed(case, torch.randn(len(case.q), 2, 4))
    assert sum(size for size, _ in seen) == len(lengths)
    assert sum(size * width for size, width in seen) <= buckets.STEP * sum(lengths)


def test_zero_sized_heads() -> None:
    ptr = pointer([3, 2])
    out, log_sum = ragged.ragged_attend(*(torch.zeros(5, 0, 4),) * 3, ptr, ptr, False, 1.0)
    assert out.shape == (5, 0, 4)
    assert log_sum.shape == (5, 0)


@pytest.mark.usefixtures("no_typecheck")
def test_errors() -> None:
    case = make([3, 2], (2, 4, 4), False)
    wrong = {
        r"k.shape is \(5, 2, 3\), expected \[M, 2, 4\] as q": {"k": case.k[..., :3]},
        r"v.shape is \(4, 2, 4\), expected \[5, 2, C\] as k": {"v": case.v[:4]},
        r"k_ptr.shape is \(2,\), expected \(3,\) as ptr": {"k_ptr": pointer([5])},
        r"ptr\[-1\] is 6, expected 5, the number of rows": {"ptr": pointer([3, 3])},
    }
    for message, change in wrong.items():
        for run in (ragged.ragged_attend, attend_buckets):
            with pytest.raises(ValueError, match=message):
                run(*case._replace(**change))
    with pytest.raises(TypeError, match=r"q is torch.float64 on cpu, expected torch.float32"):
        ragged.ragged_attend(*case._replace(q=case.q.double()))
