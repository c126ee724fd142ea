"""An optimizer over a surgery: what is kept moves on as if nothing had happened."""

from collections.abc import Callable

import pytest
import torch
from surgery_nets import CLASSES, DIM, images, places, vit
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Adam, AdamW, Optimizer

import tokennet as tn
from tokennet.surgery import over, swap

KINDS: dict[str, Callable[..., Optimizer]] = {
    "Adam": lambda p: Adam(p, lr=1e-2),
    "momentum": lambda p: SGD(p, lr=1e-2, momentum=0.9),
}


def train(net: tn.TokenNet, optimizer: Optimizer, steps: int = 3) -> None:
    x = images()
    for _ in range(steps):
        optimizer.zero_grad()
        cross_entropy(net(x), torch.arange(6) % CLASSES).backward()
        optimizer.step()


def fresh(dim: int) -> tn.Mixer:
    return tn.Convolution(dim, tn.Window(1))


@pytest.mark.parametrize("kind", KINDS)
def test_kept_parameters_move_as_without_surgery(kind: str) -> None:
    """Bit for bit: attention for attention, of the same pairs."""
    with_, without = vit(), vit()
    one, two = KINDS[kind](with_.parameters()), KINDS[kind](without.parameters())
    train(with_, one)
    train(without, two)
    report = swap(
        with_, "Attention", lambda dim: tn.Attention(dim, 3), optimizer=one, in_place=True
    )
    assert report.optimizer is not None
    assert (report.optimizer.dropped, report.optimizer.added) == (0, 0)
    assert report.optimizer.kept == len(list(with_.parameters()))
    train(with_, one)
    train(without, two)
    for p, q in zip(with_.parameters(), without.parameters(), strict=True):
        assert torch.equal(p, q)


def test_the_comparison_can_fail() -> None:
    """Without the moments the same steps lead elsewhere."""
    with_, without = vit(), vit()
    one, two = Adam(with_.parameters(), lr=1e-2), Adam(without.parameters(), lr=1e-2)
    train(with_, one)
    train(without, two)
    train(with_, Adam(with_.parameters(), lr=1e-2))
    train(without, two)
    assert not torch.equal(with_.readout.map.weight, without.readout.map.weight)


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_works_after_it(kind: str) -> None:
    net = vit()
    optimizer = KINDS[kind](net.parameters())
    train(net, optimizer)
    gone = [p for n, p in net.named_parameters() if n.startswith(places()[1])]
    kept = {n: p for n, p in net.named_parameters() if not n.startswith(places()[1])}
    states = {n: {k: torch.as_tensor(v).clone() for k, v in optimizer.state[p].items()}
              for n, p in kept.items()}  # fmt: skip
    report = swap(net, places()[1], fresh, optimizer=optimizer, in_place=True)
    assert report.optimizer is not None
    assert (report.optimizer.dropped, report.optimizer.added) == (8, 2)
    assert "optimizer: " in str(report)
    assert not any(p in optimizer.state for p in gone)
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert held == [id(p) for p in net.parameters()], "in the order of the net"
    for n, p in kept.items():
        assert all(
            torch.equal(torch.as_tensor(optimizer.state[p][k]), v) for k, v in states[n].items()
        )
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    train(net, optimizer, 1)
    for name, p in net.named_parameters():  # a softmax does not see the bias of the keys
        assert name.endswith("key.bias") or not torch.equal(p, before[name]), name
    again = KINDS[kind](net.parameters())
    again.load_state_dict(optimizer.state_dict())


def test_new_parameters_join_the_group_of_the_old() -> None:
    net = vit()
    matrices = [p for p in net.parameters() if p.ndim > 1]
    rest = [p for p in net.parameters() if p.ndim <= 1]
    optimizer = AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": rest, "lr": 1e-4}])
    swap(net, "Attention", lambda n: tn.TokenMLP(n), optimizer=optimizer, in_place=True)
    groups = [{id(p) for p in group["params"]} for group in optimizer.param_groups]
    for path in places():
        mlp = net.get_submodule(path)
        assert {id(mlp.expand.weight), id(mlp.contract.weight)} <= groups[0]
        assert {id(mlp.expand.bias), id(mlp.contract.bias)} <= groups[1]
    assert set.union(*groups) == {id(p) for p in net.parameters()}
    assert optimizer.param_groups[1]["lr"] == 1e-4
    train(net, optimizer, 1)


def test_parts_without_parameters_and_parts_that_are_not_trained() -> None:
    net = vit(lambda: tn.Pooling())
    optimizer = Adam(net.parameters())
    swap(net, "Pooling", fresh, optimizer=optimizer, in_place=True)
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in net.parameters()}
    net = vit()
    optimizer = Adam(net.readout.parameters())
    report = swap(net, "Attention", fresh, optimizer=optimizer, in_place=True)
    assert report.optimizer is not None
    assert (report.optimizer.kept, report.optimizer.added) == (4, 0)


def test_a_parameter_that_is_used_elsewhere_stays() -> None:
    net = vit()
    first, second = (net.get_submodule(path) for path in places(2))
    second.query = first.query
    optimizer = Adam(net.parameters())
    swap(net, places()[0], fresh, optimizer=optimizer, in_place=True)
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in net.parameters()}
    assert id(second.query.weight) in held


def test_a_refused_swap_leaves_the_optimizer() -> None:
    net = vit()
    optimizer = Adam(net.parameters())
    train(net, optimizer)
    before = [list(group["params"]) for group in optimizer.param_groups]
    with pytest.raises(ValueError, match="dim of Pointwise"):
        swap(net, "Attention", lambda: tn.Pointwise(DIM + 1), optimizer=optimizer, in_place=True)
    after = [list(group["params"]) for group in optimizer.param_groups]
    assert all(p is q for p, q in zip(before[0], after[0], strict=True))


def test_refused(no_typecheck: None) -> None:
    net = vit()
    other = Adam(vit().parameters())
    with pytest.raises(ValueError, match="optimizer is Adam, expected one that holds parameters"):
        swap(net, "Attention", over(tn.Full()), optimizer=other, in_place=True)
    with pytest.raises(ValueError, match="in_place is False, expected True with an optimizer"):
        swap(net, "Attention", over(tn.Full()), optimizer=Adam(net.parameters()))
    with pytest.raises(TypeError, match=r"optimizer is Linear, expected a torch\.optim"):
        swap(net, "Attention", over(tn.Full()), optimizer=nn.Linear(1, 1), in_place=True)
