"""The page of the corpus: `python benchmarks/corpus/table.py` writes its README."""

import sys
from collections import Counter
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from measure import markdown, write_whole

from corpus import DIFFICULT, ENTRIES, Entry
from corpus.entry import DIFFICULTIES, PROPERTIES

README = Path(__file__).with_name("README.md")
INTRODUCTION = """\
# Planted bugs

What `python benchmarks/detector.py` judges a detector on. Each entry is one module class with a
bug and a correct twin, told apart by one argument; `promises` is what the twin obeys, `broken` what
counts as the right name for the bug, `shows` a few lines that demonstrate it without any detector
(`tests/test_corpus.py` runs them all). The last table has correct modules that naive checks flag.

The bugs were written for this corpus, after public reports or well-known classes of bugs: the last
column has a report of the same kind where there is one. No code was taken from there.

A bug *shows* always; at some sizes (one sample, 17 tokens, no multiple of eight); for some values
(ties, large numbers, zeros, an empty sample); in some mode (evaluation, autograd off); in some
number format; in gradients only; or after earlier calls.

To add one, write `class Name(nn.Module)` with `__init__(self, bug)` in the file of its theme,
decorate it with `planted(...)`, run `python benchmarks/corpus/table.py`, and the test.
"""


def row(entry: Entry) -> list[str]:
    echo = entry.echo
    if echo.startswith("https://"):
        echo = f"[{'/'.join(echo.split('/')[3:5])}#{echo.rsplit('/', 1)[-1]}]({echo})"
    return [entry.name, entry.difficulty, ", ".join(entry.broken), echo]


def page() -> str:
    shows = Counter(e.difficulty for e in ENTRIES)
    broken = Counter(p for e in ENTRIES for p in e.broken)
    names = [*PROPERTIES, *(f"GradientOf({p})" for p in PROPERTIES)]
    return "\n".join(
        [
            INTRODUCTION,
            f"{len(ENTRIES)} bugs, by when they show:\n",
            markdown(list(DIFFICULTIES), [[str(shows[d]) for d in DIFFICULTIES]]),
            "\nand by the properties that they break (several each):\n",
            markdown(["property", "bugs"], [[p, str(broken[p])] for p in names if broken[p]]),
            "\n## Bugs\n",
            markdown(["entry", "shows", "breaks", "like"], [row(e) for e in ENTRIES]),
            f"\n## {len(DIFFICULT)} correct modules\n",
            markdown(["entry", "why it's difficult"], [[e.name, e.echo] for e in DIFFICULT]),
            "",
        ]
    )


if __name__ == "__main__":
    write_whole(README, page())
