"""What an ablation found, as Markdown, LaTeX and CSV."""

import csv
import io
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tokennet.ablate.record import RunRecord
from tokennet.ablate.report import words
from tokennet.ablate.report.numbers import chance, count, duration, share

if TYPE_CHECKING:
    from tokennet.ablate.ablation import Ablation
    from tokennet.ablate.analysis import Comparison

Row = tuple[str, ...]
_RANKING: Row = ("rank", "choice", "mean", "95 % interval", "n", "parameters", "time")
_DIFFERENCES: Row = (
    "comparison",
    "difference",
    "95 % interval",
    "p",
    "p (Holm)",
    "distinguishable",
)
_RUN = ("id", "seed", "status")
_COSTS = ("parameters", "flops", "seconds", "memory")
_ORIGIN = ("started", "commit", "machine", "versions", "error")


def ranking_rows(ablation: "Ablation") -> list[Row]:
    """One row for every complete cell, the best first."""
    found: list[Row] = []
    for rank, cell in enumerate(ablation.analysis.ranking, 1):
        digits = words.digits_of(cell)
        mean = digits.with_deviation(cell.mean, cell.deviation)
        costs = (count(cell.parameters), duration(cell.seconds))
        interval = digits.interval(cell.interval)
        found.append((str(rank), cell.name, mean, interval, str(len(cell.values)), *costs))
    return found


def comparison_row(comparison: "Comparison") -> Row:
    """A comparison and its numbers; of one that shows nothing, the seeds that it would take."""
    digits = words.digits_of_difference(comparison)
    needed = comparison.seeds_needed
    open_ = "no" if needed is None else f"no; about {needed} seeds needed"
    return (
        words.compared(comparison),
        digits.alone(comparison.difference),
        digits.interval(comparison.interval),
        chance(comparison.p),
        chance(comparison.p_holm),
        "yes" if comparison.distinguishable else open_,
    )


def as_markdown(ablation: "Ablation") -> str:
    """Ranking, differences, effects, what is incomplete, and notes."""
    plan, analysis = ablation.plan, ablation.analysis
    parts = [f"## {_markdown(plan.name)}: {_markdown(plan.metric)}", ""]
    parts += [f"{_markdown(words.asked(ablation))}; {_markdown(words.state(ablation.runs))}; "]
    parts[-1] += f"{words.direction(ablation)}."
    parts += ["", _markdown(words.lead(ablation))]
    if analysis.ranking:
        parts += ["", *_markdown_table(_RANKING, ranking_rows(ablation))]
        parts += ["", "Mean ± sample deviation over seeds; bootstrap (BCa) interval of the mean."]
    lacking = [f"{cell.name}: {why}" for cell, why in words.incomplete(ablation)]
    parts += _markdown_list("Incomplete, so in no ranking and no comparison", lacking)
    if analysis.comparisons:
        rows = [comparison_row(c) for c in analysis.comparisons]
        parts += ["", "### Differences", "", *_markdown_table(_DIFFERENCES, rows)]
        parts += ["", f"Level {analysis.alpha:g}. {_markdown(analysis.family)}"]
    effects = [f"{words.effect_name(e)}: {share(e.share)}" for e in analysis.effects]
    parts += _markdown_list("Share of the variance between choices", effects)
    parts += _markdown_list("Notes", words.notes(ablation))
    return "\n".join(parts) + "\n"


def _markdown(text: object) -> str:
    """Escaped: a label may hold what Markdown or HTML would take for its own."""
    return re.sub(r"([\\`*_{}\[\]<>#|~$&])", r"\\\1", words.one_line(text))


