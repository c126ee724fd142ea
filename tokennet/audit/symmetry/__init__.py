"""Which permutations of the tokens commute with a module."""

from tokennet.audit.symmetry.group import symmetry_group
from tokennet.audit.symmetry.result import SymmetryGroup

__all__ = ["SymmetryGroup", "symmetry_group"]
