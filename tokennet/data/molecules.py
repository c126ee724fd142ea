"""Molecules and what was measured of them.

Axes: S molecules.
"""

import csv

import torch
from jaxtyping import Float
from torch import Tensor

from tokennet.data.files import required


def esol() -> tuple[list[str], Float[Tensor, " S"]]:
    """1,128 molecules (SMILES, log of the solubility in water, in mol per litre).

    Delaney 2004, "ESOL: estimating aqueous solubility directly from molecular structure", as
    MoleculeNet has it (Wu et al. 2018). Reads `$TOKENNET_DATA/molnet/delaney-processed.csv`.

    Raises:
        FileNotFoundError: where the file is not there.
    """
    path = required(
        "molnet", "delaney-processed.csv",
        what="ESOL's molecules",
        source="MoleculeNet (deepchem.molnet.load_delaney, torch_geometric.datasets.MoleculeNet)",
    )  # fmt: skip
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    values = [float(row["measured log solubility in mols per litre"]) for row in rows]
    return [row["smiles"].strip() for row in rows], torch.tensor(values)
