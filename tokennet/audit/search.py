"""The search: inputs of all kinds, every law on each, until the budget is spent."""

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch

from tokennet.audit import conduct
from tokennet.audit.compare import Finding
from tokennet.audit.outputs import RowsMissingError
from tokennet.audit.plans import layouts_of, stream
from tokennet.audit.purity import purity
from tokennet.audit.session import Session
from tokennet.audit.tally import Tally
from tokennet.audit.trial import (
    Input,
    Part,
    Trial,
    case_of,
    confirmed,
    try_gradients,
    try_outputs,
)
from tokennet.laws import Case, GradientOf, Law
from tokennet.verify.plans import Plan
from tokennet.verify.spread import shrunk

# Which check a law of calls is, and on which of the inputs it runs: copies cost time.
_CONDUCT: dict[str, tuple[conduct.Check, int]] = {
    "Repeatability": (conduct.repeatability, 2),
    "NoState": (conduct.no_state, 3),
    "Purity": (purity, 4),
    "MemoryLayout": (conduct.memory_layout, 3),
    "TrainEval": (conduct.train_eval, 3),
    "Finite": (conduct.finite, 1),
    "GradientOf(Finite)": (conduct.finite_gradient, 2),
    "Cache": (conduct.cache, 2),
    "Interleaving": (conduct.interleaving, 2),
}
SHRINK_SECONDS = 1.0
_STATE = "seen between two calls of one copy only: the module keeps state"
_ELSEWHERE = "differs in float64, but not in the module's own dtype"


