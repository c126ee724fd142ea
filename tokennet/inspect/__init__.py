"""A look inside: who influences whom, and what a net consists of."""

from tokennet.inspect.hidden import (
    hidden_states,
)
from tokennet.inspect.influence import (
    influence,
)
from tokennet.inspect.kind import (
    is_transformer,
)
from tokennet.inspect.picture import (
    draw_influence,
)

__all__ = [
    "draw_influence",
    "hidden_states",
    "influence",
    "is_transformer",
]
