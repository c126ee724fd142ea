"""How far a net's answer is from that of the same tokens in another order.

Axes: B samples, T rows of the flat view, O outputs.
"""

import copy
from typing import Any

import torch
from torch import Tensor

from tokennet.laws.rows import real_rows, rows_of_samples
from tokennet.net import TokenNet
from tokennet.structure import Structure, Tokens
from tokennet.structure.transform import permute

SEED = 0  # of the permutation: the same for all nets


@torch.no_grad()
def permutation_error(net: TokenNet, inputs: Any, structure: Structure | None = None) -> float:
    """max |f(P x) - P f(x)| / max |f(x)| of the worst output channel; about 1e-15: equivariant.

    x are the tokens as the tokenizer gives them, P permutes those of each sample and relabels the
    edges along, f are mixers and readout; for a readout by sample f(P x) = f(x) is asked. Run on a
    copy in eval mode, on the CPU, in float64 (in the net's own dtype where a part can't do that).
    """
    try:
        return _error(copy.deepcopy(net).to("cpu", torch.float64), inputs, structure)
    except (TypeError, RuntimeError, ValueError):  # a module may insist on its dtype
        return _error(copy.deepcopy(net).to("cpu"), inputs, structure)


def _error(net: TokenNet, inputs: Any, structure: Structure | None) -> float:
    net.eval()
    dtype = next((p.dtype for p in net.parameters() if p.is_floating_point()), torch.float64)
    inputs = _as(inputs, dtype)
    if structure is not None:
        structure = _with_dtype(structure.to("cpu"), dtype)
    tokens = net.tokens(inputs, structure)
    order = torch.arange(tokens.structure.layout.rows)
    rng = torch.Generator().manual_seed(SEED)
    for rows in rows_of_samples(tokens):
        order[rows] = rows[torch.randperm(len(rows), generator=rng)]
    before, after = net.mix(*tokens), net.mix(*permute(tokens, order))
    if not net.pooled:
        layout, real = tokens.structure.layout, real_rows(tokens)
        before, after = layout.flat(before)[order[real]], layout.flat(after)[real]
    return _relative(after, before)


def _relative(found: Tensor, wanted: Tensor) -> float:
    """The largest difference of a channel `[*, O]`, in units of its largest value."""
    found, wanted = found.flatten(0, -2).double(), wanted.flatten(0, -2).double()
    if not wanted.numel():
        return 0.0
    change, scale = (found - wanted).abs().amax(0), wanted.abs().amax(0)
    scale = scale.where(scale > 0, scale.max())  # a silent channel is held to the loudest
    return float((change / scale.clamp_min(torch.finfo(torch.float64).tiny)).max())


def _as(value: Any, dtype: torch.dtype) -> Any:
    """Floating point numbers in another dtype, everything on the CPU."""
    if isinstance(value, Tensor):
        return value.to("cpu", dtype) if value.is_floating_point() else value.cpu()
    return value


def _with_dtype(structure: Structure, dtype: torch.dtype) -> Structure:
    """The structure with its edges' numbers and its memory in another dtype."""
    facts: dict[str, Any] = {}
    edges, memory = structure.edges, structure.memory
    if edges is not None and (edges.weight is not None or edges.attr is not None):
        numbers = (None if t is None else _as(t, dtype) for t in (edges.weight, edges.attr))
        facts["edges"] = type(edges)(edges.index, *numbers)
    if memory is not None:
        facts["memory"] = Tokens(_as(memory.x, dtype), memory.structure)
    return structure.with_facts(**facts) if facts else structure
