"""Tokens given piece by piece, with what the module keeps in between."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tokennet.audit.outputs import chosen
from tokennet.audit.rendering import Adapted, carried
from tokennet.audit.session import Session
from tokennet.structure import Structure, Tokens


def stepped(session: Session, module: Adapted, tokens: Tokens, pieces: Sequence[int]) -> Tensor:
    """Rows of the output of whole samples, from pieces of so many tokens; the last one repeats."""
    roles, form = session.roles, session.form
    assert form is not None
    x = tokens.x if tokens.x.ndim == 3 else tokens.x[None]
    outputs, state, start, i = [], None, 0, 0
    with torch.no_grad():
        while start < x.shape[1]:
            size = min(pieces[min(i, len(pieces) - 1)], x.shape[1] - start)
            part = x[:, start : start + size]
            structure = Structure.dense(part.shape[0], size)
            piece = carried(roles.tokens, part[..., : roles.tokens.dim], roles, structure)
            answer, state = _step(roles.adapter.cache, module, piece, state)
            y = chosen(answer, roles.adapter.output)
            outputs.append(form.rows(y, structure))
            start, i = start + size, i + 1
    return torch.cat(outputs, 1).flatten(0, 1)


def _step(cache: Any, module: Adapted, piece: Tensor, state: Any) -> tuple[Any, Any]:
    """(output, state) after the next tokens, by the method's name or by the function."""
    if isinstance(cache, str):
        return getattr(module.module, cache)(piece, state)
    return cache(module.module, piece, state)
