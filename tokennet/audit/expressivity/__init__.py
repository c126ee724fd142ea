"""Which pairs of graphs a module can tell apart, without training."""

from tokennet.audit.expressivity.distinguish import distinguishes
from tokennet.audit.expressivity.pairs import brec_pairs, graph_pairs
from tokennet.audit.expressivity.result import Distinguished, PairFinding

__all__ = ["Distinguished", "PairFinding", "brec_pairs", "distinguishes", "graph_pairs"]
