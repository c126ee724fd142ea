"""The examples run, and show what they say."""

import runpy
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def load(name: str) -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="example")


def test_own_operator() -> None:
    good, bad = load("own_operator")["main"]()
    good.raise_if_broken()
    assert "PaddingBlindness" in bad.broken


def test_one_net_three_readings() -> None:
    apart = load("one_net_three_readings")["main"]()
    assert len(apart) == 3
    assert max(apart.values()) < 1e-12


def test_decoder(capsys: pytest.CaptureFixture[str]) -> None:
    """A short run learns something, and the decoder can't see what it has to say next."""
    module = load("decoder")
    module["main"](steps=30)
    assert "of 100 new rows right" in capsys.readouterr().out
    model = module["Translator"]()
    digits, letters, valid = module["batch"](4)
    before = model(digits, letters, valid)
    letters[:, 8:] = 5
    after = model(digits, letters, valid)
    assert (before[:, :8] - after[:, :8]).abs().max() < 1e-5
    assert (before[:, 8:] - after[:, 8:]).abs().max() > 1e-2


def test_each_example_is_tested_and_short() -> None:
    tested = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    for path in EXAMPLES.glob("*.py"):
        assert f'"{path.stem}"' in tested
        assert len(path.read_text().splitlines()) <= 120
