"""Planted bugs with their twins, and correct modules that naive checks flag."""

from corpus import (
    attention,
    batch,
    caches,
    gradients,
    graphs,
    graphs_norms,
    inplace,
    lattices,
    masks,
    modes,
    padding,
    sequences,
    sets,
    state,
    words,
)
from corpus.entry import DIFFICULT, ENTRIES, Entry

__all__ = [
    "DIFFICULT",
    "ENTRIES",
    "Entry",
    "attention",
    "batch",
    "caches",
    "gradients",
    "graphs",
    "graphs_norms",
    "inplace",
    "lattices",
    "masks",
    "modes",
    "padding",
    "sequences",
    "sets",
    "state",
    "words",
]
