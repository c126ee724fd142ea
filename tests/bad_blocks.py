"""Bad calls of: blocks, norms and channel MLPs."""

from bad import Bad

BLOCKS: dict[str, list[Bad]] = {}
