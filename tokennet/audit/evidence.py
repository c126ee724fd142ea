"""What goes with a broken property: where it enters, and how to see it again."""

import torch
from torch import Tensor

from tokennet.audit.blame import blamed, blamed_for_gradient
from tokennet.audit.compare import out_of_reach
from tokennet.audit.properties import is_conduct
from tokennet.audit.rendering import Adapted, Call
from tokennet.audit.reproduce import one_call, two_calls
from tokennet.audit.session import Session
from tokennet.audit.trial import Input, Trial, case_of
from tokennet.laws import Case, GradientOf, Law
from tokennet.structure import Tokens
from tokennet.verify.check import relative_error


def evidence_of(session: Session, law: Law, trial: Trial) -> tuple[str, str]:
    """The submodule in which the law is first broken, and code that shows it; empty if unknown."""
    try:
        return _evidence(session, law, trial)
    except Exception:  # evidence is a help, and its absence no reason to lose the verdict
        return "", ""


def _evidence(session: Session, law: Law, trial: Trial) -> tuple[str, str]:
    given = Input.of(session, trial.plan)
    module = session.copy(trial.plan, fresh=True)
    before = module.call(given.tokens.x, given.tokens.structure)
    if is_conduct(law):
        return "", one_call(session, trial, before)
    inner = law.law if isinstance(law, GradientOf) else law
    case = case_of(inner, given)
    if case is None or case.witness != trial.change:
        return "", ""
    after = module.call(case.tokens.x, case.tokens.structure)
    if isinstance(law, GradientOf):
        rest = out_of_reach(case)
        blame = blamed_for_gradient(module, case.tokens, case, rest) if bool(rest.any()) else ""
        return blame, two_calls(session, trial, before, after, law.statement)
    blame = blamed(module, given.tokens, case, trial.finding.error)
    plain = _rounded(module, given.tokens, case, session, trial)
    return blame, two_calls(session, trial, *(plain or (before, after)), inner.statement)


def _rounded(
    module: Adapted, tokens: Tokens, case: Case, session: Session, trial: Trial
) -> tuple[Call, Call] | None:
    """The two calls with numbers of one decimal, if the law breaks there too."""

    def plain(t: Tensor) -> Tensor:
        return (t * 10).round() / 10 if t.is_floating_point() else t

    one = Tokens(plain(tokens.x), tokens.structure)
    two = Tokens(plain(case.tokens.x), case.tokens.structure)
    with torch.no_grad():
        y, z = (session.rows(module, t, no_grad=trial.plan.no_grad) for t in (one, two))
    rows, image = (case.samples, case.sample_image) if session.pooled else (case.rows, case.image)
    error = relative_error(y[rows].double(), z[image].double(), by_channel=True)
    if not error > trial.finding.error / 4:
        return None
    return module.call(one.x, one.structure), module.call(two.x, two.structure)
