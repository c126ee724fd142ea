"""Released libraries under audit: which modules do not do what their documentation says.

    python benchmarks/field_audit.py

Audits the installed torch, PyG, transformers, x-transformers and e3nn, as far as they are there,
each module with what its documentation promises (`tokennet/audit/presets`). Findings are stated
as measured, with their smallest witness; what a library announces is no promise and no finding.
Results are stored one by one in results/field_audit.jsonl, and the run goes on where it was
stopped; `--fresh` begins anew. The table is written to results/field_audit.md.
"""

import argparse
import importlib.metadata
import json
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from field_zoo import quietly, torch_modules
from field_zoo_pyg import pyg_modules
from field_zoo_transformers import transformers_modules
from field_zoo_x import e3nn_modules, x_transformers_modules
from measure import markdown, write_whole

import tokennet as tn

STORE = Path(__file__).parent / "results" / "field_audit.jsonl"
PAGE = Path(__file__).parent / "results" / "field_audit.md"
FAMILIES: dict[str, tuple[str, Callable[[], Iterator[tuple]]]] = {
    "torch": ("torch", torch_modules),
    "PyG": ("torch-geometric", pyg_modules),
    "transformers": ("transformers", transformers_modules),
    "x-transformers": ("x-transformers", x_transformers_modules),
    "e3nn": ("e3nn", e3nn_modules),
}


def version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def audited(name: str, build: Callable[[], Any], given: dict[str, Any], budget: float) -> dict:
    """One row: what is broken, with witness and blame; or why nothing can be said."""
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            module = quietly(build)
        except Exception as error:  # does not build with plain arguments
            return {"module": name, "status": "not built", "why": _line(error)}
        try:
            report = tn.audit(module, budget=budget, **given)
        except Exception as error:
            return {"module": name, "status": "not audited", "why": _line(error)}
    verdicts = {n: report[n] for n in report.broken}
    found = [
        {
            "property": n, "error": v.error, "floor": v.floor, "enters": v.blame,
            "witness": "" if v.witness is None else f"{v.witness.change}; {v.witness.plan}",
            "what": "" if v.witness is None else v.witness.what,
        }
        for n, v in verdicts.items()
    ]  # fmt: skip
    promised = [n for n, v in report.verdicts.items() if v.promised]
    held = [n for n in promised if report[n].status == "holds"]
    return {
        "module": name, "status": "broken" if found else "as promised", "found": found,
        "promised": len(promised), "held": len(held), "inputs": report.inputs,
        "undecided": [n for n in promised if report[n].status == "undecided"],
        "refused": list(report.refusals)[:2], "seconds": round(time.process_time() - start, 1),
    }  # fmt: skip


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:120]}"


def stored(fresh: bool) -> dict[tuple[str, str], dict]:
    if fresh:
        STORE.unlink(missing_ok=True)
    if not STORE.exists():
        return {}
    rows = []
    for line in STORE.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue  # the last line of a run that was killed
    return {(r["library"], r["module"]): r for r in rows}


def page(rows: list[dict], versions: dict[str, str]) -> str:
    """Counts for each library, and all findings."""
    counts, findings, left = [], [], []
    for library, number in versions.items():
        own = [r for r in rows if r["library"] == library]
        kinds = [sum(r["status"] == k for r in own) for k in ("as promised", "broken")]
        aside = sum(r["status"].startswith("not") for r in own)
        counts.append([f"{library} {number}", str(len(own)), *map(str, kinds), str(aside)])
        for r in own:
            for f in r.get("found", []):
                size = "not finite" if f["error"] == float("inf") else f"{f['error']:.2g}"
                cells = [library, r["module"], f["property"], size, f["enters"], f["witness"]]
                findings.append([str(c).replace("|", "/") for c in cells])
            if r["status"].startswith("not"):
                left.append(f"* {library}, {r['module']}: {r['status']}, {r['why']}")
    words = [
        "# Released libraries under audit", "", "    python benchmarks/field_audit.py", "",
        f"Python {platform.python_version()}, torch {torch.__version__}, tokennet {tn.__version__},"
        " CPU. Each module with random weights and dropout off, against what its documentation"
        " promises; what is announced there is no finding. A module without a finding was not"
        " refuted within the budget. Sizes are relative to the output's channel.", "",
        markdown(["library", "modules", "as promised", "with a finding", "left aside"], counts), "",
        "## Findings", "",
        markdown(["library", "module", "property", "size", "enters at", "witness"], findings), "",
        "## Left aside", "", *left, "",
    ]  # fmt: skip
    return "\n".join(words)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", choices=FAMILIES, action="append", help="these libraries")
    parser.add_argument("--name", default="", help="modules whose name contains this")
    parser.add_argument("--budget", type=float, default=5.0, help="seconds of search for each")
    parser.add_argument("--fresh", action="store_true", help="forget earlier results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    known, versions = stored(options.fresh), {}
    for library, (package, family) in FAMILIES.items():
        number = version(package)
        if number is None or (options.only and library not in options.only):
            print(f"{library}: {'left out' if number else 'not installed'}", flush=True)
            continue
        versions[library] = number
        for name, build, *given in family():
            name = " ".join(name.split())
            if (library, name) in known or options.name not in name:
                continue
            row = audited(name, build, given[0] if given else {}, options.budget)
            known[library, name] = row = {"library": library, "version": number, **row}
            with STORE.open("a") as store:
                store.write(json.dumps(row) + "\n")
            told = ", ".join(f["property"] for f in row.get("found", [])) or row["status"]
            print(f"{library} {name}: {told}", flush=True)
    for library, (package, _) in FAMILIES.items():
        if any(key[0] == library for key in known) and version(package):
            versions.setdefault(library, str(version(package)))
    write_whole(PAGE, page(list(known.values()), versions))
    print(PAGE.read_text())


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
