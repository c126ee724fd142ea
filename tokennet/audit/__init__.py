"""Any module against the properties that it has, or should have."""

from tokennet.audit.adapter import Adapter, Preset
from tokennet.audit.assertion import assert_obeys
from tokennet.audit.audit import audit
from tokennet.audit.expressivity import (
    Distinguished,
    PairFinding,
    brec_pairs,
    distinguishes,
    graph_pairs,
)
from tokennet.audit.pages import draw_matrix, write_page
from tokennet.audit.properties import PROPERTIES
from tokennet.audit.report import AuditReport, AuditVerdict
from tokennet.audit.symmetry import SymmetryGroup, symmetry_group

__all__ = [
    "PROPERTIES",
    "Adapter",
    "AuditReport",
    "AuditVerdict",
    "Distinguished",
    "PairFinding",
    "Preset",
    "SymmetryGroup",
    "assert_obeys",
    "audit",
    "brec_pairs",
    "distinguishes",
    "draw_matrix",
    "graph_pairs",
    "symmetry_group",
    "write_page",
]
