"""Recurrent, convolutional and spectral operators, one line each."""

from operator_case import Operator

OPERATORS: list[Operator] = []
