"""Modules against their claims."""

from tokennet.verify.plans import Domain
from tokennet.verify.position_report import (
    PositionReport,
)
from tokennet.verify.positions import (
    verify_position,
)
from tokennet.verify.report import LawBrokenError, Report, Verdict, Witness
from tokennet.verify.verify import verify

__all__ = [
    "Domain",
    "LawBrokenError",
    "PositionReport",
    "Report",
    "Verdict",
    "Witness",
    "verify",
    "verify_position",
]
