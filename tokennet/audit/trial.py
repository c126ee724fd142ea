"""One law on one input: tried, and what broke it looked at twice.

A difference counts only if it is there between copies that were never called, in the module's own
number type too, and if the module gives the same for the same input.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from tokennet.audit.compare import (
    Finding,
    compare_gradients,
    compare_outputs,
    gap,
    least_floor,
    pushed,
    rows_of,
    unchanged,
)
from tokennet.audit.rendering import Adapted
from tokennet.audit.session import Session
from tokennet.laws import Case, Law
from tokennet.structure import Tokens
from tokennet.verify.check import REFUTED, relative_error
from tokennet.verify.plans import TIED, Plan

Part = Literal["output", "gradient"]
Confirmation = Literal["broken", "state", "unstable", "float64 only", "rounding"]

# Laws of which a batch norm in train mode is no counterexample: there samples meet by design.
_FROZEN = ("BatchIndependence", "Causality", "Prefix", "Locality")
_MIXING = ("Permutation", "CyclicShift", "GridShift")


@dataclass(frozen=True)
class Trial:
    """What one law showed on one input."""

    plan: Plan
    finding: Finding
    change: str
    bites: bool


@dataclass(eq=False)
class Input:
    """A plan with its tokens and, once asked, the outputs for them."""

    session: Session
    plan: Plan
    tokens: Tokens
    kept: dict[bool, Tensor]
    heard: bool | None = None

    @staticmethod
    def of(session: Session, plan: Plan) -> "Input":
        return Input(session, plan, session.tokens(plan), {})

    def frozen(self, law: Law) -> bool:
        return law.name in _FROZEN and self.plan.train

    def module(self, law: Law, *, fresh: bool = False) -> Adapted:
        return self.session.copy(self.plan, frozen=self.frozen(law), fresh=fresh)

    def output(self, law: Law) -> Tensor:
        """The output for the tokens, computed once."""
        key = self.frozen(law)
        if key not in self.kept:
            self.kept[key] = self.session.rows(
                self.module(law), self.tokens, no_grad=self.plan.no_grad
            )
        return self.kept[key]

    def answers(self, law: Law) -> bool:
        """Whether the output moves when all tokens do."""
        if self.heard is None:
            x = self.tokens.x
            wave = torch.cos(torch.arange(x.numel(), dtype=x.dtype).view(x.shape) + 0.5)
            moved = x + x.abs().amax().clamp_min(1e-3) * wave if x.numel() else x
            other = self.session.rows(self.module(law), Tokens(moved, self.tokens.structure))
            valid = self.tokens.structure.layout.valid.flatten()
            keep = slice(None) if self.session.pooled else valid
            a, b = self.output(law)[keep], other[keep]
            zero = torch.zeros((), dtype=a.dtype)
            finite = a.isfinite() & b.isfinite()
            a, b = torch.where(finite, a, zero), torch.where(finite, b, zero)
            self.heard = relative_error(a.double(), b.double(), by_channel=False) > 1e-6
        return self.heard


def case_of(law: Law, given: Input) -> Case | None:
    """The changed input of a law; None where it has nothing to say of this one."""
    if law.padded_only and given.session.roles.packed:
        return None
    rng = torch.Generator().manual_seed(given.plan.change)
    found = law.case(given.tokens, rng)
    if found is None or rows_of(found, given.session.pooled) is None:
        return None
    layout = found.tokens.structure.layout
    size = layout.max_length
    if not given.session.within(layout.batch, size):
        return None
    return replace(found, tokens=given.session.bounded(found.tokens))


def try_outputs(law: Law, given: Input, case: Case) -> Trial | None:
    """The outputs of a case."""
    session = given.session
    finding = compare_outputs(
        given.module(law), given.tokens, case, given.output(law),
        pooled=session.pooled, no_grad=given.plan.no_grad,
    )  # fmt: skip
    if finding is None:
        return None
    return Trial(given.plan, finding, case.witness, _bites(law, given, case))


def try_gradients(law: Law, given: Input, case: Case) -> tuple[Trial, Case | None] | None:
    """The gradients of a case; and, if one is out of reach, tokens moved along it."""
    if given.plan.values in TIED:  # a maximum may give its gradient to any of equals
        return None
    session, module = given.session, given.module(law)
    found = compare_gradients(module, given.tokens, case, pooled=session.pooled)
    if found is None:
        return None
    finding, one, two = found
    trial = Trial(given.plan, finding, case.witness, _bites(law, given, case))
    if not finding.refuted or "out of reach" not in finding.what:
        return trial, None
    return trial, pushed(case, two[2]) or pushed(unchanged(case, given.tokens), one[2])


def _bites(law: Law, given: Input, case: Case) -> bool:
    """Whether the case could have failed: the input differs, and the output answers to it."""
    if not given.tokens.x.numel():
        return False
    layout = given.tokens.structure.layout
    if law.name in _MIXING and case.tokens.structure.layout is layout:
        x = layout.flat(given.tokens.x)
        if relative_error(x[case.rows], x[case.image], by_channel=False) < 1e-6:
            return False  # equal tokens exchanged
    return given.answers(law)


def confirmed(law: Law, trial: Trial, session: Session, part: Part) -> Confirmation:
    """Whether what broke a law is the law's: not of state, chance, or one number type."""
    given = Input.of(session, trial.plan)
    unstable = _unstable(law, given, trial)
    if unstable:
        return unstable
    again = _with_fresh(law, given, part)
    if again is not None and not again.refuted:
        return "state"
    if trial.plan.dtype != torch.float64 or session.native == torch.float64:
        return "broken"
    own = replace(trial.plan, dtype=session.native)
    try:
        there = _with_fresh(law, Input.of(session, own), part)
    except Exception:
        return "broken"  # it does not run there: nothing speaks against what was seen
    if there is None or there.refuted:
        return "broken"
    visible = trial.finding.error > 2 * REFUTED * max(there.floor, least_floor(session.native))
    return "float64 only" if visible and not there.undecided else "broken"


def _unstable(law: Law, given: Input, trial: Trial) -> Confirmation | None:
    """Whether the very same call to two new copies gives different outputs."""
    outputs = [
        given.session.rows(given.module(law, fresh=True), given.tokens, no_grad=given.plan.no_grad)
        for _ in range(2)
    ]
    return "unstable" if gap(*outputs) > trial.finding.error / 8 else None


def _with_fresh(law: Law, given: Input, part: Part) -> Finding | None:
    """The case again, between copies that were never called before."""
    case = case_of(law, given)
    if case is None:
        return None
    module = given.module(law, fresh=True)
    if part == "gradient":
        found = compare_gradients(module, given.tokens, case, pooled=given.session.pooled)
        return None if found is None else found[0]
    before = given.session.rows(module, given.tokens, no_grad=given.plan.no_grad)
    other = given.module(law, fresh=True)
    return compare_outputs(
        other, given.tokens, case, before,
        pooled=given.session.pooled, no_grad=given.plan.no_grad,
    )  # fmt: skip
