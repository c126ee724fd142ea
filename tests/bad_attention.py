"""Bad calls of: attention with other scores, biases and normalisers."""

from bad import Bad

ATTENTION: dict[str, list[Bad]] = {}
