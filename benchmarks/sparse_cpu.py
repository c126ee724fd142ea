"""Sparse attention and message passing on one CPU thread, beside PyG on the same numbers.

    python benchmarks/sparse_cpu.py

Ours and PyG's get the same q, k, v or the same weights, and must agree before they are timed:
outputs and gradients to 1e-4 of the largest number. Steps take turns; which begins changes every
round; times are medians of CPU time (other processes lengthen wall time). Forward runs without
autograd, backward gives the gradients of the inputs and of every weight. "At most" is the ratio
that a layer would have if its edges cost nothing: PyG's time divided by that of the layer's linear
maps alone, which take their turn in the same rounds. Peak memory is what the resident memory of a
process of its own grows by in one forward and backward, gradients included (Linux only). What is
made once for a graph is made before: our sorted edges, GCNConv's cache, compiled code. Compiled is
`torch.compile(dynamic=False)`. Without `--quick`, `--only` and `--by-target` the tables are written
to results/sparse_cpu.md. Exits with 1 where a ratio misses its target.

Axes: T tokens, E edges, H heads, D channels of a head.
"""

import argparse
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch_geometric
from measure import (
    available,
    can_measure_memory,
    growth,
    in_fresh_process,
    interleaved,
    markdown,
    write_whole,
)
from sparse_maps import MAPS, Maps
from sparse_report import MIB, Result, medians, score, summary, table
from sparse_steps import (
    LAYERS,
    SHAPES,
    Case,
    Step,
    build,
    bytes_of_edges,
    edges_of,
    measure_memory,
    structure_of,
)

import tokennet as tn

RESULTS = Path(__file__).parent / "results" / "sparse_cpu.md"
PRELOAD = ["torch", "torch_geometric.nn"]  # what takes time to import
TOLERANCE = 1e-4
PER_TOKEN = 16  # edges of a token where time is drawn against edges
EDGES = (100_000, 316_228, 1_000_000, 3_162_278, 10_000_000)

SECTIONS = ("ops", "layers", "ragged", "scaling")
OPS = [
    *(Case("propagate", "mid", width, heads) for width in (64, 128) for heads in (4, 8)),
    Case("propagate", "big", 64, 4),
    Case("propagate", "big", 128, 8),
]
LAYER_CASES = [
    *(Case(name, "mid", width, heads) for width, heads in ((64, 4), (128, 8)) for name in LAYERS),
    *(Case(name, "big", 64, 4) for name in ("TransformerConv", "GATConv", "GCNConv", "GINConv")),
]


def check(case: Case, steps: dict[str, Step]) -> None:
    """Raises where two variants are not the same function, or not the same derivative."""

    def values(step: Step) -> dict[str, torch.Tensor]:
        grads, k = step.both(), step.num_inputs
        found = {f"gradient of input {i}": g for i, g in enumerate(grads[:k])}
        if len(grads) > k:
            found["gradients of weights"] = torch.cat([g.flatten() for g in grads[k:]])
        return {"output": step.forward(), **found}

    first, *others = steps
    expected = values(steps[first])
    for name in others:
        for what, found in values(steps[name]).items():
            wanted = expected[what].view_as(found)
            error = float((found - wanted).abs().max() / wanted.abs().max().clamp(min=1))
            if not error <= TOLERANCE:  # NaN neither
                raise ValueError(f"{case}: {what} of {name} and {first} differ by {error:.1e}")


def peak(case: Case, variant: str) -> int | None:
    """Bytes; None where the system does not tell or has not enough of them."""
    if not can_measure_memory() or (variant == "eager" and case.peer_bytes > available()):
        return None
    return in_fresh_process(measure_memory, case, variant, preload=PRELOAD)


