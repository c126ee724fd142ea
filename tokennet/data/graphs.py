"""Graphs that papers report on, as tokens; PyG reads the files and is imported on first use.

Axes: T tokens, D channels, C classes, S graphs.
"""

import os
from pathlib import Path

from jaxtyping import Bool, Int
from torch import Tensor

from tokennet.checks import value_error
from tokennet.data.files import cache, given, missing
from tokennet.structure import Edges, Structure, Tokens

PLANETOID = ("Cora", "CiteSeer", "PubMed")
TU = ("MUTAG", "PROTEINS", "ENZYMES")


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

    folder = cache("Planetoid")
    try:
        return Planetoid(str(folder), name)[0]
    except OSError as error:
        missing = f"there is no folder {raw}" if local else "TOKENNET_DATA is not set"
        raise FileNotFoundError(
            f"{name}: {missing}, and the download to {folder} failed ({error}); "
            "go online, or set TOKENNET_DATA to a folder that holds Planetoid/<name>/raw"
        ) from None  # the chain of a failed connection is two pages long


def tu_dataset(name: str) -> tuple[list[Tokens], Int[Tensor, " S"]]:
    """The graphs of `name` in `TU`, each as packed tokens, and their classes.

    Morris et al. 2020, "TUDataset". Features of a token are its label, one-hot; continuous
    attributes are left out, as papers do. Edges stand in both directions, with one-hot `attr` where
    they have labels.

    Reads `$TOKENNET_DATA/TUDataset/<name>/raw` and writes nothing there; without that folder, PyG
    downloads the files to the user's cache folder.

    Raises:
        ValueError: for a name that is not in `TU`.
        FileNotFoundError: where there are neither local files nor internet.
    """
    if name not in TU:
        raise value_error("name", repr(name), f"one of {', '.join(map(repr, TU))}")
    data, slices, sizes = _read_tu(name)
    features = data.x[:, sizes["num_node_attributes"] :]
    rows, links = slices["x"].tolist(), slices["edge_index"].tolist()
    graphs = []
    for i in range(len(rows) - 1):
        here = slice(links[i], links[i + 1])
        attr = None if data.edge_attr is None else data.edge_attr[here]
        edges = Edges(data.edge_index[:, here], attr=attr)
        length = rows[i + 1] - rows[i]
        x = features[rows[i] : rows[i + 1]]
        graphs.append(Tokens(x, Structure.packed([length], edges=edges)))
    return graphs, data.y


def _read_tu(name: str):
    """PyG's `Data` of all graphs, where each begins, and how many attributes there are."""
    from torch_geometric.io import read_tu_data

    raw = given("TUDataset", name, "raw")
    if raw is None:
        from torch_geometric.datasets import TUDataset

        folder = cache("TUDataset")
        try:
            raw = Path(TUDataset(str(folder), name).raw_dir)
        except OSError as error:
            failed = f"the download to {folder} failed ({error})"
            raise missing(
                Path("TUDataset", name, "raw"), name, "torch_geometric.datasets.TUDataset", failed
            ) from None
    return read_tu_data(str(raw), name)
