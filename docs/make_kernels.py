"""Draws the picture of docs/kernels.md and writes its table, from the committed measurements."""

from io import BytesIO
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tokennet.files import write_atomically

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "sparse_cpu.md"
PAGE = ROOT / "docs" / "kernels.md"
PICTURE = ROOT / "docs" / "pictures" / "kernels.png"
BEGIN, END = "<!-- measured -->", "<!-- /measured -->"
COLOURS = {"cpp": "#08306b", "bag": "#6baed6"}


def tables(text: str) -> list[list[list[str]]]:
    """The cells of every table of a page, the head first."""
    found: list[list[list[str]]] = []
    inside = False
    for line in text.splitlines():
        if not line.startswith("|"):
            inside = False
            continue
        cells = [c.strip().replace("**", "") for c in line.strip("|").split("|")]
        if not inside:
            found.append([])
        inside = True
        if not set(line) <= set("|- :"):
            found[-1].append(cells)
    return found


def ratio(cell: str) -> float:
    """The measured number of a cell that may hold what is asked in brackets."""
    return float(cell.split(" ")[0])


def bars(cases: list[list[str]]) -> list[tuple[str, str, float, float]]:
    """(label, implementation, forward, forward and backward) against PyG as it is written."""
    found = []
    for operator, graph, sizes, ran, against, *rest in cases:
        if against != "eager" or graph == "cora":
            continue
        size = "" if operator == "ragged" else f", {graph}, {sizes.replace(', ', ' / ')}"
        found.append((f"{operator}{size}", ran.split(",")[0], ratio(rest[1]), ratio(rest[3])))
    return found


def picture(cases: list[list[str]]) -> Figure:
    """How many times faster than PyG, forward with backward, case by case."""
    rows = [b for b in bars(cases) if b[1] in COLOURS]
    figure = Figure(figsize=(6.4, 0.17 * len(rows) + 0.8), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    for i, (_, ran, forward, both) in enumerate(rows):
        axis.barh(i, both, height=0.7, color=COLOURS[ran])
        axis.plot([forward], [i], "o", color="#fd8d3c", markersize=3.5, zorder=3)
    axis.set_yticks(range(len(rows)), [r[0] for r in rows], fontsize=6)
    axis.invert_yaxis()
    axis.axvline(1, color="black", linewidth=0.8)
    axis.set_xscale("log")
    ticks = (1, 2, 5, 10, 20, 50)
    axis.set_xticks(ticks, [f"{t}x" for t in ticks], fontsize=7)
    axis.minorticks_off()
    axis.set_xlabel("times faster than PyG, eager, one thread", fontsize=7)
    for name, colour in (("C++", COLOURS["cpp"]), ("plain torch", COLOURS["bag"])):
        axis.barh([0], [0], color=colour, label=f"{name}, forward and backward")
    axis.plot([], [], "o", color="#fd8d3c", markersize=3.5, label="forward")
    axis.legend(fontsize=6, frameon=False, loc="lower right")
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    return figure


def section(text: str) -> str:
    """The table of the least ratios, with where it comes from."""
    head, *rows = tables(text)[0]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def main() -> None:
    text = RESULTS.read_text()
    out = BytesIO()
    picture(tables(text)[1][1:]).savefig(out, format="png", dpi=150)
    write_atomically(PICTURE, out.getvalue())
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    write_atomically(PAGE, f"{before}{BEGIN}\n{section(text)}\n{END}{after}".encode())


if __name__ == "__main__":
    main()
