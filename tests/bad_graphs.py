"""Bad calls of: graph operators."""

from bad import Bad

GRAPHS: dict[str, list[Bad]] = {}
