"""Parts of a net exchanged, with the weights that can be kept."""

from tokennet.surgery.distill import distill
from tokennet.surgery.fit import Fit
from tokennet.surgery.make import over
from tokennet.surgery.optimizer import Carried
from tokennet.surgery.report import Change, Facts, SurgeryReport, Swapped
from tokennet.surgery.swap import swap

__all__ = [
    "Carried",
    "Change",
    "Facts",
    "Fit",
    "SurgeryReport",
    "Swapped",
    "distill",
    "over",
    "swap",
]
