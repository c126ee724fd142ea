"""Bad calls of: recurrent, convolutional and spectral operators."""

from bad import Bad

SEQUENCES: dict[str, list[Bad]] = {}
