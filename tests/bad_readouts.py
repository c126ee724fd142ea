"""Bad calls of: readouts."""

from bad import Bad

READOUTS: dict[str, list[Bad]] = {}
