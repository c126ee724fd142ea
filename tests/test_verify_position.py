"""The certificate of position codes: expected failures with their size, and planted bugs."""

import runpy
from pathlib import Path

import pytest
import torch
from torch import Tensor

import tokennet as tn
from tokennet.ops.graph import spectrum

D = 16


def test_integers_are_not_bounded() -> None:
    report = tn.verify_position(tn.IntegerPosition(D))
    assert report.broken == ("bounded", "size")
    assert report["bounded"].value == pytest.approx(1, abs=0.01)
    assert report["size"].value == 511
    assert report["linear shift"].status == "held"


def test_sigmoids_run_together() -> None:
    report = tn.verify_position(tn.SigmoidPosition(D))
    assert report.broken == ("injective",)
    assert "places 14 and 15 in float32, in float64 35 and 36" in report["injective"].note
    assert tn.verify_position(tn.SigmoidPosition(D), num_tokens=12).ok, "a dozen are apart"


def test_a_plain_sine_repeats_itself() -> None:
    report = tn.verify_position(tn.SinePosition(D, period=64))
    assert report.broken == ("injective",)
    assert "places 15 and 17" in report["injective"].note, "on both sides of the top"
    slow = tn.verify_position(tn.SinePosition(D, period=10_000))
    assert slow.ok, "a slow one has no collision so early"
    assert slow["injective"].value < 0.01, "but neighbours are hardly apart"


@pytest.mark.parametrize("dim", [16, 64])
def test_sinusoids_hold(dim: int) -> None:
    report = tn.verify_position(tn.SinusoidalPosition(dim))
    assert report.ok
    for name in ("extrapolation", "dot by offset", "linear shift"):
        assert report[name].status == "held"
    assert report["size"].value == pytest.approx(0.5**0.5)
    assert report["injective"].value > 0.2
    assert report["distance"].value > 0.4, "nearer codes are more alike"


def test_learned_codes_end() -> None:
    report = tn.verify_position(tn.LearnedPosition(100, D))
    assert report.ok
    assert report.num_tokens == 100
    assert report["extrapolation"].status == "refused"
    assert report["dot by offset"].status == "broken"
    assert report["linear shift"].value > 0.5


def test_grids() -> None:
    report = tn.verify_position(tn.GridSinusoidalPosition(D))
    assert report.ok
    assert report["dot by offset"].status == "held"
    coordinates = tn.verify_position(tn.CoordinatePosition())
    assert coordinates.broken == ("any length",)


@pytest.mark.parametrize(
    ("make", "apart"),
    [
        (tn.DegreePosition, 1),
        (tn.ShortestPathPosition, 4),
        (tn.RandomWalkPosition, 4),
        (tn.LaplacianPosition, 4),
    ],
)
def test_graph_codes_hold(make, apart: int) -> None:
    report = tn.verify_position(make(D))
    assert report.ok
    assert report["tells graphs apart"].value == apart


def test_raw_eigenvectors_fail() -> None:
    report = tn.verify_position(tn.EigenvectorPosition(D))
    assert report.broken == ("relabelling", "signs", "bases")
    for name in report.broken:
        assert report[name].value > 0.1
    assert tn.verify_position(tn.LaplacianPosition(D))["bases"].status == "held"


class Planted(tn.OrderPosition):
    """A right code, to be spoiled."""

    dim = out_dim = D

    def at(self, place: Tensor, dtype: torch.dtype) -> Tensor:
        return tn.SinusoidalPosition(D).at(place, dtype)


class ByLength(Planted):
    def codes(self, structure: tn.Structure, dtype: torch.dtype) -> Tensor:
        layout = structure.layout
        part = layout.position / layout.lengths[layout.sample].clamp_min(1)
        return layout.unflat(part[:, None].to(dtype).expand(-1, D))


class ByContent(Planted):
    def forward(self, x: Tensor, structure: tn.Structure) -> Tensor:
        return super().forward(x, structure) + 1e-3 * x.tanh()


class CountsPadding(Planted):
    def forward(self, x: Tensor, structure: tn.Structure) -> Tensor:
        layout = structure.layout
        places = torch.arange(x.shape[1]) if x.ndim == 3 else layout.position
        return x + self.at(places, x.dtype)


class HalfPhase(Planted):
    def at(self, place: Tensor, dtype: torch.dtype) -> Tensor:
        return super().at(place.half(), dtype)


class Scaled(Planted):
    def at(self, place: Tensor, dtype: torch.dtype) -> Tensor:
        return 100 * super().at(place, dtype)


class Random(Planted):
    def at(self, place: Tensor, dtype: torch.dtype) -> Tensor:
        return super().at(place, dtype) + 1e-3 * torch.randn(len(place), D, dtype=dtype)


class Root(Planted):
    def at(self, place: Tensor, dtype: torch.dtype) -> Tensor:
        return 0.02 * place.to(dtype).sqrt()[:, None].expand(-1, D)


class Constant(Planted):
    def at(self, place: Tensor, dtype: torch.dtype) -> Tensor:
        return torch.ones(len(place), D, dtype=dtype)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (ByLength, "any length"),
        (ByContent, "any input"),
        (CountsPadding, "any layout"),
        (HalfPhase, "injective"),
        (Scaled, "size"),
        (Random, "repeatable"),
        (Root, "bounded"),
        (Constant, "injective"),
    ],
)
def test_planted_bugs_are_called_by_name(make, name: str) -> None:
    assert tn.verify_position(Planted()).ok, "before it is spoiled"
    report = tn.verify_position(make(), num_tokens=4096 if make is HalfPhase else 512)
    assert name in report.broken
    with pytest.raises(tn.LawBrokenError, match=name):
        report.raise_if_broken()


def test_constant_codes_pass_nothing_empty() -> None:
    report = tn.verify_position(Constant())
    assert report["any length"].status == report["linear shift"].status == "untested"


class GraphBug(tn.Position):
    """Eigenvectors as they come, with the mass of each as a weight: signs matter."""

    dim = out_dim = 1
    reads = frozenset({"edges"})

    def codes(self, structure: tn.Structure, dtype: torch.dtype) -> Tensor:
        _, vectors = spectrum(structure)
        return structure.layout.unpad(vectors[..., 1:2]).to(dtype)


class GraphOrder(GraphBug):
    def codes(self, structure: tn.Structure, dtype: torch.dtype) -> Tensor:
        layout = structure.layout
        return layout.unflat(layout.position[:, None].to(dtype))


def test_planted_bugs_of_graph_codes() -> None:
    assert {"signs", "bases"} <= set(tn.verify_position(GraphBug()).broken)
    assert "relabelling" in tn.verify_position(GraphOrder()).broken


def test_a_report_is_read_and_asked() -> None:
    report = tn.verify_position(tn.SinePosition(D, period=10))
    assert "NOT fit: injective" in str(report)
    assert "size" in report
    with pytest.raises(KeyError, match="no finding on 'sizes'; there are repeatable"):
        report["sizes"]


def test_the_page_shows_what_is_measured() -> None:
    """`python docs/make_positions.py` writes its tables."""
    docs = Path(__file__).parents[1] / "docs"
    page = runpy.run_path(str(docs / "make_positions.py"))["page"]()
    assert page == (docs / "positions.md").read_text()
