"""What a call must leave alone: inputs, weights, buffers, modes, random generators, settings."""

import random
from collections.abc import Iterator

import torch
from torch import Tensor

from tokennet.audit.compare import Finding, output
from tokennet.audit.conduct import Seen
from tokennet.audit.rendering import Adapted, Call, RefusedError
from tokennet.audit.session import Session
from tokennet.structure import Tokens
from tokennet.verify.plans import Plan

_EPS = torch.finfo(torch.float64).eps  # a change is a change: nothing here is rounded
_HELD = Finding(0.0, _EPS)


def purity(session: Session, plan: Plan, tokens: Tokens) -> Iterator[Seen]:
    """One call with autograd and a backward pass, and one without; all else compared bit by bit."""
    module = session.copy(plan, fresh=True)
    given: list[tuple[Tensor, Tensor]] = []

    def remember(call: Call) -> Call:
        owned = call.mapped(lambda t: t.detach().clone().requires_grad_(t.requires_grad))
        given.extend((t, t.detach().clone()) for t in owned.tensors())
        return owned

    module.change = remember
    for no_grad in (True, False):
        given.clear()
        state = _State(module, plan, session)
        try:
            output(module, tokens, session.pooled, no_grad=no_grad)
        except RefusedError as error:  # torch itself refuses to change a leaf in place
            if "in-place" not in str(error):
                raise
            yield Seen(Finding(1.0, _EPS, "input"), f"the input is changed in place: {error}")
            return
        problem = state.problem(given)
        finding = Finding(1.0, _EPS, "call itself") if problem else _HELD
        mode = "with autograd off" if no_grad else "with autograd on"
        yield Seen(finding, f"{problem or 'nothing'} changed, {mode}")


class _State:
    """All that a call could change, before it."""

    def __init__(self, module: Adapted, plan: Plan, session: Session):
        self.module = module
        self.draws = plan.train in session.random_modes
        self.train = plan.train
        self.weights = {name: t.detach().clone() for name, t in self._kept().items()}
        self.modes = {name: m.training for name, m in module.named_modules()}
        self.learned = {name: p.requires_grad for name, p in module.named_parameters()}
        torch.default_generator.manual_seed(plan.change)
        random.seed(plan.change)
        for _ in range(3):  # a generator that a module seeds must not stand there already
            torch.rand(1)
            random.random()
        self.generators = (torch.get_rng_state(), random.getstate(), _numpy_state())
        self.settings = _settings()

    def _kept(self) -> dict[str, Tensor]:
        """Weights, and buffers in eval mode: in train mode those of a norm follow the batch."""
        kept: dict[str, Tensor] = dict(self.module.named_parameters())
        if not self.train:
            kept.update(self.module.named_buffers())
        return kept

    def problem(self, given: list[tuple[Tensor, Tensor]]) -> str:
        """What was changed, in words; empty if nothing was."""
        for value, before in given:
            if not _equal(value, before):
                return f"an input of shape {tuple(before.shape)}"
        now = self._kept()
        for name in {**self.weights, **now}:
            both = name in now and name in self.weights
            if not both or not _equal(now[name], self.weights[name]):
                return f"the weight or buffer {name.removeprefix('module.')}"
        if {name: m.training for name, m in self.module.named_modules()} != self.modes:
            return "train or eval mode of a part"
        if {n: p.requires_grad for n, p in self.module.named_parameters()} != self.learned:
            return "requires_grad of a weight"
        state = torch.get_rng_state()
        if not self.draws and not torch.equal(state, self.generators[0]):
            return "torch's random generator"
        if random.getstate() != self.generators[1] or _numpy_state() != self.generators[2]:
            return "a random generator of Python or numpy"
        return "a global setting of torch" if _settings() != self.settings else ""


def _equal(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.equal(a.detach().nan_to_num(), b.nan_to_num())


def _numpy_state() -> bytes:
    import numpy as np

    state = np.random.get_state(legacy=False)["state"]
    return state["key"].tobytes() + bytes(str(state["pos"]), "ascii")


def _settings() -> tuple[object, ...]:
    return (
        torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision(),
    )  # fmt: skip