def compare(
    case: Case, pairs: Sequence[tuple[str, str]], repeats: int, remembered: Sequence[str] = ()
) -> list[Result]:
    """Times of (ours, theirs), and peak memory of those `remembered`."""
    torch.compiler.reset()  # code compiled for other cases
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    if case.peer_bytes > available():
        print(f"{case}: left out, PyG would need up to {case.peer_bytes / MIB:.0f} MiB")
        return []
    steps = {name: build(case, name) for name in names}
    check(case, steps)
    ran = {
        own: " ".join(sorted(tn.backend.explain(steps[own].both).implementations)) or "torch"
        for own, _ in pairs
    }
    runs: dict[str, Step | Maps] = {**steps}
    if case.operator in MAPS:
        runs["maps"] = Maps.of(case)
    forward = interleaved({name: run.forward for name, run in runs.items()}, repeats)
    both = interleaved({name: run.both for name, run in runs.items()}, repeats)
    maps = None
    if "maps" in runs:
        maps = statistics.median(forward["maps"]), statistics.median(both["maps"])
    memory = {name: peak(case, name) for name in names if name in remembered}
    results = [
        Result(
            case, own, other, ran[own], medians(own, other, forward), medians(own, other, both),
            (memory.get(own), memory.get(other)), maps,
        )
        for own, other in pairs
    ]  # fmt: skip
    print(table(results).split("\n", 2)[2], flush=True)
    return results


def slopes(edges: Sequence[int], repeats: int) -> tuple[str, bool]:
    """Time against edges, at a fixed number of edges a token."""
    points: list[tuple[int, float, float]] = []
    grown, complete = 0, True
    for count in edges:
        if points and grown * count / points[-1][0] > available():
            complete = False
            break
        step = build(Case("propagate", f"{count // PER_TOKEN} x {count}", 64, 4), "ours")
        grown = growth(step.both) if can_measure_memory() else 0
        seconds = interleaved({"forward": step.forward, "both": step.both}, repeats)
        points.append((count, *medians("forward", "both", seconds)))
        structure_of.cache_clear()
        edges_of.cache_clear()
    rows = [[f"{e:,}", f"{1e3 * f:.4g}", f"{1e3 * b:.4g}"] for e, f, b in points]
    lines, good = [markdown(["edges", "forward, ms", "forward + backward, ms"], rows), ""], complete
    for i, name in ((1, "forward"), (2, "forward + backward")):
        log = [[math.log(p[k]) for p in points] for k in (0, i)]
        slope = statistics.linear_regression(*log).slope if len(points) > 1 else float("nan")
        reached = complete and abs(slope - 1) <= 0.08
        good &= reached
        lines.append(f"* slope of the {name}, log-log: {slope:.3f} (1 +- 0.08): {verdict(reached)}")
    if not complete:
        lines.append("* The largest graphs are left out: not enough memory.")
    return "\n".join(lines), good


def threads(case: Case, repeats: int) -> tuple[str, bool]:
    """Wall time of two threads beside one."""
    step = build(case, "ours")

    def run(count: int) -> Callable[[], object]:
        def go() -> None:
            torch.set_num_threads(count)
            step.both()

        return go

    load = os.getloadavg()[0]
    seconds = interleaved({"1": run(1), "2": run(2)}, repeats, clock=time.perf_counter)
    torch.set_num_threads(1)
    one, two = medians("1", "2", seconds)
    judged = load < 1.5 and (os.cpu_count() or 1) > 1  # this process makes 1 of it
    says = verdict(one / two >= 1.7) if judged else "not judged, other work was running"
    text = (
        f"* two threads: {score(one / two, 1.7)} times as fast as one, {1e3 * two:.1f} and "
        f"{1e3 * one:.1f} ms of wall time, load {load:.1f}: {says}"
    )
    return text, not judged or one / two >= 1.7


def verdict(reached: bool) -> str:
    return "reached" if reached else "MISSED"


def smoke(case: Case) -> Case:
    return replace(case, graph="tiny", width=8, heads=2)


