"""Real data that papers report on, as tokens; PyG reads the files and is imported on first use.

Axes: T tokens, D channels, C classes.
"""

import os
from pathlib import Path

from jaxtyping import Bool, Int
from torch import Tensor

from tokennet.checks import value_error
from tokennet.structure import Tokens

PLANETOID = ("Cora", "CiteSeer", "PubMed")


def planetoid(name: str) -> tuple[Tokens, Int[Tensor, " T"], dict[str, Bool[Tensor, " T"]]]:
    """The citation graph `name` with its public split: (tokens, labels, masks).

    Yang et al. 2016, "Revisiting semi-supervised learning with graph embeddings". `masks` has
    "train" (20 tokens of each class), "validation" (500) and "test" (1,000). The features of each
    token sum to one, as GCN and GAT train on them (to zero for the few without any).

    Reads `$TOKENNET_DATA/Planetoid/<name>/raw` and writes nothing there; without that folder, PyG
    downloads the files to the user's cache folder.

    Raises:
        ValueError: for a name that is not in `PLANETOID`.
        FileNotFoundError: where there are neither local files nor internet.
    """
    if name not in PLANETOID:
        raise value_error("name", repr(name), f"one of {', '.join(map(repr, PLANETOID))}")
    data = _read(name)
    data.x = data.x / data.x.sum(1, keepdim=True).clamp_min(1)  # 0/1 features: a sum of 0 or >= 1
    masks = {"train": data.train_mask, "validation": data.val_mask, "test": data.test_mask}
    return Tokens.from_pyg(data), data.y, masks


def _read(name: str):
    """PyG's `Data`, read by the same parser from local files or from a download."""
    local = os.environ.get("TOKENNET_DATA")
    raw = Path(local or ".", "Planetoid", name, "raw")
    if local and raw.is_dir():
        from torch_geometric.io import read_planetoid_data

        return read_planetoid_data(str(raw), name)
    from torch_geometric.datasets import Planetoid

    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = Path(home, "tokennet", "Planetoid")
    try:
        return Planetoid(str(cache), name)[0]
    except OSError as error:
        missing = f"there is no folder {raw}" if local else "TOKENNET_DATA is not set"
        raise FileNotFoundError(
            f"{name}: {missing}, and the download to {cache} failed ({error}); "
            "go online, or set TOKENNET_DATA to a folder that holds Planetoid/<name>/raw"
        ) from None  # the chain of a failed connection is two pages long
