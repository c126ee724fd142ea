"""Write an operator, claim, verify: and see what the check finds in a version that is nearly right.

python examples/own_operator.py
"""

import torch

import tokennet as tn


class MeanOfOthers(tn.Mixer):
    """Adds to every token the mean of the other tokens of its sample; nothing to a lonely one.

    Claims that relabelling the tokens relabels the output: all others count alike.
    """

    claims = frozenset({tn.Permutation()})

    def forward(self, x: torch.Tensor, structure: tn.Structure) -> torch.Tensor:
        layout = structure.layout
        real = layout.clear(x)  # zeros at padding
        total = layout.pad(real).sum(1)[layout.sample].view_as(x)
        others = self.count(structure)[layout.sample] - 1
        return x + (total - real) / others.clamp_min(1).view(*x.shape[:-1], 1).to(x.dtype)

    def count(self, structure: tn.Structure) -> torch.Tensor:
        """How many tokens each sample has."""
        return structure.lengths


class MeanWithPadding(MeanOfOthers):
    """The same, but it divides by the length of the longest sample: padding counts."""

    def count(self, structure: tn.Structure) -> torch.Tensor:
        return torch.full_like(structure.lengths, structure.layout.max_length)


def main() -> tuple[tn.Report, tn.Report]:
    good, bad = tn.verify(MeanOfOthers(), dim=4), tn.verify(MeanWithPadding(), dim=4)
    print(good, bad, sep="\n\n")
    return good, bad


if __name__ == "__main__":
    main()
