"""How many planted bugs the audit finds, and how often it cries wolf; the same for other tools.

python benchmarks/detector.py [--only NAME] [--budget SECONDS] [--quick]

Every bug of `benchmarks/corpus` is judged beside its correct twin, and so are the difficult correct
modules. Found: something that was promised is reported broken. Rightly named: one of the broken
properties is among those that count for the bug. False alarm: anything on a correct module. Exits
with 1 where the audit finds less than 98 % of the bugs, raises a false alarm, or fails itself.
"""

import argparse
import multiprocessing
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from corpus import DIFFICULT, ENTRIES, Entry
from corpus.entry import DIFFICULTIES, PROPERTIES
from measure import markdown, write_whole

import tokennet as tn

RESULTS = Path(__file__).parent / "results" / "detector.md"
LEAST = 0.98  # recall below which the run fails
BUDGET = 10.0  # seconds for a module

ONE_LAYER = {  # all modules of the corpus that promise locality have one layer
    "Locality": "Locality(hops=1)",
    "GradientOf(Locality)": "GradientOf(Locality(hops=1))",
}

Judge = Callable[[Entry, bool], tuple[str, ...]]


@dataclass(frozen=True)
class Tool:
    """A detector: what it finds broken in the bug (True) or the twin (False) of an entry.

    `knows`: the properties that it has a check for; None if all.
    """

    name: str
    judge: Judge
    knows: frozenset[str] | None = None


@dataclass(frozen=True)
class Outcome:
    """What one tool said of one module; `failure` if the tool itself raised."""

    entry: Entry
    bug: bool
    broken: tuple[str, ...]
    seconds: float
    failure: str = ""

    @property
    def named(self) -> bool:
        return not set(self.broken).isdisjoint(self.entry.broken)


def audit(budget: float, quick: bool) -> Tool:
    """The audit of this package, told what the module promises."""

    def judge(entry: Entry, bug: bool) -> tuple[str, ...]:
        report = tn.audit(
            entry.make(bug).eval(),
            entry.example(),
            properties=[ONE_LAYER.get(p, p) for p in entry.promises],
            domain=tn.Domain(**entry.domain) if entry.domain else None,
            budget=budget,
            quick=quick,
            **entry.arguments,
        )
        return report.broken

    return Tool(f"tokennet {tn.__version__}", judge)


def outcomes(tool: Tool, entries: Sequence[Entry], workers: int = 1) -> list[Outcome]:
    """Every bug, twin and difficult module, in processes of their own where workers are several."""
    jobs = [
        (i, bug)
        for i, entry in enumerate(entries)
        for bug in ((True, False) if entry.broken else (False,))
    ]

    def told(outcome: Outcome) -> Outcome:
        entry, bug = outcome.entry, outcome.bug
        note = outcome.failure or ", ".join(outcome.broken) or "-"
        kind = "bug" if bug else "twin" if entry.broken else "difficult"
        line = f"{tool.name}: {entry.name} ({kind}): {note} [{outcome.seconds:.1f} s]"
        print(line, file=sys.stderr, flush=True)
        return outcome

    if workers == 1:
        return [told(judged(tool, entries[i], bug)) for i, bug in jobs]
    _SHARED[:] = [tool, entries]
    with multiprocessing.get_context("fork").Pool(workers) as pool:  # modules can't be sent over
        return [
            told(Outcome(entries[i], bug, *found))
            for (i, bug), found in zip(jobs, pool.imap(_job, jobs), strict=True)
        ]


_SHARED: list[Any] = []


def _job(job: tuple[int, bool]) -> tuple[tuple[str, ...], float, str]:
    tool, entries = _SHARED
    found = judged(tool, entries[job[0]], job[1])
    return found.broken, found.seconds, found.failure


def judged(tool: Tool, entry: Entry, bug: bool) -> Outcome:
    start = time.process_time()
    try:
        broken, failure = tool.judge(entry, bug), ""
    except Exception as error:  # a tool that can't judge a module has found nothing
        broken, failure = (), f"{type(error).__name__}: {error}".splitlines()[0][:120]
    return Outcome(entry, bug, tuple(broken), time.process_time() - start, failure)


def share(part: Sequence[object], whole: Sequence[object]) -> str:
    return f"{len(part)} of {len(whole)}" if whole else "-"


def line(tool: Tool, found: Sequence[Outcome]) -> list[str]:
    bugs = [o for o in found if o.bug]
    correct = [o for o in found if not o.bug]
    alarms = [o for o in correct if o.broken]
    seconds = sorted(o.seconds for o in found)
    late = seconds[int(0.95 * (len(seconds) - 1))]
    return [
        tool.name,
        share([o for o in bugs if o.broken], bugs),
        share([o for o in bugs if o.named], bugs),
        share(alarms, correct),
        share([o for o in found if o.failure], found),
        f"{statistics.median(seconds):.1f}",
        f"{late:.1f}",
    ]


