"""Tasks on images: which class a picture shows.

Axes: B images, C channels, H and W their size.
"""

from abc import abstractmethod
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

import torch

from tokennet.checks import positive, value_error
from tokennet.data import cifar, mnist
from tokennet.data.split import complement, stratified_folds
from tokennet.mixers import Mixer
from tokennet.net import MeanReadout, PatchTokenizer, SinusoidalPosition, Tokenizer
from tokennet.tasks.base import Data, Reference, Task
from tokennet.tasks.samples import Arrays, limited
from tokennet.tasks.training import Recipe


class ImageTask(Task):
    """Patches of `patch` x `patch` pixels, the mean of the tokens, a linear map to the classes.

    Facts for parts: `num_tokens`, `height` and `width` of the patch grid, `channels`.

    Args:
        limit: images to fit, drawn by the seed; None: all.
    """

    size: int
    channels: int
    classes = 10

    def __init__(
        self,
        recipe: Recipe | None = None,
        *,
        epochs: int | None = None,
        patch: int = 4,
        limit: int | None = None,
    ) -> None:
        super().__init__(recipe, epochs=epochs)
        self.limit = None if limit is None else positive("limit", limit)
        self.patch = positive("patch", patch)
        if self.size % patch:
            raise value_error("patch", patch, f"a divisor of the image's side ({self.size})")

    @property
    def facts(self) -> Mapping[str, Any]:
        side = self.size // self.patch
        return {
            "num_tokens": side * side, "height": side, "width": side, "channels": self.channels,
        }  # fmt: skip

    @abstractmethod
    def images(self) -> Data:
        """All the images, the same for every seed."""

    def data(self, seed: int) -> Data:
        whole = self.images()
        return Data(limited(whole.fit, self.limit, seed), whole.test)

    def tokenizer(self, dim: int) -> Tokenizer:
        return PatchTokenizer(self.channels, self.patch, dim)

    def readout(self, dim: int) -> Mixer:
        return MeanReadout(dim, self.classes)


class Digits(ImageTask):
    """scikit-learn's 1,797 handwritten digits, 8 x 8: 1,200 to fit, 597 to test, 16 patches."""

    size, channels = 8, 1
    recipe = Recipe(epochs=25, batch_size=32, lr=3e-3)
    own: ClassVar[Mapping[str, Any]] = {"position": SinusoidalPosition}
    reference = Reference(0.970, "computed: logistic regression (C = 1) on the pixels")

    def __init__(
        self,
        recipe: Recipe | None = None,
        *,
        epochs: int | None = None,
        patch: int = 2,
        limit: int | None = None,
    ) -> None:
        super().__init__(recipe, epochs=epochs, patch=patch, limit=limit)

    def images(self) -> Data:
        return _digits()


class MNIST(ImageTask):
    """MNIST's 10,000 test digits, 28 x 28: 8,000 to fit, 2,000 to test, 49 patches of 4 x 4.

    The parts are stratified, the same for all seeds. Results on the usual 60,000 digits are
    better, so the reference is computed on the same split. Metric: accuracy.
    """

    size, channels = 28, 1
    recipe = Recipe(epochs=8, lr=3e-3)
    own: ClassVar[Mapping[str, Any]] = {"position": SinusoidalPosition}
    reference = Reference(0.899, "computed: logistic regression (C = 0.01) on the pixels")

    def images(self) -> Data:
        return _mnist()


class CIFAR(ImageTask):
    """6,000 of CIFAR-10's images as JPEG, 32 x 32: 5,000 to fit, 1,000 to test, 64 patches.

    The parts are those of the file, 500 and 100 of each of 10 classes; pixels are standardised for
    each channel by the fitting part. A tenth of the usual data: the reference is computed on the
    same split. Metric: accuracy.
    """

    size, channels = 32, 3
    recipe = Recipe(epochs=12, lr=2e-3)
    own: ClassVar[Mapping[str, Any]] = {"position": SinusoidalPosition}
    reference = Reference(0.337, "computed: logistic regression (C = 0.01) on the pixels")

    def images(self) -> Data:
        return _cifar()


@cache
def _digits() -> Data:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    found = load_digits()
    images = torch.tensor(found.images / 16, dtype=torch.float32)[:, None]  # [B, 1, 8, 8]
    labels = torch.tensor(found.target)
    fit, test = train_test_split(
        range(len(labels)), test_size=597, stratify=found.target, random_state=0
    )
    return Data(Arrays(images[fit], labels[fit]), Arrays(images[test], labels[test]))


@cache
def _mnist() -> Data:
    images, labels = mnist()
    test = stratified_folds(labels, 5, seed=0)[0]
    fit = complement(test, len(labels))
    return Data(Arrays(images[fit], labels[fit]), Arrays(images[test], labels[test]))


@cache
def _cifar() -> Data:
    fit, test = cifar()
    mean = fit[0].mean((0, 2, 3), keepdim=True)  # [1, 3, 1, 1]
    deviation = fit[0].std((0, 2, 3), keepdim=True)
    parts = (Arrays((images - mean) / deviation, labels) for images, labels in (fit, test))
    return Data(*parts)
