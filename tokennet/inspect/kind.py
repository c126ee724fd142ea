"""What kind of net one has."""

from collections.abc import Iterator

from torch import nn

from tokennet.checks import type_error
from tokennet.laws import Causality, Permutation, closure
from tokennet.mixers import Attention, BasicAttention, Mixer
from tokennet.net import TokenNet
from tokennet.net.position import Position

TOKEN_WISE = frozenset({Permutation(), Causality()})


def is_transformer(net: TokenNet | Mixer) -> bool:
    """Whether tokens interact through attention only, and at least once.

    Bloem 2019: a transformer is "any architecture designed to process a connected set of units
    where the only interaction between units is through self-attention". Decided from the claims: a
    part that obeys both `Permutation` and `Causality` can't let tokens interact, since any other
    token could as well come later. Position codes say so by `adds_code`. Readouts don't count.
    """
    if not isinstance(net, (TokenNet, Mixer)):
        raise type_error("net", type(net).__name__, "a TokenNet or a Mixer")
    parts = net.mixers if isinstance(net, TokenNet) else [net]
    kinds = [_kind(leaf) for part in parts for leaf in _leaves(part)]
    return "other" not in kinds and "attention" in kinds


def _leaves(module: nn.Module) -> Iterator[Mixer]:
    """The mixers that are made of no other mixers."""
    inner = [m for m in module.modules() if isinstance(m, Mixer)]
    for mixer in inner:
        if not any(isinstance(m, Mixer) for m in mixer.modules() if m is not mixer):
            yield mixer


def is_token_wise(mixer: Mixer) -> bool:
    """Whether each token goes its own way: by its claims, or as a position code."""
    return isinstance(mixer, Position) or closure(mixer.claims) >= TOKEN_WISE


def _kind(mixer: Mixer) -> str:
    if isinstance(mixer, (Attention, BasicAttention)):
        return "attention"
    return "apart" if is_token_wise(mixer) else "other"
