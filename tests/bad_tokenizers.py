"""Bad calls of: tokenizers and vocabularies."""

from bad import Bad

TOKENIZERS: dict[str, list[Bad]] = {}
