"""Texts that end where one of their tokens says so.

Axes: B samples, N tokens, T rows of the flat view, D channels, O outputs.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tokennet.checks import kind_of, positive, type_error, value_error
from tokennet.net.readouts import _Readout
from tokennet.net.tokenizers import Tokenizer
from tokennet.structure import Padded, Structure


class EndedTokenizer(Tokenizer):
    """Another tokenizer's tokens up to the first whose id is `end`; what follows becomes padding.

    Causal mixers never hear what follows, so `LastReadout` after them reads the end token: the
    pooled text of CLIP. A sample without that id keeps all tokens.

    Args:
        tokenizer: makes one token of each id, `[B, N]` or `[T]` with a packed structure.
        end: the id; None: the largest id of the sample, where it first stands.
    """

    def __init__(self, tokenizer: Tokenizer, end: int | None):
        super().__init__()
        if not isinstance(tokenizer, Tokenizer):
            raise type_error("tokenizer", kind_of(tokenizer), "a Tokenizer")
        self.tokenizer = tokenizer
        self.end = None if end is None else positive("end", end, minimum=0)
        self.dim = tokenizer.dim

    def forward(
        self, inputs: Int[Tensor, "*tokens"], structure: Structure | None = None
    ) -> tuple[Tensor, Structure]:
        x, structure = self.tokenizer(inputs, structure)
        layout = structure.layout
        if layout.shape != tuple(inputs.shape):
            name = type(self.tokenizer).__name__
            raise value_error("tokenizer", name, "one that makes a token of each id")
        if structure.edges is not None:
            raise value_error("structure.edges", "given", "None", "some would lead to padding")
        keep = self._kept(layout.flat(inputs), structure)
        if isinstance(layout, Padded):
            padded = Padded(layout.unflat(keep) & layout.valid)
            return x, Structure(padded, None, None, structure.memory)
        lengths = torch.bincount(layout.sample[keep], minlength=layout.batch)
        return x[keep], Structure.packed(lengths.tolist(), device=x.device, memory=structure.memory)

    def _kept(self, ids: Int[Tensor, " T"], structure: Structure) -> Tensor:
        """Whether each row of the flat view stands before the end or is it."""
        layout = structure.layout
        real, sample = layout.valid.flatten(), layout.sample
        if self.end is None:
            low = torch.iinfo(ids.dtype).min
            seen = ids.masked_fill(~real, low)
            most = seen.new_full((layout.batch,), low).scatter_reduce(0, sample, seen, "amax")
            last = seen == most[sample]
        else:
            last = ids == self.end
        far = torch.iinfo(torch.int64).max
        place = torch.where(last & real, layout.position, far)
        first = place.new_full((layout.batch,), far).scatter_reduce(0, sample, place, "amin")
        return layout.position <= first[sample]


class LastReadout(_Readout):
    """W norm(x_n) + b of the last real token of each sample: `[*, D] -> [B, O]`.

    After causal mixers the token that has heard all others. An empty sample is read as zeros.
    """

    reads = frozenset({"position"})
    pooled = True

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Float[Tensor, "B O"]:
        self.check(x, structure)
        return self.map(self.norm(last_token(x, structure)))


def last_token(x: Float[Tensor, "*tokens D"], structure: Structure) -> Float[Tensor, "B D"]:
    """The last real row of each sample; zeros where there is none."""
    layout = structure.layout
    if layout.rows == 0:
        return x.new_zeros(layout.batch, x.shape[-1])
    end: Any = layout.lengths - 1
    if isinstance(layout, Padded):
        index = end.clamp(min=0)[:, None, None].expand(-1, 1, x.shape[-1])
        return layout.compact(x).gather(1, index)[:, 0].masked_fill(end[:, None] < 0, 0)
    rows = layout.ptr[1:].long() - 1
    return x.index_select(0, rows.clamp(min=0)).masked_fill(end[:, None] < 0, 0)
