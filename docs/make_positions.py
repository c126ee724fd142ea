"""Writes the tables of docs/positions.md: what is claimed, and the measured certificates."""

import re
from pathlib import Path

import torch

import tokennet as tn
from tokennet.laws import closure

PAGE = Path(__file__).with_name("positions.md")
DIM = 64

CODES = {
    "LearnedPosition(512, 64)": lambda: tn.LearnedPosition(512, DIM),
    "SinusoidalPosition(64)": lambda: tn.SinusoidalPosition(DIM),
    "IntegerPosition(64)": lambda: tn.IntegerPosition(DIM),
    "SigmoidPosition(64)": lambda: tn.SigmoidPosition(DIM),
    "SinePosition(64, period=64)": lambda: tn.SinePosition(DIM, period=64),
    "SinePosition(64, period=10_000)": lambda: tn.SinePosition(DIM, period=10_000),
    "GridSinusoidalPosition(64)": lambda: tn.GridSinusoidalPosition(DIM),
    "CoordinatePosition()": lambda: tn.CoordinatePosition(),
}
GRAPHS = {
    "DegreePosition(64)": lambda: tn.DegreePosition(DIM),
    "ShortestPathPosition(64)": lambda: tn.ShortestPathPosition(DIM),
    "RandomWalkPosition(64)": lambda: tn.RandomWalkPosition(DIM),
    "LaplacianPosition(64)": lambda: tn.LaplacianPosition(DIM),
    "EigenvectorPosition(64)": lambda: tn.EigenvectorPosition(DIM),
}
PLACES = (
    "any length", "any input", "bounded", "injective", "size",
    "extrapolation", "dot by offset", "linear shift", "distance",
)  # fmt: skip
LABELS = ("any layout", "relabelling", "signs", "bases", "size", "tells graphs apart")


def cell(finding) -> str:
    """One word, and a number rounded so that no machine prints another."""
    words = {"held": "yes", "broken": "**no**", "idle": "-", "untested": "-", "refused": "refused"}
    word = words[finding.status] if finding.ok else "**no**"
    if finding.name == "tells graphs apart":
        return word if finding.status == "untested" else f"{finding.value:.0f} of 5"
    if finding.name == "distance" and finding.status != "untested":
        return f"{finding.value:.1f}".replace("-0.0", "0.0")
    if finding.name == "size" or (finding.name == "bounded" and finding.status == "broken"):
        shown = f"{finding.value:.0f}" if finding.value >= 2 else f"{finding.value:.1f}"
        return f"{word} ({shown})"
    return word


def table(codes: dict, columns: tuple[str, ...]) -> str:
    """A row for each code, a column for each property."""
    lines = [f"| code | claims | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
    for name, make in codes.items():
        torch.manual_seed(0)
        code = make()
        report = tn.verify_position(code)
        found = closure(code.claims)
        implied = {law for claim in found for law in claim.implied}
        claims = ", ".join(sorted(c.name for c in found if type(c) not in implied)) or "none"
        cells = " | ".join(cell(report[c]) for c in columns)
        lines.append(f"| `{name}` | {claims} | {cells} |")
    return "\n".join(lines)


def page() -> str:
    """The page with its tables written anew."""
    text = PAGE.read_text()
    for mark, codes, columns in (("places", CODES, PLACES), ("graphs", GRAPHS, LABELS)):
        part = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- end -->)", re.DOTALL)
        made = table(codes, columns)
        text, count = part.subn(lambda m, made=made: f"{m[1]}{made}\n{m[2]}", text)
        assert count == 1, f"positions.md needs one table {mark}"
    return text


if __name__ == "__main__":
    PAGE.write_text(page())
