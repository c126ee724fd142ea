"""Real data that papers report on, from `TOKENNET_DATA` or by the usual loader."""

from tokennet.data.graphs import PLANETOID, planetoid

__all__ = ["PLANETOID", "planetoid"]
