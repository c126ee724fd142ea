"""A look inside: who influences whom, and what a net consists of."""

from tokennet.inspect.drawing import (
    draw_mixing,
    draw_mixing_graph,
    draw_receptive_field,
    draw_structure,
)
from tokennet.inspect.graph import (
    mixing_graph,
)
from tokennet.inspect.hidden import (
    hidden_states,
)
from tokennet.inspect.influence import (
    influence,
)
from tokennet.inspect.kind import (
    is_transformer,
)
from tokennet.inspect.mixing import (
    MixingMatrix,
    mixing,
)
from tokennet.inspect.picture import (
    draw_influence,
)
from tokennet.inspect.rollout import (
    receptive_field,
    rollout,
)
from tokennet.inspect.shared import (
    shared_maps,
)

__all__ = [
    "MixingMatrix",
    "draw_influence",
    "draw_mixing",
    "draw_mixing_graph",
    "draw_receptive_field",
    "draw_structure",
    "hidden_states",
    "influence",
    "is_transformer",
    "mixing",
    "mixing_graph",
    "receptive_field",
    "rollout",
    "shared_maps",
]
