"""Weights out: the state dict of the original again."""

import torch
from torch import Tensor, nn

from tokennet.checks import kind_of, type_error, value_error
from tokennet.interop.bring import tensors
from tokennet.interop.compare import tree_difference
from tokennet.interop.draft import Draft, draft_of
from tokennet.interop.live import check_plain
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
    check_plain(net)
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
    """Raises where the net has other parts than its configuration describes; dropout may differ."""
    difference = tree_difference(net, draft.net, _is_dropout)
    if difference is None:
        return
    where, found, expected = difference
    raise value_error(
        f"{where or 'the whole'} of the net", found, f"{expected}, as imported",
        "a changed net has no place in the original; tn.interop.save_pretrained stores any net",
    )  # fmt: skip


def _is_dropout(module: nn.Module, name: str) -> bool:
    """How a net is trained is no part of its weights."""
    child = module._modules.get(name)
    if child is None:
        return "drop" in name or isinstance(module, nn.Dropout)
    none = "drop" in name and isinstance(child, nn.Identity)
    return none or "drop" in type(child).__name__.lower()
