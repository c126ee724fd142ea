"""The pytest fixture `tokennet_audit`; torch is imported when a test uses it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tokennet.audit.report import AuditReport


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--tokennet-seed` and `--tokennet-budget`, for audits that don't state their own."""
    group = parser.getgroup("tokennet", "audits of modules")
    text = "the same seed tries the same inputs (default: 0)"
    group.addoption("--tokennet-seed", type=int, default=0, metavar="N", help=text)
    text = "seconds for the search of each audit (default: 10)"
    group.addoption("--tokennet-budget", type=_seconds, default=10.0, metavar="SECONDS", help=text)


def _seconds(words: str) -> float:
    value = float(words)
    if not value > 0:
        raise ValueError(words)  # argparse makes a message of it
    return value


@pytest.fixture
def tokennet_audit(request: pytest.FixtureRequest) -> Callable[..., "AuditReport"]:
    """`tokennet.audit`, but what breaks fails the test; with `check=False` the report is returned.

    Seed and budget come from `--tokennet-seed` and `--tokennet-budget` where the test gives none.
    """
    config = request.config
    options = {
        "seed": config.getoption("--tokennet-seed"),
        "budget": config.getoption("--tokennet-budget"),
    }

    def run(module: Any, example: Any = None, *, check: bool = True, **stated: Any) -> Any:
        """The report of an audit; raises `LawBrokenError` where something is broken."""
        __tracebackhide__ = True
        from tokennet.audit import audit
        from tokennet.verify.report import LawBrokenError

        report = audit(module, example, **{**options, **stated})
        if check and not report.ok:
            # here, so that pytest shows the line of the test
            raise LawBrokenError(str(report), report)
        return report

    return run
