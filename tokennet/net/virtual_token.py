"""One token for each sample that hears all others and is heard by them, over edges."""

from typing import Any

import torch
from torch import Tensor

from tokennet.net.tokenizers import ClassToken, Tokenizer
from tokennet.structure import Structure
from tokennet.structure.expander import joined_edges


class VirtualToken(Tokenizer):
    """Puts one learned token before each sample, joined to all its tokens in both directions.

    The master node of Gilmer et al. 2017, "Neural message passing for quantum chemistry" (section
    5.2): two steps over edges then lead from any token to any other. The new edges come after those
    there are, with weight 1 and features 0 where those have any. A grid holds no more and is
    dropped; a sample without tokens gets the virtual one. `ClassReadout` reads it.
    """

    def __init__(self, tokenizer: Tokenizer):
        super().__init__()
        self.first = ClassToken(tokenizer)
        self.dim = self.first.dim

    def forward(self, inputs: Any, structure: Structure | None = None) -> tuple[Tensor, Structure]:
        x, structure = self.first(inputs, structure)
        layout = structure.layout
        real = layout.valid.flatten()
        virtual = real & (layout.position == 0)
        rows = (real & ~virtual).nonzero().squeeze(1)
        first = virtual.nonzero().squeeze(1)[layout.sample[rows]]  # every sample has one
        index = torch.stack([torch.cat([first, rows]), torch.cat([rows, first])])
        return x, structure.with_facts(edges=joined_edges(structure.edges, index))
