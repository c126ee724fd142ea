"""The mixer that takes a place: made by the caller's function from what is known of the place."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from tokennet.checks import kind_of, type_error, value_error
from tokennet.mixers import Attention, Heads, Mixer
from tokennet.net import TokenNet
from tokennet.surgery.places import Found
from tokennet.surgery.record import Call
from tokennet.topology import Topology

SHORT = {"d": "dim", "n": "num_tokens", "h": "num_heads"}


def over(topology: Topology) -> Callable[[Attention], Attention]:
    """A maker: the old attention over another topology, everything else as it was.

    `swap(net, "Attention", over(tn.Window(3)))`. Heads, maps, score, normaliser and dropout are
    those of the old one, with their weights. Edge features are read over `EdgeList()` only, so
    elsewhere an attention with `edge_dim` is refused.
    """
    if not isinstance(topology, Topology):
        raise type_error("topology", kind_of(topology), "a Topology", "e.g. tn.Window(3)")

    def make(old: Mixer) -> Attention:
        if not isinstance(old, Attention):
            hint = 'e.g. where="Attention"'
            raise type_error("the old mixer", kind_of(old), "an Attention", hint)
        if "memory" in old.reads | topology.reads and old.topology != topology:
            raise value_error(
                "topology", f"{topology} in the place of {old.topology}",
                "one that reads the same tokens", "keys of memory are not those of tokens",
            )  # fmt: skip
        new = Attention(
            old.dim or 0,
            old.heads,
            topology,
            memory_dim=old.memory_dim,
            edge_dim=old.edge_dim,
            score=old.score,
            normaliser=old.normaliser,
            dropout=old.dropout,
        )
        for name in ("query", "key", "value", "output", "edge"):
            if hasattr(old, name):
                setattr(new, name, getattr(old, name))
        return new

    return make


def facts_of(net: TokenNet, found: Found, index: int, call: Call | None) -> dict[str, Any]:
    """What a maker may ask for: old, index, path, dim, num_tokens, num_heads; known ones only."""
    old = found.module
    tokens = old.max_tokens or net.max_tokens
    if call is not None:
        tokens = call.structure.layout.max_length
    heads = getattr(old, "heads", None)
    known = {
        "old": old,
        "index": index,
        "path": found.path,
        "dim": dim_at(net, found, call),
        "num_tokens": tokens,
        "num_heads": _plain(heads, old.dim) if heads else getattr(old, "num_heads", None),
    }
    return {name: value for name, value in known.items() if value is not None}


def _plain(heads: Heads, dim: int | None) -> int | Heads:
    """The number of heads, where it says all."""
    plain = dim is not None and dim % heads.num_heads == 0
    same = plain and Heads.of(heads.num_heads, dim or 0) == heads
    return heads.num_heads if same else heads


def dim_at(net: TokenNet, found: Found, call: Call | None) -> int | None:
    """Channels that reach the place: seen, or as the part or the nearest one around it says."""
    if call is not None:
        return call.x.shape[-1]
    if found.module.dim is not None:
        return found.module.dim
    names = found.path.split(".")
    for end in range(len(names) - 1, 0, -1):
        around = net.get_submodule(".".join(names[:end]))
        if isinstance(around, Mixer) and around.dim is not None:
            return around.dim
    return None


def make(maker: Any, facts: Mapping[str, Any]) -> Mixer:
    """What the maker gives; arguments without a default get the fact of their name."""
    given: dict[str, Any] = {}
    ordered = []
    for parameter in _required(maker):
        name = SHORT.get(parameter.name, parameter.name)
        if name not in facts:
            hint = "num_tokens is known with an example" if name == "num_tokens" else ""
            allowed = "one of " + ", ".join(facts)
            raise value_error("an argument of mixer", repr(parameter.name), allowed, hint)
        if parameter.kind is parameter.POSITIONAL_ONLY:
            ordered.append(facts[name])
        else:
            given[parameter.name] = facts[name]
    made = maker(*ordered, **given)
    if not isinstance(made, Mixer):
        hint = "wrap a token-wise module in tn.TokenWise" if isinstance(made, nn.Module) else ""
        raise type_error(f"mixer for {facts['path']}", kind_of(made), "a Mixer", hint)
    return made


def _required(maker: Any) -> list[inspect.Parameter]:
    try:
        parameters = inspect.signature(maker).parameters.values()
    except (TypeError, ValueError):
        raise type_error("mixer", kind_of(maker), "a callable with a signature") from None
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p for p in parameters if p.default is p.empty and p.kind not in variable]


def settle(new: Mixer, net: TokenNet, old: Mixer) -> None:
    """Gives a new part the device, the dtype and the mode of the old one."""
    like = next(old.parameters(), next(net.parameters(), torch.empty(0)))
    new.to(device=like.device, dtype=like.dtype).train(old.training)


def check(net: TokenNet, found: Found, new: Mixer, call: Call | None) -> None:
    """Raises where the new part does not fit into its place: channels, rows, facts, tokens."""
    old, name, place = found.module, type(new).__name__, found.path
    dim = dim_at(net, found, call)
    if None not in (new.dim, dim) and new.dim != dim:
        raise value_error(f"dim of {name}", new.dim, f"{dim}, the channels that reach {place}")
    before, after = old.width(dim), new.width(dim)
    if None not in (before, after) and before != after:
        raise value_error(f"out_dim of {name}", after, f"{before}, as of the part at {place}")
    if new.pooled != old.pooled:
        rows = "a readout, one row for each sample" if old.pooled else "a row for each token"
        raise value_error(f"mixer for {place}", name, rows)
    if call is None:
        return
    for fact in sorted(new.reads & {"edges", "grid", "memory"}):
        if getattr(call.structure, fact) is None:
            raise value_error(
                f"mixer for {place}", name, f"one that does not read {fact}: the example's tokens "
                f"have none", f"pass example=(inputs, structure) with {fact}=...",
            )  # fmt: skip
    longest = int(call.structure.lengths.max()) if call.structure.batch else 0
    if new.max_tokens is not None and longest > new.max_tokens:
        allowed = f"at least {longest}, the tokens of a sample of the example"
        raise value_error(f"max_tokens of {name} for {place}", new.max_tokens, allowed)
