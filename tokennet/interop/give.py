"""Weights out: the state dict of the original again."""

import torch
from torch import Tensor

from tokennet.checks import kind_of, type_error, value_error
from tokennet.interop.bring import tensors
from tokennet.interop.draft import Draft, draft_of
from tokennet.net import TokenNet


def export_state(net: TokenNet) -> dict[str, Tensor]:
    """The weights of an imported net under the names and in the shapes of the original.

    Bit-equal to what came in, as long as nothing was trained: `original.load_state_dict(
    tn.interop.export_state(net))`. Tensors are copies, in the dtype of the net.

    Raises:
        ValueError: the net is no longer the composition that was imported (`tn.surgery.swap`).
    """
    if not isinstance(net, TokenNet):
        raise type_error("net", kind_of(net), "an imported TokenNet")
    origin = net.origin
    if origin is None:
        hint = "tn.interop.save_pretrained stores any TokenNet"
        raise value_error("net.origin", None, "where an imported net came from", hint)
    with torch.random.fork_rng(devices=[]):
        draft = draft_of(origin.library, origin.kind, origin.config)
    check_unchanged(net, draft)
    own = tensors(net)
    state: dict[str, Tensor] = {}
    lines = {line.theirs: line for line in draft.lines}
    floats = next((p.dtype for p in net.parameters() if p.is_floating_point()), None)
    for name in origin.names:
        if name in lines:
            t = lines[name].write([own[n].detach() for n in lines[name].ours])
        else:
            t = origin.kept[name]
        own_dtype = name in lines and lines[name].ours  # constants follow the net
        moved = t.is_floating_point() and floats and not own_dtype
        state[name] = (t.to(floats) if moved else t).contiguous().clone()
    return state


def check_unchanged(net: TokenNet, draft: Draft) -> None:
    """Raises where the net has other parts than its configuration describes."""
    expected, found = _shape(draft.net), _shape(net)
    if expected == found:
        return
    changed = sorted(set(expected.items()) ^ set(found.items()))[0][0]
    raise value_error(
        f"{changed} of the net", found.get(changed, "missing"),
        f"{expected.get(changed, 'nothing')}, as imported",
        "a changed net has no place in the original; tn.interop.save_pretrained stores any net",
    )  # fmt: skip


def _shape(net: TokenNet) -> dict[str, str]:
    """What every part and tensor is, in words."""
    parts = {
        name or "net": f"{type(m).__name__}({_flat(m.extra_repr())})"
        for name, m in net.named_modules(remove_duplicate=False)
        if not name or "drop" not in type(m).__name__.lower()
    }
    shapes = {name: str(list(t.shape)) for name, t in tensors(net).items()}
    topologies = {
        f"{name}.topology": str(m.topology)
        for name, m in net.named_modules(remove_duplicate=False)
        if getattr(m, "topology", None) is not None
    }
    return {**parts, **shapes, **topologies}


def _flat(text: str) -> str:
    return " ".join(text.split())
