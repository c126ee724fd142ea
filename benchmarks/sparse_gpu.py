"""Sparse attention and sums on a GPU, beside PyG, dense attention and FlexAttention.

    python benchmarks/sparse_gpu.py

First the ceilings: how fast this GPU copies, and how fast it reads the rows that a graph's edges
name, with nothing else to do. Then ours and its peers on the same q, k, v, on graphs of power-law
degrees with the sizes of known ones, H 4, D 32: in float32 they must agree before they are timed;
they take turns, and the cache is overwritten between two runs. Times are medians of 7; backward
gives the gradients of every input. "difference" is the largest relative one of the output and the
gradients: in bfloat16 PyG adds up in bfloat16, where 256 + 1 is 256. PyG's are the `propagate` of
its layers, without their linear maps, eager and compiled (`dynamic=False`); SDPA gets a mask over
padded samples, FlexAttention blocks of one over all tokens. Sorted edges are made before, and peers
get them sorted. Memory is what one forward and backward takes at the most on top of its inputs.
Takes nine minutes at most: what does not fit into them or into the memory is said to be left out.
Without a GPU nothing is measured.

Axes: T tokens, E edges, H heads, D channels of a head.
"""

import argparse
import gc
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import torch
from measure import markdown, write_whole
from sparse_gpu_clock import (
    REPEATS,
    Budget,
    copy_ceiling,
    interleaved,
    peak,
    replayed,
    timed,
    wall,
)
from sparse_gpu_steps import CHANNELS, FEATURES, HEADS, TABLES, Graph, Steps, graph_of, steps_of

import tokennet as tn

RESULTS = Path(__file__).parent / "results" / "sparse_gpu.md"
UNMEASURED = "No GPU: not measured."
SECONDS = 530  # of the nine minutes: the rest is for imports and the first kernel
COMPILING = 90  # seconds that compiled code may take until it runs
SLOW = 1.5e3  # milliseconds of a first run, above which a peer is not run seven times more
TOLERANCE = 1e-4
MOLECULES, REPLAYED = "128 molecules", ", CUDA graph"
HEAD = [
    "graph", "dtype", "operation", "against", "ours forward, ms", "forward, times faster",
    "ours forward + backward, ms", "forward + backward, times faster", "ours peak, MiB",
    "peak, times smaller", "forward / ceiling", "difference",
]  # fmt: skip


class Case(NamedTuple):
    operation: str
    graph: str
    dtype: torch.dtype
    peers: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        return [self.graph, str(self.dtype).removeprefix("torch."), self.operation]


def cases() -> list[Case]:
    """What matters most comes first: time may run out."""
    pyg = ("PyG", "PyG compiled")
    masked = (*pyg, "SDPA", "FlexAttention")
    found = []
    for dtype in (torch.bfloat16, torch.float32):
        found += [Case(o, "arxiv", dtype, pyg) for o in TABLES]
        found.append(Case("dot", MOLECULES, dtype, masked))
        for graph in ("products", "Reddit"):
            found += [Case(o, graph, dtype, pyg[:1]) for o in ("dot", "gatv2", "sum")]
        found.append(Case("dot", "Cora", dtype, masked))
    found += [Case("features", g, torch.bfloat16, pyg[:1]) for g in ("products", "Reddit")]
    return found


def empty_rows() -> list[list[str]]:
    """The table without a number in it."""
    rows = []
    for case in cases():
        kinds = ["", REPLAYED] if case.graph == MOLECULES else [""]
        for kind in kinds:
            names = [case.graph + kind, *case.names[1:]]
            rows += [[*names, peer, *[""] * (len(HEAD) - 4)] for peer in case.peers]
    return rows


def difference(steps: Steps, peer: str) -> float:
    """The largest relative difference of a peer's output and gradients from ours."""
    own, other = ([steps.forward(n)(), *steps.both(n)()] for n in ("ours", peer))
    pairs = ((a.flatten().float(), b.flatten().float()) for a, b in zip(own, other, strict=True))
    return max(float((a - b).norm() / b.norm().clamp(min=1e-6)) for a, b in pairs)


def usable(
    steps: Steps, case: Case, budget: Budget, device: str
) -> tuple[dict[str, str], dict[str, str]]:
    """The peers, each with a reason why it is left out, or none; and their differences.

    In bfloat16 a peer whose own sums are bfloat16 is timed whatever it gives.
    """
    found, differ = {}, {}
    for name in case.peers:
        if name not in steps.calls:
            found[name] = f"left out: {'needs a GPU' if device == 'cpu' else 'no time'}"
        elif budget.left() < 30:
            found[name] = "left out: no time"
        else:
            try:
                found[name], error = "", difference(steps, name)
                differ[name] = f"{error:.0e}"
                if case.dtype == torch.float32 and not error <= TOLERANCE:  # NaN neither
                    found[name] = "left out: differs"
                elif timed(steps.both(name), device) > SLOW:
                    found[name] = f"left out: over {SLOW / 1e3:.1f} s"
            except torch.OutOfMemoryError:
                found[name] = "out of memory"
            except RuntimeError as error:  # of a compiler too: the others still count
                found[name] = f"failed: {type(error).__name__}"
        gc.collect()
        if device != "cpu":
            torch.cuda.empty_cache()
    return found, differ


