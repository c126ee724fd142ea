"""Modules against their claims."""

from tokennet.verify.plans import Domain
from tokennet.verify.report import LawBrokenError, Report, Verdict, Witness
from tokennet.verify.verify import verify

__all__ = ["Domain", "LawBrokenError", "Report", "Verdict", "Witness", "verify"]
