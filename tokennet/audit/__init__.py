"""Any module against the properties that it has, or should have."""

from tokennet.audit.adapter import Adapter, Preset
from tokennet.audit.assertion import assert_obeys
from tokennet.audit.audit import audit
from tokennet.audit.properties import PROPERTIES
from tokennet.audit.report import AuditReport, AuditVerdict

__all__ = [
    "PROPERTIES",
    "Adapter",
    "AuditReport",
    "AuditVerdict",
    "Preset",
    "assert_obeys",
    "audit",
]
