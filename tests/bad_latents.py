"""Bad calls of: attention at a cost linear in the tokens."""

from bad import Bad

LATENTS: dict[str, list[Bad]] = {}
