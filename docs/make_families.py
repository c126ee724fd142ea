"""Writes the tables and pictures of the family pages: claims from the code, pictures measured.

The rows are in families.py; a table stands in its page between two marker comments.
"""

import re
import sys
from pathlib import Path

import torch

import tokennet as tn
from tokennet.laws import closure

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from families import DIM, FAMILIES, Entry, Family  # noqa: E402


def promise(entry: Entry) -> str:
    """The strongest claims: those that no other claim implies."""
    claims = closure(entry.make().claims)
    implied = {law for claim in claims for law in claim.implied}
    return ", ".join(sorted(c.name for c in claims if type(c) not in implied)) or "none"


def table(family: Family) -> str:
    """Markdown: what one types, the formula, where it is from, claims, facts read, cost."""
    lines = [
        "| in a net | formula | from | claims | reads | multiplications |",
        "|---|---|---|---|---|---|",
    ]
    for entry in family.entries:
        reads = ", ".join(sorted(entry.make().reads)) or "-"
        cells = (f"`{entry.code}`", entry.formula, entry.paper, promise(entry), reads, entry.cost)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def structure(mixer: tn.Mixer, size: int = 12) -> tn.Structure:
    """One sample: a ring with two chords, a grid of 3 rows, a memory of five tokens."""
    ring = torch.stack([torch.arange(size), (torch.arange(size) + 1) % size])
    chords = torch.tensor([[0, 2], [6, 9]])
    index = torch.cat([ring, ring.flip(0), chords, chords.flip(0)], 1)
    attr = torch.rand(index.shape[1], 3, dtype=torch.float64)
    facts: dict[str, object] = {"edges": tn.Edges(index, None, attr)}
    if "grid" in mixer.reads:
        facts["grid"] = (3, size // 3) if getattr(mixer, "axes", 2) == 2 else (size,)
    if "memory" in mixer.reads:
        facts["memory"] = torch.randn(1, 5, DIM, dtype=torch.float64)
    return tn.Structure.dense(1, size, **facts)


def matrices(family: Family) -> dict[str, torch.Tensor]:
    """The measured influence of each entry that mixes tokens."""
    found = {}
    for entry in family.entries:
        if not entry.title:
            continue
        torch.manual_seed(0)
        mixer = entry.make().double().train(entry.train)
        with torch.no_grad():
            for p in mixer.parameters():
                if p.ndim == 0 or not p.any():
                    p.normal_(std=0.5)
        x = torch.randn(1, 12, DIM, dtype=torch.float64)
        known = structure(mixer)
        found[entry.title] = tn.influence(mixer, x, entry.given(known) if entry.given else known)
    return found


def page(family: Family) -> str:
    """The page with its table written anew."""
    path = HERE / f"{family.name}.md"
    parts = re.compile(r"(<!-- table -->\n).*?(<!-- end -->)", re.DOTALL)
    text, count = parts.subn(lambda m: m[1] + table(family) + "\n" + m[2], path.read_text())
    assert count == 1, f"{path.name} needs one table between the markers"
    return text


if __name__ == "__main__":
    from make_pictures import draw

    draw()
    for family in FAMILIES:
        (HERE / f"{family.name}.md").write_text(page(family))
        drawn = matrices(family)
        if drawn:
            tn.draw_influence(drawn, path=HERE / "pictures" / f"{family.name}.png")
        print(family.name, len(family.entries), "rows,", len(drawn), "panels")
