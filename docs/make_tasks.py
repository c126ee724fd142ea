"""Writes docs/tasks.md from the tasks' docstrings and what benchmarks/tasks.py measured."""

import inspect
import re
from pathlib import Path

from tokennet.tasks import TASKS

PAGE = Path(__file__).with_name("tasks.md")
RESULTS = PAGE.parents[1] / "benchmarks" / "results" / "tasks.md"
KINDS = {
    "Real data": "tokennet.tasks.(images|graphs|molecules|series|text|translation|sentiment)",
    "Probes: one ability each": "",
}
HEAD = """# Tasks

Small learning problems, each an experiment for [`tn.ablate`](ablations.md): the choices are the
parts of its common net, and it brings its metric, its recipe and a reference. Written by
`docs/make_tasks.py` from the docstrings.

```python
import tokennet as tn

task = tn.tasks.Majority()
net = task.net(mixer=lambda dim, num_heads: tn.Attention(dim, num_heads), dim=16, depth=1)
print(task.metric, len(net.parts))
```

What a choice may ask for as arguments: `dim`, `num_tokens` (`n`), `num_heads` (`h`), `mlp_dim` and
what the task adds (`height`, `width`). `recipe=tn.tasks.Recipe(...)` or `epochs=` change
the training. Data comes from the libraries' usual loaders, or from the folder that `TOKENNET_DATA`
names. How near the common nets come to the references, with seconds a run:
[benchmarks/tasks.py](../benchmarks/results/tasks.md). Metrics are fractions, errors in the units of
the data.
"""


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


def row(name: str, task: type) -> str:
    about = cell(re.split(r"\n\s*\n", inspect.getdoc(task) or "")[0])
    arrow = "higher" if task.higher_is_better else "lower"
    found = task.reference
    spread = f" ± {found.spread:g}" if found.spread is not None else ""
    return (
        f"| `{name}` | {about} | {task.metric}, {arrow} is better | {found.value:g}{spread} | "
        f"{cell(found.source)} |"
    )


def is_real(task: type) -> bool:
    """Whether it reads data; a probe makes its own."""
    return re.search(KINDS["Real data"], task.__module__) is not None


def page() -> str:
    """The whole page."""
    lines = [HEAD]
    for title in KINDS:
        real = title == "Real data"
        chosen = {n: t for n, t in sorted(TASKS.items()) if is_real(t) == real}
        lines += [f"## {title}", "", "| task | what | metric | reference | of |"]
        lines += ["|---|---|---|---|---|"]
        lines += [*(row(name, task) for name, task in chosen.items()), ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