def _markdown_table(head: Row, rows: Sequence[Row]) -> list[str]:
    lines = [head, tuple("---" for _ in head), *(tuple(map(_markdown, row)) for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def _markdown_list(title: str, items: Sequence[str]) -> list[str]:
    lines = [f"- {_markdown(item)}" for item in items]
    return ["", f"### {title}", "", *lines] if items else []


def as_latex(ablation: "Ablation") -> str:
    """Two tables, which need `\\usepackage{booktabs}`: the ranking and the differences."""
    plan, analysis = ablation.plan, ablation.analysis
    parts = []
    name, metric = _latex(plan.name), _latex(plan.metric)
    lacking = [f"{cell.name}: {why}" for cell, why in words.incomplete(ablation)]
    left = f" Incomplete, so not ranked: {_latex('; '.join(lacking))}." if lacking else ""
    if analysis.ranking:
        caption = f"{name}: {metric} ({words.direction(ablation)}), mean $\\pm$ sample deviation."
        rows = ranking_rows(ablation)
        parts += _latex_table("rllrrrr", _RANKING, rows, caption + left)
    elif lacking:
        parts += [f"% no choice of {name} is complete: {_latex('; '.join(lacking))}"]
    if analysis.comparisons:
        rows = [comparison_row(c) for c in analysis.comparisons]
        caption = f"{name}: differences in {metric}, Holm-corrected at level {analysis.alpha:g}."
        parts += ["", *_latex_table("lrrrrl", _DIFFERENCES, rows, caption)]
    return "\n".join(parts) + "\n"


_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''",
    "±": r"$\pm$", "\u00d7": r"$\times$", "∞": r"$\infty$", "—": "--", "·": r"$\cdot$",
}  # fmt: skip
_EXPONENT = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def _latex(text: object) -> str:
    """Escaped; `·10⁻¹²` becomes maths."""
    escaped = "".join(_LATEX.get(c, c) for c in words.one_line(text))
    escaped = re.sub(r"(?<![\w}-])-(?=[\d∞$])", "$-$", escaped)
    raised = r"[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+"
    return re.sub(raised, lambda found: f"$^{{{found[0].translate(_EXPONENT)}}}$", escaped)


def _latex_table(columns: str, head: Row, rows: Sequence[Row], caption: str) -> list[str]:
    lines = [" & ".join(map(_latex, row)) + r" \\" for row in rows]
    lines = [f"{{}}{line}" if line[0] in "[*" else line for line in lines]  # no argument of \\\\
    return [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{caption}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(map(_latex, head)) + r" \\",
        r"\midrule",
        *lines,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]


def as_csv(ablation: "Ablation") -> str:
    """One line for each run. An axis or a metric named like another column gets a prefix."""
    metrics = metric_names(ablation)
    taken = {*_RUN, *_COSTS, *_ORIGIN}
    axes = {axis: _unlike(axis, "axis", taken) for axis in ablation.plan.axes}
    named = {metric: _unlike(metric, "metric", taken) for metric in metrics}
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["id", *axes.values(), "seed", "status", *named.values(), *_COSTS, *_ORIGIN])
    for run in ablation.runs:
        writer.writerow(_run_row(run, list(axes), metrics))
    return file.getvalue()


def metric_names(ablation: "Ablation") -> list[str]:
    """The metric that decides, then the others in the order in which runs told them."""
    told = {name: None for run in ablation.runs for name in run.metrics}
    return list({ablation.plan.metric: None, **told})


def _unlike(name: str, kind: str, taken: set[str]) -> str:
    """`name`, or with prefixes where a column has it already; takes it."""
    while name in taken:
        name = f"{kind}.{name}"
    taken.add(name)
    return name


def _run_row(run: RunRecord, axes: list[str], metrics: list[str]) -> list[str]:
    found = run.outcome
    plain: Callable[[object], str] = lambda value: "" if value is None else str(value)  # noqa: E731
    row = [run.id, *(run.labels.get(axis, "") for axis in axes), str(run.seed), run.status]
    row += [plain(run.metrics.get(metric)) for metric in metrics]
    if found is None:
        return [*row, *("" for _ in _COSTS), plain(run.started), "", "", "", ""]
    row += [plain(found.parameters), plain(found.flops), plain(found.seconds), plain(found.memory)]
    versions = "; ".join(f"{name} {version}" for name, version in found.versions.items())
    origin = [run.started, found.commit, found.machine, versions, words.last_line(found.error)]
    return [*row, *map(plain, origin)]
