"""A student learns what its teacher does, and nothing else changes."""

from typing import Any

import pytest
import torch
from surgery_nets import DIM, images, places, vit

import tokennet as tn
from tokennet.surgery import distill, over, swap


def distance(one: tn.TokenNet, two: tn.TokenNet) -> float:
    x = images(8, seed=9)
    with torch.no_grad():
        a, b = one(x), two(x)
    return float((a - b).norm() / b.norm())


def batches() -> list[torch.Tensor]:
    return [images(8, seed=seed) for seed in range(4)]


def states(net: tn.TokenNet) -> list[torch.Tensor]:
    return [t.clone() for t in net.state_dict().values()]


def same(one: list[torch.Tensor], two: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("parts", [(1.0, 1.0), (1.0, 0.0), (0.0, 1.0)], ids=str)
def test_it_comes_closer(parts: tuple[float, float]) -> None:
    teacher = vit()
    student = swap(teacher, "Attention", lambda n: tn.TokenMLP(n)).net
    before, kept = distance(student, teacher), states(teacher)
    losses = distill(
        student, teacher, batches(), steps=60, lr=5e-3, hidden=parts[0], answers=parts[1]
    )
    assert len(losses) == 60
    assert losses[-1] < 0.5 * losses[0]
    assert distance(student, teacher) < 0.8 * before
    assert same(kept, states(teacher))


def test_a_student_that_does_the_same_has_no_loss() -> None:
    teacher = vit()
    student = swap(teacher, "Attention", over(tn.Window(16))).net
    assert distill(student, teacher, batches(), steps=1, lr=0.0)[0] < 1e-20


def test_the_loss() -> None:
    """Zeros are as bad as 1, in the tokens and in the answers."""
    teacher = vit()
    student = swap(teacher, "Attention", lambda old: old).net
    for p in student.parameters():
        torch.nn.init.zeros_(p)
    loss = distill(student, teacher, batches(), steps=1, hidden=2.0, answers=3.0)[0]
    assert loss == pytest.approx(5)


@pytest.mark.parametrize("only", ["report", "pattern"])
def test_only_what_was_exchanged(only: str) -> None:
    teacher = vit()
    report = swap(teacher, places()[1], lambda n: tn.TokenMLP(n), example=images(8))
    student = report.net
    frozen = student.readout.map.bias
    frozen.requires_grad_(False)
    before = {n: p.detach().clone() for n, p in student.named_parameters()}
    chosen: Any = report if only == "report" else places()[1]
    distill(student, teacher, batches(), steps=3, only=chosen)
    for name, p in student.named_parameters():
        assert torch.equal(p, before[name]) != name.startswith(places()[1]), name
        assert p.requires_grad == (p is not frozen)
        assert p.grad is None


def test_modes_are_restored() -> None:
    teacher, student = vit().train(), vit(seed=1).eval()
    teacher.mixers[1].eval()
    seen = []
    hook = student.readout.register_forward_hook(lambda m, *_: seen.append(m.training))
    distill(student, teacher, batches(), steps=1)
    hook.remove()
    assert seen == [True]
    assert (teacher.training, teacher.mixers[1].training, student.training) == (True, False, False)
    assert not any(m.training for m in student.modules())
    assert all(p.requires_grad and p.grad is None for p in teacher.parameters())


def test_batches_with_structures_and_padding() -> None:
    """What stands at padding is not learned."""
    mixers = [tn.Block(4, tn.Attention(4, 2))]
    teacher = tn.TokenNet(tn.FeatureTokenizer(3, 4), mixers, tn.TokenReadout(4, 2))
    student = swap(teacher, "Attention", tn.LinearAttention).net
    valid = torch.tensor([[True, True, False], [True, True, True]])
    x = torch.randn(2, 3, 3)
    losses = [
        distill(student, teacher, [(y, tn.Structure.padded(valid))], steps=1, lr=0.0)[0]
        for y in (x, x.masked_fill(~valid[..., None], 9.0))
    ]
    assert losses[0] == pytest.approx(losses[1])
    packed = tn.Tokens.from_list([x[0, :2], x[1]])
    assert distill(student, teacher, [packed], steps=1, lr=0.0)[0] == pytest.approx(
        losses[0], rel=1e-4
    )


def test_refused(no_typecheck: None) -> None:
    net, other = vit(), vit()
    once = iter(batches())
    cases: list[tuple[Any, type[Exception], str]] = [
        (lambda: distill(net, net, [], steps=1), ValueError, "student is parameters of the tea"),
        (lambda: distill(net, other, [], steps=1), ValueError, "batches is through after 0"),
        (lambda: distill(net, other, once, steps=9), ValueError, "batches is through after 4"),
        (lambda: distill(net, other, batches(), steps=0), ValueError, "steps is 0"),
        (lambda: distill(net, other, batches(), steps=1, lr="1"), TypeError, "lr is '1', expect"),
        (
            lambda: distill(net, other, batches(), steps=1, hidden=0, answers=0),
            ValueError,
            r"hidden \+ answers is 0, expected more than 0",
        ),
        (
            lambda: distill(net, vit(depth=2), batches(), steps=1),
            ValueError,
            "mixers of student is 4, expected 3 as of the teacher; or hidden=0",
        ),
        (
            lambda: distill(vit(tn.Pooling), other, batches(), steps=1, only="Pooling"),
            ValueError,
            "only is Pooling, expected parts with parameters that require gradients",
        ),
        (lambda: distill(net.readout, other, [], steps=1), TypeError, "student is MeanReadout"),
    ]
    for call, error, match in cases:
        with pytest.raises(error, match=match):
            call()
    assert net.dim == DIM
