"""Pictures, molecules and series: what the loaders give, and what they say without files."""

import gzip
import os
import sys
import tarfile
from pathlib import Path

import pytest
import torch

from tokennet.data import cifar, esol, etth1, mnist, tu_dataset
from tokennet.data.files import cache
from tokennet.data.images import CLASSES

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # PyG's import


def write_mnist(root: Path, images: torch.Tensor, labels: torch.Tensor) -> None:
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, content in (("images-idx3", images), ("labels-idx1", labels)):
        sizes = b"".join(n.to_bytes(4) for n in content.shape)
        head = b"\0\0\x08" + bytes([content.ndim]) + sizes
        packed = gzip.compress(head + bytes(content.flatten().tolist()))
        (raw / f"t10k-{name}-ubyte.gz").write_bytes(packed)


def test_idx_files_are_read(monkeypatch, tmp_path):
    images = torch.randint(0, 256, (3, 28, 28))
    write_mnist(tmp_path, images, torch.tensor([7, 0, 9]))
    monkeypatch.setenv("TOKENNET_DATA", str(tmp_path))
    found, labels = mnist()
    assert labels.tolist() == [7, 0, 9]
    assert found.shape == (3, 1, 28, 28)
    torch.testing.assert_close(found[:, 0] * 255, images.float())
    path = tmp_path / "MNIST" / "raw" / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(b"something else"))
    with pytest.raises(ValueError, match="no IDX file of bytes"):
        mnist()


def test_a_tar_of_images_is_read_and_kept(monkeypatch, tmp_path):
    image = pytest.importorskip("PIL.Image")
    folder = tmp_path / "CIFAR10"
    folder.mkdir()
    with tarfile.open(folder / "cifar6000.tar", "w") as tar:
        for part, label in (("train", "ship"), ("test", "cat"), ("train", "airplane")):
            path = tmp_path / f"{label}.jpg"
            image.new("RGB", (32, 32), (250, 10, 10)).save(path)
            tar.add(path, f"{part}/{label}/0000.jpg")
    monkeypatch.setenv("TOKENNET_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    before = sorted(folder.rglob("*"))
    for _ in range(2):  # from the tar, then from the cache
        (images, labels), (others, last) = cifar()
        assert images.shape == (2, 3, 32, 32)
        assert others.shape == (1, 3, 32, 32)
        assert [CLASSES[i] for i in (*labels, *last)] == ["airplane", "ship", "cat"]
        assert float(images[:, 0].min()) > 0.9
        assert float(images[:, 1:].max()) < 0.1
    kept = list(cache("CIFAR10").iterdir())
    assert len(kept) == 1
    assert sorted(folder.rglob("*")) == before
    kept[0].write_bytes(b"cut short")
    assert torch.equal(cifar()[0][1], labels), "a broken cache is made anew"


def test_tables_are_read(monkeypatch, tmp_path):
    for folder in ("molnet", "ETT"):
        (tmp_path / folder).mkdir()
    (tmp_path / "molnet" / "delaney-processed.csv").write_text(
        'Compound ID,measured log solubility in mols per litre,smiles\n"a, b",-0.77,CCO \nc,1.5,C\n'
    )
    (tmp_path / "ETT" / "ETTh1.csv").write_text(
        "date,HUFL,HULL,MUFL,MULL,LUFL,LULL,OT\n2016-07-01 00:00:00,1,2,3,4,5,6,-7.5\n"
    )
    monkeypatch.setenv("TOKENNET_DATA", str(tmp_path))
    smiles, values = esol()
    assert smiles == ["CCO", "C"]
    torch.testing.assert_close(values, torch.tensor([-0.77, 1.5]))
    assert etth1().tolist() == [[1, 2, 3, 4, 5, 6, -7.5]]


@pytest.mark.parametrize("folder", [None, "empty"])
@pytest.mark.parametrize(
    ("load", "path", "source"),
    [
        (cifar, "CIFAR10/cifar6000.tar", "CIFAR-10-images"),
        (esol, "molnet/delaney-processed.csv", "MoleculeNet"),
        (etth1, "ETT/ETTh1.csv", "ETDataset"),
        (mnist, "MNIST/raw", "torchvision.datasets.MNIST"),
    ],
)
def test_without_files_the_error_says_what_to_do(monkeypatch, tmp_path, load, path, source, folder):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    monkeypatch.delenv("TOKENNET_DATA", raising=False)
    said = "TOKENNET_DATA is not set"
    if folder:
        monkeypatch.setenv("TOKENNET_DATA", str(tmp_path / folder))
        said = f"there is no {tmp_path / folder / path}"
    with pytest.raises(FileNotFoundError) as caught:
        load()
    for part in (said, source, f"set TOKENNET_DATA to a folder that holds {path}"):
        assert part in str(caught.value)


def test_graphs_with_classes_have_one_hot_labels():
    root = os.environ.get("TOKENNET_DATA")
    if not root or not Path(root, "TUDataset", "MUTAG", "raw").is_dir():
        pytest.skip("TUDataset/MUTAG/raw is not in TOKENNET_DATA")
    before = sorted(Path(root, "TUDataset", "MUTAG").rglob("*"))
    graphs, labels = tu_dataset("MUTAG")
    assert len(graphs) == len(labels) == 188
    assert torch.bincount(labels).tolist() == [63, 125]
    assert sum(len(x) for x, _ in graphs) == 3371
    assert sum(s.edges.index.shape[1] for _, s in graphs) == 7442
    for x, structure in graphs:
        assert x.shape == (int(structure.lengths[0]), 7)
        assert torch.equal(x.sum(1), torch.ones(len(x)))
        assert structure.edges.attr.shape[1] == 4
    assert sorted(Path(root, "TUDataset", "MUTAG").rglob("*")) == before
    with pytest.raises(ValueError, match="name is 'mutag', expected one of 'MUTAG'"):
        tu_dataset("mutag")
