"""Position codes, one line each."""

from operator_case import Operator

OPERATORS: list[Operator] = []
