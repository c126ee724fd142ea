"""The surgeries of `examples/` run, and a quick run shows what it can show."""

import os
import runpy
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib")
EXAMPLES = Path(__file__).parents[1] / "examples"
data = pytest.mark.skipif("TOKENNET_DATA" not in os.environ, reason="MNIST: TOKENNET_DATA not set")


def quick(name: str, folder: Path) -> dict[str, Any]:
    picture = folder / "picture.png"
    found = runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="example")["main"](
        True, str(picture)
    )
    assert picture.read_bytes().startswith(b"\x89PNG")
    return found


@data
def test_surgery_vit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The net goes on: its accuracy stays far from chance, and an epoch does no harm."""
    found = quick("surgery_vit", tmp_path)
    assert list(found) == ["full", "window", "expander"]
    for values in found.values():
        before, after, milliseconds = values[0].tolist()
        assert before > 0.15
        assert after > before - 0.05
        assert milliseconds > 0
    assert "Attention Neighborhood(1)  kept" in capsys.readouterr().out


@data
def test_mixer_from_vit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fitted parts begin near the ViT, fresh ones don't."""
    found = quick("mixer_from_vit", tmp_path)
    vit = float(found["ViT"])
    assert abs(float(found["fitted"][0, 0]) - vit) < 0.1
    assert float(found["errors"].max()) < 0.8
    assert found["fitted"].shape == found["fresh parts"].shape == (1, 3)
    assert "fitted, error" in capsys.readouterr().out
