"""Tasks on molecules.

Axes: B molecules, T atoms of all molecules.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from tokennet.checks import positive
from tokennet.data import esol
from tokennet.mixers import GINEConvolution, Mixer
from tokennet.net import MoleculeTokenizer, SumReadout, Tokenizer
from tokennet.net.molecules import ORDERS, Molecule, read_molecules
from tokennet.tasks.base import Data, Reference, Sums, Task
from tokennet.tasks.samples import Batch, Samples, limited
from tokennet.tasks.training import Recipe

HELD = 113  # molecules to choose by, and as many to test
CENTRE, SCALE = -3.0, 2.0  # log mol per litre: about the mean and deviation of solubilities


@dataclass(frozen=True, eq=False)
class Molecules(Samples):
    """Molecules, one sample each, and targets `[S, ...]`."""

    molecules: list[Molecule]
    targets: Tensor

    def __len__(self) -> int:
        return len(self.molecules)

    def batch(self, index: Tensor) -> Batch:
        return Batch([self.molecules[i] for i in index.tolist()], self.targets[index])


class ESOL(Task):
    """1,128 molecules and the log of their solubility in water: 902 to fit, 113 to choose, 113.

    Drawn by the seed, 80/10/10, as MoleculeNet splits this set; the epoch is that of the lowest
    `rmse` on the second part, the scores are those of the third. `rmse` (the metric) and `mae` are
    in log mol per litre; `loss` is the mean square of what the net gives, (value + 3) / 2. Needs
    RDKit. Facts for parts: `num_tokens` (None), `edge_dim` of the bonds' one-hot kinds.

    Args:
        limit: molecules to fit, drawn by the seed; None: all.
    """

    metric = "rmse"
    higher_is_better = False
    recipe = Recipe(epochs=40, batch_size=32, lr=2e-3)
    own: ClassVar[Mapping[str, Any]] = {"mixer": GINEConvolution, "dim": 64, "depth": 3}
    reference = Reference(
        0.97, "graph convolution, Wu et al. 2018, MoleculeNet (random split; MPNN 0.58)", 0.01
    )

    def __init__(
        self,
        recipe: Recipe | None = None,
        *,
        epochs: int | None = None,
        limit: int | None = None,
    ) -> None:
        super().__init__(recipe, epochs=epochs)
        self.limit = None if limit is None else positive("limit", limit)

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"num_tokens": None, "edge_dim": len(ORDERS)}

    def data(self, seed: int) -> Data:
        molecules, values = _read()
        order = torch.randperm(len(values), generator=torch.Generator().manual_seed(seed))
        fit, choose, test = (
            Molecules([molecules[i] for i in part.tolist()], values[part])
            for part in order.split([len(order) - 2 * HELD, HELD, HELD])
        )
        return Data(limited(fit, self.limit, seed), test, choose)

    def tokenizer(self, dim: int) -> Tokenizer:
        return MoleculeTokenizer(dim)

    def readout(self, dim: int) -> Mixer:
        return SumReadout(dim, 1)

    def loss(self, answer: Tensor, batch: Batch) -> Tensor:
        return F.mse_loss(answer.squeeze(1), (batch.targets - CENTRE) / SCALE)

    def scores(self, answer: Tensor, batch: Batch) -> Sums:
        error = answer.squeeze(1) * SCALE + CENTRE - batch.targets
        square, count = float(error.square().sum()), len(error)
        return {
            "rmse": (square, count),
            "mae": (float(error.abs().sum()), count),
            "loss": (square / SCALE**2, count),
        }

    def metrics(self, scores: dict[str, float]) -> dict[str, float]:
        return {**scores, "rmse": math.sqrt(scores["rmse"])}


@cache
def _read() -> tuple[list[Molecule], Tensor]:
    """The molecules, parsed once, and the values."""
    smiles, values = esol()
    return read_molecules(smiles), values
