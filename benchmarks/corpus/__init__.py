"""Planted bugs with their twins, and correct modules that naive checks flag."""

from corpus import attention, lattices, masks, padding, sequences
from corpus.entry import DIFFICULT, ENTRIES, Entry

__all__ = [
    "DIFFICULT",
    "ENTRIES",
    "Entry",
    "attention",
    "lattices",
    "masks",
    "padding",
    "sequences",
]
