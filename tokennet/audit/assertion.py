"""`assert_obeys`: an audit as one line of a test."""

from typing import Any

from torch import nn

from tokennet.audit.audit import audit
from tokennet.audit.properties import laws_of
from tokennet.audit.report import AuditReport
from tokennet.checks import switch, type_error, value_error
from tokennet.laws import Law
from tokennet.verify.report import LawBrokenError


def assert_obeys(
    module: nn.Module,
    *laws: str | Law | type[Law],
    example: Any = None,
    allow_untested: bool = False,
    **arguments: Any,
) -> AuditReport:
    """Raises unless the module obeys all these laws, and was tested on each; returns the report.

    Args:
        laws: by name, class or object: `"Padding"`, `tn.Causality`, `tn.Locality(hops=2)`.
        allow_untested: a law that does not apply, or on which too few inputs bear, counts as
            obeyed.
        arguments: as `audit` takes them, apart from `properties`.

    Raises:
        LawBrokenError: with the report; a law is broken, or was not tested.
        TypeError, ValueError: as `audit` does.
    """
    __tracebackhide__ = True  # pytest shows the line of the test
    switch("allow_untested", allow_untested)
    if not laws:
        raise value_error("laws", "()", "one law at least", 'e.g. "Padding", tn.Causality')
    if "properties" in arguments:
        raise type_error("argument", "'properties'", "laws by position", "pass them after module")
    names = [law.name for law in laws_of(laws)]
    report = audit(module, example, properties=laws, **arguments)
    if not report.ok:
        raise LawBrokenError(str(report), report)
    untested = [n for n in names if report[n].status != "holds"]
    if untested and not allow_untested:
        lines = [f"  {n}: {report[n].status}: {report[n].note}" for n in untested]
        hint = "give an example and a domain on which they bear, or pass allow_untested=True"
        raise LawBrokenError("\n".join([f"NOT TESTED, {hint}:", *lines, str(report)]), report)
    return report
