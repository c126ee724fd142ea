"""Bad calls of: position codes."""

from bad import Bad

POSITIONS: dict[str, list[Bad]] = {}
