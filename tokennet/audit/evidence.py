"""What goes with a broken property: where it enters, and how to see it again."""

from tokennet.audit.session import Session
from tokennet.audit.trial import Trial
from tokennet.laws import Law


def evidence_of(session: Session, law: Law, trial: Trial) -> tuple[str, str]:
    """The submodule in which the law is first broken, and code that shows it."""
    return "", ""
