"""The tokens between the parts of a net."""

from typing import Any

from jaxtyping import Float
from torch import Tensor

from tokennet.checks import type_error
from tokennet.net import TokenNet
from tokennet.structure import Structure


def hidden_states(
    net: TokenNet, inputs: Any, structure: Structure | None = None
) -> list[Float[Tensor, "*tokens D"]]:
    """The tokens that enter the first of `net.mixers`, and those that leave each of them."""
    if not isinstance(net, TokenNet):
        raise type_error("net", type(net).__name__, "a TokenNet")
    x, structure = net.tokens(inputs, structure)
    found = [x]
    for mixer in net.mixers:
        found.append(mixer(found[-1], structure))
    return found
