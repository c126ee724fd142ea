"""An operator with a planted defect, for the page to show what `verify` says about one."""

import tokennet as tn


class MaxOfAll(tn.Mixer):
    """Adds the largest value of the sample, channel by channel, to every token."""

    claims = frozenset({tn.Permutation()})

    def forward(self, x, structure):
        return x + x.amax(-2, keepdim=True)