def ceiling_of(case: Case, graph: Graph, device: str) -> float | None:
    """Milliseconds that the gathers of a forward pass take by themselves."""
    if device == "cpu":
        return None
    from sparse_gpu_gather import gather

    table = torch.randn(graph.edges.num_rows, HEADS * CHANNELS, device=device).to(case.dtype)
    index = graph.edges.rows.index
    assert index is not None
    run = {"gather": lambda: gather(table, index)}
    gather(table, index)
    return TABLES[case.operation] * interleaved(run, device)["gather"]


def run_case(case: Case, budget: Budget, device: str) -> list[list[str]]:
    """Rows of the table: one for each peer."""
    graph = graph_of(case.graph, device)
    compiled = device != "cpu" and "PyG compiled" in case.peers and budget.left() > COMPILING
    steps = steps_of(case.operation, graph, case.dtype, with_compiled=compiled)
    reasons, differ = usable(steps, case, budget, device)
    names = ["ours", *(name for name, reason in reasons.items() if not reason)]
    forward = interleaved({n: steps.forward(n) for n in names}, device)
    both = interleaved({n: steps.both(n) for n in names}, device)
    memory = {n: peak(steps.both(n), device) for n in names}
    ceiling = ceiling_of(case, graph, device)
    share = "" if ceiling is None else f"{ceiling / forward['ours']:.0%}"
    own = memory["ours"]
    rows = []
    for peer in case.peers:
        cells = [f"{forward['ours']:.3g}", reasons[peer], f"{both['ours']:.3g}", "", "", "", share]
        cells.append(differ.get(peer, ""))
        if own is not None:
            cells[4] = f"{own:.4g}"
        if peer in names:
            cells[1] = f"{forward[peer] / forward['ours']:.2f}"
            cells[3] = f"{both[peer] / both['ours']:.2f}"
            other = memory[peer]
            if own and other is not None:
                cells[5] = f"{other / own:.1f}"
        rows.append([*case.names, peer, *cells])
    if case.graph == MOLECULES and device != "cpu":
        rows += replay_case(case, steps, names)
    return rows


def replay_case(case: Case, steps: Steps, names: Sequence[str]) -> list[list[str]]:
    """Wall time of launches one after another stands in the cells of the forward pass here."""
    walls = {n: wall(steps.both(n), "cuda") for n in names}
    replays, reasons = {}, {}
    for name in names:
        try:
            replays[name] = replayed(steps.both(name))
        except RuntimeError as error:
            reasons[name] = f"failed: {type(error).__name__}"
    times = interleaved(replays, "cuda") if "ours" in replays else {}
    rows = []
    for peer in case.peers:
        cells = [""] * (len(HEAD) - 4)
        if peer in names:
            cells[0] = f"{walls['ours']:.3g} (wall, both)"
            cells[1] = f"{walls[peer] / walls['ours']:.2f} (wall, both)"
            cells[3] = reasons.get(peer, "")
        if times:
            cells[2] = f"{times['ours']:.3g}"
        if peer in times and times:
            cells[3] = f"{times[peer] / times['ours']:.2f}"
        rows.append([case.graph + REPLAYED, *case.names[1:], peer, *cells])
    return rows


def installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def page(rows: list[list[str]], device_line: str) -> str:
    software = (
        f"Python {platform.python_version()}, torch {torch.__version__}, triton "
        f"{installed('triton')}, PyG {installed('torch-geometric')}, tokennet {tn.__version__}"
    )
    return "\n\n".join(
        [
            "# Sparse kernels on a GPU",
            "    python benchmarks/sparse_gpu.py",
            f"{software}. {device_line}",
            f"H {HEADS}, D {CHANNELS}; features: {FEATURES} an edge. Ratios: theirs / ours, "
            f"medians of {REPEATS} interleaved runs. The ceiling is reading the rows that the "
            "edges name, as often as the operation does, and nothing else. The difference is the "
            "largest relative one of output and gradients.",
            markdown(HEAD, rows),
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--smoke", action="store_true", help="tiny graphs, on the CPU: does it run?"
    )
    options = parser.parse_args()
    if not (options.smoke or torch.cuda.is_available()):
        text = page(empty_rows(), UNMEASURED) + "\n"
        print(text)
        if not RESULTS.exists() or UNMEASURED in RESULTS.read_text():  # measured ones are kept
            write_whole(RESULTS, text)
        return 0
    device = "cpu" if options.smoke else "cuda"
    torch.set_num_threads(1)
    budget, rows = Budget(SECONDS), []
    torch.manual_seed(0)
    line = "Smoke test on a CPU: no numbers to quote."
    if device == "cuda":
        line = f"{torch.cuda.get_device_name()}, copying {copy_ceiling(device):.2f} TB/s."
    print(line, flush=True)
    for case in cases():
        small = case._replace(graph="smoke" if case.graph != MOLECULES else MOLECULES)
        if budget.left() < 30:
            rows += [[*case.names, p, "", "left out: no time", *[""] * 6] for p in case.peers]
            continue
        try:
            found = run_case(small if options.smoke else case, budget, device)
        except torch.OutOfMemoryError:
            found = [[*case.names, p, "out of memory", *[""] * 7] for p in case.peers]
        rows += found
        print(markdown(HEAD, found).split("\n", 2)[2], flush=True)
    text = page(rows, line) + "\n"
    print("\n" + text)
    if not options.smoke:
        write_whole(RESULTS, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
