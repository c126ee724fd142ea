"""Real data that papers report on, from `TOKENNET_DATA` or by the usual loader."""

from tokennet.data.graphs import PLANETOID, TU, planetoid, tu_dataset
from tokennet.data.images import cifar, mnist
from tokennet.data.molecules import esol
from tokennet.data.series import etth1
from tokennet.data.texts import names, scan, sentiment, shakespeare

__all__ = [
    "PLANETOID",
    "TU",
    "cifar",
    "esol",
    "etth1",
    "mnist",
    "names",
    "planetoid",
    "scan",
    "sentiment",
    "shakespeare",
    "tu_dataset",
]
