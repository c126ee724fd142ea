"""Attention with other scores, biases and normalisers, one line each."""

from operator_case import Operator

OPERATORS: list[Operator] = []