@dataclass(eq=False)
class Search:
    """All laws over a stream of inputs."""

    session: Session
    tallies: dict[str, Tally]
    seed: int = 0
    left_out: dict[str, Tally] = field(default_factory=dict)
    inputs: int = 0
    quick: bool = False
    spent: bool = False

    def run(self, rounds: tuple[int, int], others: int, enough: float, deadline: float) -> None:
        """Tries inputs on what is promised, and the first `others` on all else.

        `rounds[0]` inputs if the deadline allows it, and up to `rounds[1]` until `enough`. Both
        are of the thread's own time: a busy machine makes nobody's module pass.
        """
        plans = stream(self.session, random.Random(f"audit {self.seed}"))
        attempts = 0
        while self.inputs < rounds[1] and attempts < 4 * rounds[1] and not self.spent:
            if self.inputs >= rounds[0] and time.thread_time() > enough:
                return
            plan = next(plans)
            attempts += 1
            if plan.train and True in self.session.random_modes:
                plan = replace(plan, train=False)
            active = [
                t for t in self.tallies.values()
                if t.broken is None and (t.promised or self.inputs < others)
            ]  # fmt: skip
            if not active:
                return
            try:
                given = Input.of(self.session, plan)
                given.output(active[0].law)
            except RowsMissingError as error:
                self._missing(plan, error)
                continue
            except Exception as error:
                self.session.refuse(error)
                continue
            self._all_laws(active, given, attempts, deadline)
            self.inputs += 1

    def _all_laws(self, active: list[Tally], given: Input, attempt: int, deadline: float) -> None:
        for tally in active:
            if time.thread_time() > deadline:
                self.spent = True
                return
            name = tally.law.name
            try:
                if name in _CONDUCT:
                    if attempt % _CONDUCT[name][1] == 0 or self.inputs == 0:
                        self._conduct(tally, given)
                elif isinstance(tally.law, GradientOf):
                    self._gradients(tally, tally.law.law, given)
                else:
                    self._outputs(tally, given)
            except Exception as error:
                self.session.refuse(error)

    def _missing(self, plan: Plan, error: Exception) -> None:
        """An answer that lost samples: what the others are decides whether one gets a row."""
        tally = self.tallies.get("BatchIndependence")
        if tally is not None and tally.broken is None:
            finding = Finding(float("inf"), 1.0, "shape of the output")
            trial = Trial(plan, finding, f"the samples asked about together: {error}", True)
            tally.add(trial)
            tally.broken = trial

    def _outputs(self, tally: Tally, given: Input) -> None:
        case = case_of(tally.law, given)
        if case is None:
            return
        trial = try_outputs(tally.law, given, case)
        if trial is not None:
            tally.add(trial)
            if trial.finding.refuted:
                self._judge(tally, trial, tally.law, "output")

    def _gradients(self, tally: Tally, law: Law, given: Input) -> None:
        plan = given.plan
        if (plan.no_grad and self.inputs % 4) or plan.dtype != self.session.dtypes[0]:
            return
        case = case_of(law, given)
        found = None if case is None else try_gradients(law, given, case)
        if found is None:
            return
        trial, moved = found
        tally.add(trial)
        if moved is not None:
            self._directed(law, given, moved)
        if not trial.finding.refuted:
            return
        outputs = self.tallies.get(law.name)
        if outputs is not None and outputs.broken is not None:
            tally.broken = trial  # gradients of what breaks break too: no more to learn
        else:
            self._judge(tally, trial, law, "gradient")

    def _directed(self, law: Law, given: Input, moved: Case) -> None:
        """Where a gradient reaches too far, the tokens there are moved along it."""
        tally = self.tallies.get(law.name)
        if tally is None or tally.broken is not None:
            return
        trial = try_outputs(law, given, moved)
        if trial is not None and trial.finding.refuted:
            tally.add(trial)
            tally.broken = trial

    def _conduct(self, tally: Tally, given: Input) -> None:
        check = _CONDUCT[tally.law.name][0]
        for seen in check(self.session, given.plan, given.tokens):
            floor = max(seen.finding.floor, 1e-300)
            finding = replace(seen.finding, floor=floor)
            trial = Trial(given.plan, finding, seen.change, given.answers(tally.law))
            tally.add(trial)
            if finding.refuted and not self._natively(given.plan, check):
                tally.doubt(_ELSEWHERE)
            elif finding.refuted and self._from_state(tally, trial, given):
                tally.doubt(_STATE)
            elif finding.refuted:
                tally.broken = self._small_conduct(trial, check) if self._shrinks(tally) else trial
                return

    def _shrinks(self, tally: Tally) -> bool:
        """Whether a broken law is worth a small witness."""
        return tally.promised and not self.quick

    def _from_state(self, tally: Tally, trial: Trial, given: Input) -> bool:
        """Whether calls in between do the same, and a law of state is there to be blamed."""
        if tally.law.name not in ("MemoryLayout", "TrainEval", "Interleaving", "Cache"):
            return False
        seen = conduct.no_state(self.session, given.plan, given.tokens)
        return any(True for _ in _refuted(seen)) and self._blames_state(trial)

    def _natively(self, plan: Plan, check: conduct.Check) -> bool:
        """Whether what is seen in float64 is there in the module's own dtype too."""
        if plan.dtype != torch.float64 or self.session.native == torch.float64:
            return True
        own = replace(plan, dtype=self.session.native)
        try:
            seen = check(self.session, own, self.session.tokens(own))
            return any(True for _ in _refuted(seen))
        except Exception:
            return True  # it does not run there: nothing speaks against what was seen

    def _judge(self, tally: Tally, trial: Trial, law: Law, part: Part) -> None:
        """Accepts a broken law if it is that, and makes its input small."""
        verdict = confirmed(law, trial, self.session, part)
        if verdict == "state" and not self._blames_state(trial):
            verdict = "broken"
        if verdict == "broken":
            tally.broken = self._small(trial, law, part) if self._shrinks(tally) else trial
        elif verdict == "float64 only":
            tally.doubt(_ELSEWHERE)
        elif verdict == "unstable":
            tally.doubt("the same call does not give the same twice")
        else:
            tally.doubt(_STATE)

    def _blames_state(self, trial: Trial) -> bool:
        """Whether a law of state is asked about; then this is a case of it."""
        for name in ("NoState", "Repeatability"):
            tally = self.tallies.get(name)
            if tally is not None and tally.promised:
                tally.add(trial)
                tally.broken = tally.broken or trial
                return True
        return False

    def _small(self, trial: Trial, law: Law, part: Part) -> Trial:
        """The smallest input found on which the law breaks in the same part."""
        found = trial
        end = time.thread_time() + SHRINK_SECONDS

        def breaks(plan: Plan) -> bool:
            nonlocal found
            if time.thread_time() > end:
                return False
            try:
                given = Input.of(self.session, plan)
                case = case_of(law, given)
                if case is None:
                    return False
                if part == "output":
                    seen = try_outputs(law, given, case)
                else:
                    both = try_gradients(law, given, case)
                    seen = None if both is None else both[0]
                if seen is None or not seen.finding.refuted:
                    return False
            except Exception:
                return False
            found = seen
            return True

        shrunk(trial.plan, breaks, self._layouts())
        sure = found is trial or confirmed(law, found, self.session, part) == "broken"
        return found if sure else trial

    def _small_conduct(self, trial: Trial, check: conduct.Check) -> Trial:
        found = trial
        end = time.thread_time() + SHRINK_SECONDS

        def breaks(plan: Plan) -> bool:
            nonlocal found
            if time.thread_time() > end:
                return False
            try:
                tokens = self.session.tokens(plan)
                for seen in _refuted(check(self.session, plan, tokens)):
                    found = Trial(plan, seen.finding, seen.change, True)
                    return True
            except Exception:
                return False
            return False

        shrunk(trial.plan, breaks, self._layouts())
        return found

    def _layouts(self) -> Sequence[str]:
        return layouts_of(self.session)


def _refuted(seen: Iterator[conduct.Seen]) -> Iterator[conduct.Seen]:
    return (s for s in seen if replace(s.finding, floor=max(s.finding.floor, 1e-300)).refuted)
