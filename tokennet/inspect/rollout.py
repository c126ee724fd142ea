"""Mixing through several layers: rollout, and how far tokens reach with depth.

Axes: N real tokens of a sample.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import kind_of, type_error
from tokennet.inspect.mixing import MixingMatrix, mixing
from tokennet.mixers import Mixer, Parallel
from tokennet.mixers.combine import Composed
from tokennet.net import NoResidual, TokenNet
from tokennet.net.residual import _Residual
from tokennet.structure import Structure


def rollout(
    net: TokenNet, inputs: Any, structure: Structure | None = None, *, sample: int = 0
) -> Float[Tensor, "N N"]:
    """How much of each input token is in each token after all mixers; rows sum to one.

    Abnar and Zuidema 2020, "Quantifying attention flow in transformers" (section 3): the product
    over the layers of (A + I) / 2, A the mean over the heads, rows divided by their sum; operators
    side by side are averaged, and there is no I where there is no residual. Every operator has an
    A here (`mixing`). What comes from the memory is left out.
    """
    if not isinstance(net, TokenNet):
        raise type_error("net", kind_of(net), "a TokenNet")
    found = mixing(net, inputs, structure, sample=sample)
    own = [m for m in found if not m.memory]
    by_path = {m.path: m for m in own}
    if not own:
        x, facts = net.tokens(inputs, structure)
        size = int(facts.lengths[sample])
        return torch.eye(size, dtype=x.dtype, device=x.device)
    like = own[0].matrix
    through = torch.eye(like.shape[-1], dtype=like.dtype, device=like.device)
    for i, part in enumerate(net.mixers):
        step = _through(f"mixers.{i}", part, by_path, like)  # type: ignore[arg-type]
        through = step @ through
    return through


def receptive_field(
    net: TokenNet, inputs: Any, structure: Structure | None = None
) -> list[int | None]:
    """The most tokens that reach one output after each of `net.mixers`: exact zeros count.

    The first entry is 1: a token itself. Of the batch's longest sample; a deeper net reaches
    further.
    """
    if not isinstance(net, TokenNet):
        raise type_error("net", kind_of(net), "a TokenNet")
    rows = net.summary(inputs, structure).rows
    return [1, *(row.field_so_far for row in rows[1 : 1 + len(net.mixers)])]


def _through(path: str, part: Mixer, found: dict[str, MixingMatrix], like: Tensor) -> Tensor:
    """The mixing matrix of a part, one head, rows that sum to one."""
    same = torch.eye(like.shape[-1], dtype=like.dtype, device=like.device)
    if path in found:
        matrix = found[path].mean.abs()
        total = matrix.sum(-1, keepdim=True)
        return torch.where(total > 0, matrix / total.where(total > 0, 1), same)
    if not isinstance(part, Composed):
        return same
    inner = [
        _through(f"{path}.{name}", module, found, like)  # type: ignore[arg-type]
        for name, module in _named(part)
    ]
    if isinstance(part, Parallel):
        return torch.stack(inner).mean(0)
    whole = same
    for matrix in inner:
        whole = matrix @ whole
    alone = isinstance(part, NoResidual) or not isinstance(part, _Residual)
    return whole if alone or torch.equal(whole, same) else (whole + same) / 2


def _named(part: Composed) -> list[tuple[str, nn.Module]]:
    wanted = {id(p) for p in part.parts}
    return [(name, m) for name, m in part.named_modules() if id(m) in wanted]
