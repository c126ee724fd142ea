"""Seeds, one thread, hypothesis settings, and `--typecheck`: shapes and types at every call."""

import importlib.util
import os

import hypothesis
import pytest
import torch

hypothesis.settings.register_profile(
    "tokennet", deadline=None, derandomize=bool(os.environ.get("CI")), print_blob=True
)
hypothesis.settings.load_profile("tokennet")
torch.set_num_threads(1)  # on a busy machine two threads were 30 times slower than one


def pytest_addoption(parser: pytest.Parser) -> None:
    text = "check all jaxtyping annotations of tokennet (needs beartype)"
    parser.addoption("--typecheck", action="store_true", help=text)


def pytest_configure(config: pytest.Config) -> None:
    """The hook must stand before the first import of tokennet, so this file imports none of it."""
    config.addinivalue_line("filterwarnings", "ignore:`torch.jit:DeprecationWarning")  # PyG's
    if config.getoption("typecheck") and importlib.util.find_spec("beartype"):
        from jaxtyping import install_import_hook

        tower = "beartype.BeartypeConf(is_pep484_tower=True)"  # an int where a float is asked for
        install_import_hook("tokennet", f"beartype.beartype(conf={tower})")


def pytest_report_header(config: pytest.Config) -> list[str]:
    if not config.getoption("typecheck"):
        return []
    found = importlib.util.find_spec("beartype") is not None
    return [
        "annotations are checked" if found else "--typecheck skipped: beartype is not installed"
    ]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def no_typecheck(request: pytest.FixtureRequest) -> None:
    """For tests that pass other types than annotated: to see our own errors, or a shorthand."""
    if request.config.getoption("typecheck"):
        pytest.skip("beartype speaks first")
