"""Facts about a batch of tokens."""

from tokennet.structure.edges import Compressed, Edges, SortedEdges
from tokennet.structure.expander import (
    expander_edges,
)
from tokennet.structure.layout import Layout, Packed, Padded
from tokennet.structure.structure import Structure, Tokens

__all__ = [
    "Compressed",
    "Edges",
    "Layout",
    "Packed",
    "Padded",
    "SortedEdges",
    "Structure",
    "Tokens",
    "expander_edges",
]
