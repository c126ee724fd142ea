"""Which weights of an old part mean the same in a new one."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from tokennet.checks import kind_of, type_error, value_error
from tokennet.mixers import Attention, LinearAttention, LowRankAttention, Mixer
from tokennet.mixers.combine import Composed

Rule = Callable[[Mixer, Mixer], Mapping[str, str]]
_PROJECTED = (Attention, LinearAttention, LowRankAttention)
# what follows from the parts, or tells how they are trained
_FREE = {"training", "claims", "reads", "max_tokens", "couples_samples", "dropout", "drop_path"}


def names_kept(old: Mixer, new: Mixer) -> dict[str, str]:
    """Names in the new part, and of what they are in the old one: parameters and buffers.

    Attentions of equal heads share query, key, value and output maps, whichever pairs they mix and
    however they weigh them; two `Attention`s also score and edge map, where these are the same.
    Compositions of one class share what their parts share. Other parts share all, or nothing: a
    different class, size or option gives a weight another meaning.
    """
    return dict(_shared(old, new, ""))


def _shared(old: nn.Module, new: nn.Module, prefix: str) -> list[tuple[str, str]]:
    if isinstance(old, _PROJECTED) and isinstance(new, _PROJECTED):
        names = _projections(old, new)
        return [pair for name in names for pair in _all(old, new, prefix, name)]
    if same_form(old, new):
        return _all(old, new, prefix, "")
    if type(old) is not type(new) or not isinstance(old, (Composed, nn.ModuleList)):
        return []
    if not _same_options(old, new):
        return []
    found = []
    ours = dict(new.named_children())
    for name, child in old.named_children():
        if name in ours:
            found += _shared(child, ours[name], f"{prefix}{name}.")
    own = dict(new.named_parameters(recurse=False))
    for name, p in old.named_parameters(recurse=False):  # the scale of a residual
        if name in own and own[name].shape == p.shape:
            found.append((prefix + name, prefix + name))
    return found


def _projections(old: Any, new: Any) -> list[str]:
    """The parts that two attentions have in common."""
    if _heads(old) != _heads(new) or ("memory" in old.reads) != ("memory" in new.reads):
        return []
    parts = ["query", "key", "value", "output"]
    if isinstance(old, Attention) and isinstance(new, Attention):
        parts += ["score", "edge"]
    if type(old) is type(new):
        parts += ["features"]
        if same_form(old, new):  # the landmarks of LowRankAttention too
            return [""]
    both = [n for n in parts if hasattr(old, n) and hasattr(new, n)]
    return [n for n in both if same_form(getattr(old, n), getattr(new, n))]


def _heads(module: Any) -> tuple[int, ...]:
    if isinstance(module, LowRankAttention):
        return (module.num_heads, module.head_dim, module.num_heads)
    heads = module.heads
    return (heads.num_heads, heads.head_dim, heads.kv_heads)


def _all(old: nn.Module, new: nn.Module, prefix: str, name: str) -> list[tuple[str, str]]:
    """Every tensor of a part that both have, under its own name."""
    source = old.get_submodule(name) if name else old
    start = prefix + (f"{name}." if name else "")
    return [(start + key, start + key) for key, _ in _tensors(source)]


def _tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]


def same_form(old: nn.Module, new: nn.Module) -> bool:
    """Whether two modules differ in nothing but numbers that are learned or drawn."""
    if type(old) is not type(new) or not _same_options(old, new):
        return False
    sizes = [[(name, t.shape) for name, t in _tensors(m)] for m in (old, new)]
    ours, theirs = dict(old.named_children()), dict(new.named_children())
    return (
        sizes[0] == sizes[1]
        and ours.keys() == theirs.keys()
        and all(same_form(child, theirs[name]) for name, child in ours.items())
    )


def _same_options(old: nn.Module, new: nn.Module) -> bool:
    one, two = _plain(old), _plain(new)
    return one.keys() == two.keys() and all(_equal(value, two[k]) for k, value in one.items())


def _equal(one: Any, two: Any) -> bool:
    if one is two:
        return True
    try:
        return bool(one == two)
    except (RuntimeError, ValueError, TypeError):  # arrays, whatever a mixer holds
        return False


def _plain(module: nn.Module) -> dict[str, Any]:
    """The options of a module itself, without what follows from its parts."""
    own = vars(module).items()
    options = {k: v for k, v in own if not k.startswith("_") and k not in _FREE}
    if isinstance(module, nn.Dropout):
        options.pop("p")
    return options


def transplant(old: Mixer, new: Mixer, rule: Rule | bool) -> dict[str, str]:
    """Puts the tensors that are kept into the new part, the very same ones; names new to old."""
    if rule is False:
        return {}
    names = names_kept(old, new) if rule is True else _asked(rule, old, new)
    source = dict(_tensors(old))
    for name, origin in names.items():
        owner, _, leaf = name.rpartition(".")
        module = new.get_submodule(owner)
        place = module._parameters if leaf in module._parameters else module._buffers
        place[leaf] = source[origin]  # type: ignore[assignment]
    return names


def _asked(rule: Any, old: Mixer, new: Mixer) -> dict[str, str]:
    """What the caller's own rule says, if such tensors are there and of equal shape."""
    names = rule(old, new)
    if not isinstance(names, Mapping):
        allowed = "a dict of names, new to old"
        raise type_error("what keep returned", kind_of(names), allowed)
    theirs, ours = dict(_tensors(old)), dict(_tensors(new))
    for name, origin in names.items():
        for side, key, known in (("new", name, ours), ("old", origin, theirs)):
            if key not in known:
                allowed = "one of " + ", ".join(known)
                raise value_error(f"name in the {side} part", repr(key), allowed)
        if ours[name].shape != theirs[origin].shape:
            raise value_error(
                f"shape of {origin}", list(theirs[origin].shape), f"{list(ours[name].shape)}"
            )
    return dict(names)
