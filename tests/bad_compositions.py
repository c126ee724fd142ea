"""Bad calls of topologies, of mixers made of mixers, and of a user's own mixer."""

from bad import Bad, D, T, V, common, dense, packed, x
from torch import Tensor, nn

import tokennet as tn


class Quiet(tn.Mixer):
    """A user's operator: it gets the checks by calling `check`."""

    dim = D

    def forward(self, x: Tensor, structure: tn.Structure) -> Tensor:
        self.check(x, structure)
        return x[..., :1]


COMPOSITIONS: dict[str, list[Bad]] = {
    "Mixer": [*common(Quiet, weights=False), Bad(tn.Mixer, T, r"abstract")],
    "Parallel": [
        *common(lambda: tn.Parallel(Quiet()), weights=False)[:3],
        Bad(lambda: tn.Parallel(), V, r"mixers is \(\), expected at least one mixer in Parallel"),
        Bad(
            lambda: tn.Parallel(nn.Linear(D, D)),
            T,
            r"mixers\[0\] is Linear, .*a Mixer; .*TokenWise",
        ),
        Bad(lambda: tn.Parallel(tn.Attention), T, r"mixers\[0\] is the class Attention"),
        Bad(
            lambda: tn.Parallel(tn.Pointwise(D), tn.Pointwise(4)),
            V,
            r"mixers\[1\].dim is 4, expected 8 as of the mixers beside it",
        ),
        Bad(
            lambda: tn.Parallel(tn.Pointwise(D), tn.Pointwise(D, out_dim=1)),
            V,
            r"mixers\[1\].out_dim is 1, expected 8 as of the mixers beside it",
        ),
        Bad(
            lambda: tn.Parallel(tn.Pointwise(D), Quiet())(x(), dense()),
            V,
            r"output of Quiet is \[1, 6, 1\], expected \[1, 6, 8\], which it is added to",
        ),
    ],
    "Sequential": [
        Bad(
            lambda: tn.Sequential(), V, r"mixers is \(\), expected at least one mixer in Sequential"
        ),
        Bad(lambda: tn.Sequential([tn.Pooling()]), T, r"mixers\[0\] is list, expected a Mixer"),
        Bad(
            lambda: tn.Sequential(tn.Pointwise(D, out_dim=5), tn.Pooling(), tn.Pointwise(D)),
            V,
            r"mixers\[2\].dim is 8, expected 5, the channels that reach it",
        ),
    ],
}
TOPOLOGIES: dict[str, list[Bad]] = {
    "Topology": [
        Bad(lambda: tn.Full() & 3, T, r"topology is int, expected a Topology on both sides of &"),
        Bad(lambda: tn.Full() & tn.Causal, T, r"topology is the class Causal, expected a Topology"),
        Bad(
            lambda: tn.Full() & tn.Memory(), V, r"topology is Memory\(\) & ..., .*tokens themselves"
        ),
    ],
    "Window": [
        Bad(lambda: tn.Window(-1), V, r"radius is -1, expected at least 0"),
        Bad(lambda: tn.Window(1.5), T, r"radius is 1.5, expected a whole number"),
    ],
    "Neighborhood": [
        Bad(lambda: tn.Neighborhood("1"), T, r"radius is '1', expected a whole number"),
        Bad(
            lambda: tn.Neighborhood(1).pairs(packed()), V, r"structure.grid is None, expected grid"
        ),
    ],
    "EdgeList": [
        Bad(lambda: tn.EdgeList().pairs(packed()), V, r"structure.edges is None, expected ed")
    ],
    "Memory": [
        Bad(lambda: tn.Memory().pairs(packed()), V, r"structure.memory is None, expected mem")
    ],
}