def measure(options: argparse.Namespace) -> tuple[list[Result], list[str], bool]:
    """The comparisons, the paragraphs about scaling, and whether those reach their targets."""
    small, repeats = options.smoke, options.repeats
    chosen = [options.only] if options.only else SECTIONS
    results: list[Result] = []
    peers = ["eager"] if small else ["eager", "compiled"]

    def add(cases: Sequence[Case], pairs: Sequence[tuple[str, str]], remembered: set[str]) -> None:
        cases = [smoke(c) for c in cases[:6]] if small else cases
        for case in cases:
            if not (options.quick and case.graph == "big"):
                case = replace(case, by_target=options.by_target)
                results.extend(compare(case, pairs, repeats, remembered))

    ours = [("ours", peer) for peer in peers]
    if "ops" in chosen:
        cases = OPS[-1:] if small else OPS
        add(cases, [*ours, ("bag", "eager")], {"ours", "bag", *peers})
    if "layers" in chosen:
        add(LAYER_CASES, ours, set() if small else {"ours", "eager"})
    if "ragged" in chosen:
        add([Case("ragged", "256 sets", 64, 4)], [("ours", "eager")], set())
    if "scaling" not in chosen:
        return results, [], True
    if not small:
        add([Case(name, "cora", 64, 4) for name in LAYERS], ours[:1], set())
    line, straight = slopes((1600, 3200) if small else EDGES[: 3 if options.quick else 5], repeats)
    both, faster = threads(Case("propagate", "tiny" if small else "mid", 64, 4), repeats)
    for text in (line, both):
        print(text, flush=True)
    return results, [line, both], straight and faster


def report(command: str, options: argparse.Namespace) -> tuple[str, bool]:
    """The page, and whether every target is reached."""
    start, load = time.time(), os.getloadavg()[0]
    results, scaling, good = measure(options)
    asked, reached = summary(results)
    parts = [
        "# Sparse kernels on a CPU, beside PyG",
        f"    {command}",
        f"Python {platform.python_version()}, torch {torch.__version__}, PyG "
        f"{torch_geometric.__version__}, tokennet {tn.__version__}, {platform.machine()} with "
        f"{torch.backends.cpu.get_cpu_capability()}, one thread, float32, medians of "
        f"{options.repeats} interleaved repeats of CPU time. Power-law graphs: "
        + ", ".join(f"{n} {t:,} tokens, {e:,} edges" for n, (t, e) in SHAPES.items() if n != "tiny")
        + (", edges in the order of their targets." if options.by_target else "."),
        "How many times faster and smaller, at the least; in brackets what is asked, in bold what "
        "falls short of it. At most, where that is less than what is asked: what the layer would "
        "reach if its edges cost nothing, PyG's time divided by that of its linear maps alone.",
        asked,
        "## Every case",
        "Ours / theirs. `bag` is our fallback in torch alone. At most: forward, and with backward. "
        "Memory of one forward and backward.",
        table(results),
    ]
    graph = next((r.case.graph for r in results if r.case.graph == "big"), "")
    if graph:
        kept, index = (b / MIB for b in bytes_of_edges(graph))
        parts.append(
            f"Kept with the structure, once for all layers and steps, and not counted above: "
            f"{kept:.0f} MiB of sorted edges of the graph {graph}; its list of edges is "
            f"{index:.0f} MiB."
        )
    if scaling:
        parts += ["## Growth", f"H D 64, H 4, {PER_TOKEN} edges a token.", *scaling]
    parts.append(
        f"Load of the machine {load:.1f} before and {os.getloadavg()[0]:.1f} after; "
        f"{(time.time() - start) / 60:.0f} minutes."
    )
    return "\n\n".join(parts) + "\n", good and reached


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="without the graph of 2M edges")
    parser.add_argument("--only", choices=SECTIONS, help="one part of the tables")
    parser.add_argument("--repeats", type=int, default=7, help="runs of each variant (7)")
    parser.add_argument("--by-target", action="store_true", help="give both sorted edges")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes: does it run?")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.smoke:
        options.repeats = 1
    command = " ".join(["python", "benchmarks/sparse_cpu.py", *sys.argv[1:]])
    text, good = report(command, options)
    print("\n" + text)
    if not (options.quick or options.only or options.by_target or options.smoke):
        write_whole(RESULTS, text)
    return 0 if good or options.smoke else 1


if __name__ == "__main__":
    sys.exit(main())
