"""Time series.

Axes: S steps, C channels.
"""

import csv

import torch
from jaxtyping import Float
from torch import Tensor

from tokennet.data.files import required

CHANNELS = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")


def etth1() -> Float[Tensor, "S C"]:
    """ETTh1: six loads and the oil temperature of a transformer station, every hour, two years.

    Zhou et al. 2021, "Informer"; the channels are `CHANNELS`, 17,420 steps from 2016-07-01, in the
    units of the file, float64. Reads `$TOKENNET_DATA/ETT/ETTh1.csv`.

    Raises:
        FileNotFoundError: where the file is not there.
    """
    path = required(
        "ETT", "ETTh1.csv",
        what="the ETTh1 series",
        source="github.com/zhouhaoyi/ETDataset (ETT-small/ETTh1.csv)",
    )  # fmt: skip
    with open(path, newline="", encoding="utf-8") as file:
        rows = [[float(row[name]) for name in CHANNELS] for row in csv.DictReader(file)]
    return torch.tensor(rows, dtype=torch.float64)
