"""Real data: what the loader gives, and what it says where there is none."""

import os
from pathlib import Path

import pytest
import torch

import tokennet as tn
from tokennet.data import planetoid

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # PyG's import

SIZES = {  # tokens, channels, edges (both directions), classes
    "Cora": (2708, 1433, 10556, 7),
    "CiteSeer": (3327, 3703, 9104, 6),
}


def _needs(name: str) -> None:
    root = os.environ.get("TOKENNET_DATA")
    if not root or not Path(root, "Planetoid", name, "raw").is_dir():
        pytest.skip(f"{name} is not in TOKENNET_DATA")


@pytest.mark.parametrize("name", SIZES)
def test_planetoid_is_the_public_split(name):
    _needs(name)
    num_tokens, dim, num_edges, classes = SIZES[name]
    (x, structure), labels, masks = planetoid(name)
    assert x.shape == (num_tokens, dim)
    assert x.dtype == torch.float32
    assert structure.edges.index.shape == (2, num_edges)
    assert structure.batch == 1
    assert labels.unique().tolist() == list(range(classes))

    assert {k: int(m.sum()) for k, m in masks.items()} == {
        "train": 20 * classes, "validation": 500, "test": 1000,
    }  # fmt: skip
    assert torch.bincount(labels[masks["train"]]).tolist() == [20] * classes
    assert int(sum(m.int() for m in masks.values()).max()) == 1, "the parts overlap"


@pytest.mark.parametrize("name", SIZES)
def test_planetoid_is_row_normalised_and_undirected(name):
    _needs(name)
    (x, structure), _, _ = planetoid(name)
    total = x.double().sum(1)
    empty = (x == 0).all(1)
    torch.testing.assert_close(total, 1 - empty.double())
    assert int(empty.sum()) == {"Cora": 0, "CiteSeer": 15}[name]
    edges = structure.edges.index
    key, turned = (a * len(x) + b for a, b in (edges, edges.flip(0)))
    assert torch.equal(key.sort().values, turned.sort().values)


def test_planetoid_leaves_the_data_folder_as_it_is():
    _needs("Cora")
    root = Path(os.environ["TOKENNET_DATA"], "Planetoid")
    before = sorted(root.rglob("*"))
    planetoid("Cora")
    assert sorted(root.rglob("*")) == before


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
def test_sparse_features_give_the_same_tokens():
    """The benchmark feeds CSR features; nothing on their way to the first linear may mind."""
    _needs("Cora")
    (x, structure), _, _ = planetoid("Cora")
    net = tn.TokenNet(
        tn.FeatureTokenizer(x.shape[1]),
        [tn.GraphAttention(x.shape[1], 2, out_dim=8), tn.TokenWise(torch.nn.ELU())],
        tn.GraphConvolution(8, out_dim=7),
    )
    dense = net(x, structure)
    torch.testing.assert_close(net(x.to_sparse_csr(), structure), dense)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="name is 'cora', expected one of 'Cora'"):
        planetoid("cora")


@pytest.mark.parametrize("folder", [None, "empty"])
def test_without_files_and_internet_the_error_says_what_to_do(monkeypatch, tmp_path, folder):
    datasets = pytest.importorskip("torch_geometric.datasets")

    def offline(*_):
        raise OSError("no route to host")

    monkeypatch.setattr(datasets, "Planetoid", offline)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("TOKENNET_DATA", raising=False)
    said = "TOKENNET_DATA is not set"
    if folder:
        monkeypatch.setenv("TOKENNET_DATA", str(tmp_path / folder))
        said = f"there is no folder {tmp_path / folder / 'Planetoid' / 'PubMed' / 'raw'}"
    with pytest.raises(FileNotFoundError) as caught:
        planetoid("PubMed")
    message = str(caught.value)
    assert message.startswith("PubMed: ")
    for part in (said, "no route to host", "go online, or set TOKENNET_DATA"):
        assert part in message
