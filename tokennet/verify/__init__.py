"""Modules against their claims. hypothesis is imported when the search begins."""

from tokennet.verify.report import LawBrokenError, Report, Verdict, Witness
from tokennet.verify.strategies import Domain
from tokennet.verify.verify import verify

__all__ = ["Domain", "LawBrokenError", "Report", "Verdict", "Witness", "verify"]
