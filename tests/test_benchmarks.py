"""Benchmarks run (at tiny sizes), refuse to compare different functions, and measure what is there.

Axes: T tokens, H heads, D channels of a head.
"""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_sparse_cpu_runs() -> None:
    results = BENCHMARKS / "results" / "sparse_cpu.md"
    before = results.read_bytes() if results.exists() else None
    command = [sys.executable, str(BENCHMARKS / "sparse_cpu.py"), "--smoke"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = done.stdout.split("## Every case")[1]
    convs = ("Transformer", "GAT", "GATv2", "GCN", "SAGE", "GIN")
    for operator in ("propagate", "ragged", *(f"{name}Conv" for name in convs)):
        row = next(line for line in page.splitlines() if f"| {operator} | tiny | 8, 2 |" in line)
        assert (row.split(" | ")[9] == "-") == (operator in ("propagate", "ragged"))
    assert "slope of the forward + backward" in page
    assert (results.read_bytes() if results.exists() else None) == before


def test_different_functions_are_not_compared() -> None:
    """Neither other outputs nor other gradients pass."""
    from sparse_cpu import check
    from sparse_steps import Case, build

    case = Case("propagate", "tiny", 8, 2)
    ours, theirs = build(case, "ours"), build(case, "eager")
    check(case, {"ours": ours, "eager": theirs})
    other = theirs._replace(call=lambda: theirs.call() * 1.001)
    with pytest.raises(ValueError, match="output of other and ours differ by"):
        check(case, {"ours": ours, "other": other})
    q, k, v = theirs.leaves
    parts = theirs.call, lambda: theirs.call() + (q - q.detach()) * 0.001
    other = theirs._replace(call=parts[1])
    with pytest.raises(ValueError, match="gradient of input 0 of other and ours differ by"):
        check(case, {"ours": ours, "other": other})
    broken = theirs._replace(call=lambda: theirs.call() * float("nan"))
    with pytest.raises(ValueError, match="differ by nan"):
        check(case, {"ours": ours, "other": broken})
    assert k.shape == v.shape == (60, 2, 4)


@pytest.mark.parametrize("operator", ["GATConv", "GCNConv", "ragged"])
def test_the_same_numbers_each_time(operator: str) -> None:
    """A step that is built anew, as in the process that measures memory, is the same step."""
    from sparse_steps import Case, build

    case = Case(operator, "tiny", 8, 2)
    for variant in ("ours", "eager"):
        one, two = build(case, variant), build(case, variant)
        assert torch.equal(one.forward(), two.forward())


def test_graphs_have_no_self_loops_and_may_be_sorted() -> None:
    from sparse_steps import SHAPES, edges_of

    source, target = edges_of("tiny", False)
    assert len(source) == SHAPES["tiny"][1]
    assert not (source == target).any()
    ordered = edges_of("tiny", True)
    assert (ordered[1].diff() >= 0).all()
    key = lambda index: (index[0] * 60 + index[1]).sort().values  # noqa: E731
    assert torch.equal(key(ordered), key(torch.stack([source, target])))


def test_turns_alternate() -> None:
    from measure import interleaved

    order: list[str] = []
    runs = {name: (lambda n=name: order.append(n)) for name in "ab"}
    seconds = interleaved(runs, 3, least=-1)  # then each run is long enough to be a sample
    assert "".join(order) == "ab" + "ba" + "ab" + "ba"
    assert [len(s) for s in seconds.values()] == [3, 3]


def test_growth_is_that_of_the_tensors() -> None:
    from measure import can_measure_memory, growth

    if not can_measure_memory():
        pytest.skip("needs /proc of Linux")

    def run() -> None:
        for _ in range(3):  # one after the other: the peak holds one of them
            torch.ones(64 * 2**18)

    run()
    assert 60 < growth(run) / 2**20 < 80
    kept: list[torch.Tensor] = []
    assert 120 < growth(lambda: kept.extend(torch.ones(64 * 2**18) for _ in range(2))) / 2**20 < 150


def test_what_falls_short_is_bold() -> None:
    from sparse_report import Result, score, summary
    from sparse_steps import Case

    assert [score(9.96, 10), score(10, 10), score(1.5, None)] == ["**9.9** (10)", "10 (10)", "1.5"]
    case = Case("propagate", "mid", 64, 4)
    good = Result(case, "ours", "eager", "cpp", (1, 36), (1, 21), (2**20, 26 * 2**20))
    slow = Result(case, "ours", "eager", "cpp", (1, 36), (1, 19), (2**20, 26 * 2**20))
    unknown = Result(case, "ours", "eager", "cpp", (1, 36), (1, 21), (None, None))
    assert [summary(rs)[1] for rs in ([good], [good, slow], [unknown], [])] == [
        True, False, False, True,
    ]  # fmt: skip
    assert "**19** (20)" in summary([good, slow])[0]


def test_a_target_beyond_the_linear_maps_is_shown_to_be() -> None:
    from sparse_report import Result, score, summary, table
    from sparse_steps import Case

    assert score(3.65, 12, 5.19) == "**3.6** (12; at most 5.1)"
    assert score(3.65, 12, 12) == "**3.6** (12)"
    case = Case("SAGEConv", "mid", 64, 4)
    near = Result(case, "ours", "eager", "cpp", (2, 8), (3, 30), (None, None), (1, 2))
    far = Result(case, "ours", "eager", "cpp", (2, 10), (3, 30), (None, None), (2, 2))
    text, reached = summary([near, far])
    assert "| **4** (12; at most 5) | 10 (8) | - |" in text
    assert not reached
    assert "| 8, 15 |" in table([near])


def test_linear_maps_are_all_there_are() -> None:
    """The parts that are timed alone hold every matrix of the layer, and see what it sees."""
    from sparse_maps import MAPS, Maps
    from sparse_steps import LAYERS, Case

    assert list(MAPS) == list(LAYERS)
    for name, parts in MAPS.items():
        case = Case(name, "tiny", 8, 2)
        layer = LAYERS[name].ours(case.width, case.heads)
        others = {n for n, p in layer.named_parameters() if not n.startswith(parts)}
        assert others <= {"score", "bias"}  # of each token and head, of each channel
        maps = Maps.of(case)
        assert [y.shape for y in maps.forward()] == [(60, 8)] * len(parts)
        gradients = maps.both()
        count = sum(p.numel() for n, p in layer.named_parameters() if n not in others)
        assert sum(g.numel() for g in gradients) == 60 * 8 + count