def split_up(found: Sequence[Outcome]) -> str:
    """Tables by property and by condition of one tool."""

    def row(name: str, bugs: list[Outcome], correct: list[Outcome]) -> list[str]:
        return [
            name,
            share([o for o in bugs if o.broken], bugs),
            share([o for o in bugs if o.named], bugs),
            share([o for o in correct if o.broken], correct),
        ]

    names = [*PROPERTIES, *(f"GradientOf({p})" for p in PROPERTIES)]
    by_property, by_difficulty = [], []
    for p in names:
        bugs = [o for o in found if o.bug and p in o.entry.broken]
        right = [o for o in found if not o.bug and p in o.entry.promises]
        alarms = [Outcome(o.entry, False, (p,) * (p in o.broken), o.seconds) for o in right]
        if bugs:
            by_property.append(row(p, bugs, alarms))
    for d in DIFFICULTIES:
        own = [o for o in found if o.entry.difficulty == d and o.entry.broken]
        by_difficulty.append(row(d, [o for o in own if o.bug], [o for o in own if not o.bug]))
    hard = [o for o in found if not o.entry.broken]
    by_difficulty.append(row("difficult, correct", [], hard))
    head = ["found", "rightly named", "false alarms"]
    return "\n\n".join(
        [
            markdown(["property", *head], by_property),
            markdown(["shows", *head], by_difficulty),
        ]
    )


def errors(found: Sequence[Outcome]) -> str:
    """By name: what was missed, misnamed, reported without reason, or could not be judged."""
    lists = {
        "Missed": [o.entry.name for o in found if o.bug and not o.broken],
        "Found, named otherwise": [
            f"{o.entry.name} ({', '.join(o.broken)})" for o in found if o.broken and misnamed(o)
        ],
        "False alarms": [
            f"{o.entry.name} ({', '.join(o.broken)})" for o in found if not o.bug and o.broken
        ],
        "Not judged": [f"{o.entry.name} ({o.failure})" for o in found if o.failure],
    }
    return "\n".join(f"* {title}: {'; '.join(names) or 'none'}." for title, names in lists.items())


def misnamed(outcome: Outcome) -> bool:
    return outcome.bug and not outcome.named


def within(tool: Tool, found: Sequence[Outcome]) -> list[Outcome]:
    """Only bugs, and alarms, of properties that the tool has a check for."""
    if tool.knows is None:
        return list(found)
    return [o for o in found if tool.knows & set(o.entry.broken or o.entry.promises)]


def page(results: list[tuple[Tool, list[Outcome]]], budget: float) -> str:
    head = ["tool", "found", "rightly named", "false alarms", "not judged"]
    head += ["median s", "95 % s"]
    lines = [line(tool, found) for tool, found in results]
    parts = [
        "# Planted bugs found, and false alarms",
        f"Measured on {len(ENTRIES)} bugs, their correct twins and {len(DIFFICULT)} difficult "
        f"correct modules ([benchmarks/corpus](../corpus/README.md)), with at most {budget:g} s "
        f"for a module on one core, Python {platform.python_version()}, torch {torch.__version__}, "
        "by `python benchmarks/detector.py`. The corpus and the audit have authors in common: "
        "expect less on bugs of others.",
        markdown(head, lines),
    ]
    for tool, found in results:
        if tool.knows is not None:
            own = within(tool, found)
            parts.append(
                f"{tool.name} checks {', '.join(sorted(tool.knows))}. Of the bugs in those:\n\n"
                + markdown(head, [line(tool, own)])
            )
    for tool, found in results:
        parts += [f"## {tool.name}", split_up(found), errors(found)]
    return "\n\n".join(parts) + "\n"


def passes(found: Sequence[Outcome]) -> bool:
    """Enough bugs found, nothing else reported, everything judged."""
    bugs = [o for o in found if o.bug]
    recall = sum(bool(o.broken) for o in bugs) / max(len(bugs), 1)
    alarms = [o for o in found if o.broken and not o.bug]
    return recall >= LEAST and not alarms and not any(o.failure for o in found)


def peers() -> list[Tool]:
    """Other packages, as far as they are installed."""
    try:
        from detector_peers import installed
    except ImportError as error:
        print(f"no peers: {error}", file=sys.stderr)
        return []
    return installed()


def chosen(only: str | None) -> list[Entry]:
    entries = [*ENTRIES, *DIFFICULT]
    if only is None:
        return entries
    some = [e for e in entries if only in e.name]
    if not some:
        names = ", ".join(e.name for e in entries)
        raise SystemExit(f"no entry has {only!r} in its name; there are {names}")
    return some


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="entries with this in their name; writes no results")
    parser.add_argument("--budget", type=float, default=BUDGET, help="seconds for a module")
    parser.add_argument("--quick", action="store_true", help="a few inputs; writes no results")
    parser.add_argument("--workers", type=int, default=1, help="processes, one core each")
    parser.add_argument("--no-peers", action="store_true", help="only the audit")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    entries = chosen(options.only)
    tools = [audit(options.budget, options.quick)]
    tools += [] if options.no_peers else peers()
    results = [(tool, outcomes(tool, entries, options.workers)) for tool in tools]
    text = page(results, options.budget)
    print(text)
    if options.only is None and not options.quick:
        write_whole(RESULTS, text)
    return int(not passes(results[0][1]))


if __name__ == "__main__":
    sys.exit(main())
