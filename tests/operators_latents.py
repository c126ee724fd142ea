"""Attention at a cost linear in the tokens, one line each."""

from operator_case import Operator

OPERATORS: list[Operator] = []
