"""The same tokens, laid out anew: permuted, chosen, padded, packed.

All of it is one function: `rearrange` says for every new row which old row it is.
"""

from dataclasses import replace

import torch
from torch import Tensor

from tokennet.structure.edges import Edges
from tokennet.structure.layout import Layout, Packed, Padded
from tokennet.structure.structure import Structure, Tokens


def rearrange(
    tokens: Tokens, layout: Layout, origin: Tensor, *, memory: Tokens | None = None
) -> Tokens:
    """Tokens in a new layout; `origin [rows]` is the old flat row of each new one, -1 for padding.

    Edges are relabelled; those that lose an end are dropped. Padding rows are zero.
    """
    x, structure = tokens
    flat = structure.layout.flat(x)
    rows = (
        flat.index_select(0, origin.clamp_min(0))
        if len(flat)
        else flat.new_zeros(len(origin), flat.shape[1])
    )
    rows = rows.masked_fill((origin < 0)[:, None], 0)
    edges = structure.edges
    if edges is not None:
        place = origin.new_full((len(flat),), -1)
        real = (origin >= 0).nonzero().squeeze(1)
        place[origin[real]] = real
        index = place[edges.index.long()]
        kept = (index >= 0).all(0)
        pick = lambda t: None if t is None else t[kept]  # noqa: E731
        edges = Edges(index[:, kept], pick(edges.weight), pick(edges.attr))
    new = Structure(layout, edges, structure.grid, memory or structure.memory)
    return Tokens(layout.unflat(rows), new)


def _real_rows(layout: Layout) -> Tensor:
    """Flat rows of the real tokens, in order."""
    return layout.valid.flatten().nonzero().squeeze(1)


def to_packed(tokens: Tokens) -> Tokens:
    """See `Tokens.packed`."""
    layout = tokens.structure.layout
    if isinstance(layout, Packed):
        return tokens
    return rearrange(tokens, Packed.of(layout.lengths), _real_rows(layout))


def to_padded(tokens: Tokens) -> Tokens:
    """See `Tokens.padded`."""
    layout = tokens.structure.layout
    if isinstance(layout, Padded):
        return tokens
    if layout.full:
        dense = Padded.dense_batch(layout.batch, layout.max_length, device=layout.device)
        return rearrange(tokens, dense, torch.arange(layout.rows, device=layout.device))
    valid = layout.padded_valid
    assert valid is not None  # a ragged layout has padding
    return pad_into(tokens, valid)


def pad_into(tokens: Tokens, valid: Tensor) -> Tokens:
    """Padded tokens, the real ones where `valid [B, N]` is True: as many as each sample has."""
    layout = tokens.structure.layout
    origin = torch.full(valid.shape, -1, dtype=torch.int64, device=valid.device)
    origin[valid] = _real_rows(layout)
    return rearrange(tokens, Padded(valid), origin.flatten())


def permute(tokens: Tokens, order: Tensor) -> Tokens:
    """New flat row i is old row `order[i]`; edges are relabelled along."""
    return rearrange(tokens, tokens.structure.layout, order)


def select(tokens: Tokens, samples: list[int]) -> Tokens:
    """The tokens of some samples, in the given order; a sample may be named twice."""
    layout = tokens.structure.layout
    memory = tokens.structure.memory
    if len(set(samples)) < len(samples) and tokens.structure.edges is not None:
        return _repeat(tokens, samples)
    chosen = None if memory is None else select(memory, samples)
    where = layout.sample
    new: Layout
    if isinstance(layout, Packed):
        lengths = layout.lengths.tolist()
        origin = [(where == b).nonzero().squeeze(1) for b in samples]
        new = Packed.of([lengths[b] for b in samples], device=layout.device)
        return rearrange(
            _alone(tokens), new, torch.cat([where.new_zeros(0), *origin]), memory=chosen
        )
    rows = torch.arange(layout.rows, device=layout.device).view(layout.shape)[samples].flatten()
    new = replace(layout, valid=layout.valid[samples])
    return rearrange(_alone(tokens), new, rows, memory=chosen)


def _alone(tokens: Tokens) -> Tokens:
    return Tokens(tokens.x, tokens.structure.with_facts(memory=None))


def _repeat(tokens: Tokens, samples: list[int]) -> Tokens:
    """`select` where a sample comes twice: its edges too."""
    parts = [select(tokens, [b]) for b in samples]
    return concatenate(parts)


def concatenate(parts: list[Tokens]) -> Tokens:
    """The samples of several batches of one kind of layout and, if padded, of one length."""
    first = parts[0].structure
    layout: Layout
    if isinstance(first.layout, Packed):
        layout = Packed.of(
            [n for p in parts for n in p.structure.lengths.tolist()], device=first.device
        )
    else:
        dense = all(
            isinstance(p.structure.layout, Padded) and p.structure.layout.dense for p in parts
        )
        layout = Padded(torch.cat([p.structure.layout.valid for p in parts]), dense)
    edges = None
    if first.edges is not None:
        index, offset = [], 0
        for p in parts:
            index.append(p.structure.edges.index + offset)  # type: ignore[union-attr]
            offset += p.structure.layout.rows
        joined: list[Tensor | None] = []
        for name in ("weight", "attr"):
            each = [getattr(p.structure.edges, name) for p in parts]
            joined.append(None if each[0] is None else torch.cat(each))
        edges = Edges(torch.cat(index, 1), *joined)
    memory = None
    if first.memory is not None:
        memory = concatenate([p.structure.memory for p in parts])  # type: ignore[misc]
    return Tokens(torch.cat([p.x for p in parts]), Structure(layout, edges, first.grid, memory))
