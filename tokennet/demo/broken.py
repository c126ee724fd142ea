"""An operator with a planted defect and its repaired twin, for the page to show what is found."""

import tokennet as tn
from tokennet.ops import sample_max


class MaxOfAll(tn.Mixer):
    """Adds the sample's largest values to its tokens."""

    claims = frozenset({tn.Permutation()})

    def forward(self, x, structure):
        return x + x.amax(-2, keepdim=True)


class MaxOfSample(tn.Mixer):
    """The same: padding and other samples left out."""

    claims = frozenset({tn.Permutation()})

    def forward(self, x, structure):
        layout = structure.layout
        largest = sample_max(x, layout)  # [B, D]
        return x + layout.unflat(largest[layout.sample])
