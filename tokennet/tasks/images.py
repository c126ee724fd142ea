"""Tasks on images: which class a picture shows.

Axes: B images, C channels, H and W their size.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch

from tokennet.checks import positive, value_error
from tokennet.mixers import Mixer
from tokennet.net import MeanReadout, PatchTokenizer, Tokenizer
from tokennet.tasks.base import Data, Reference, Task
from tokennet.tasks.samples import Arrays
from tokennet.tasks.training import Recipe


class ImageTask(Task):
    """Patches of `patch` x `patch` pixels, the mean of the tokens, a linear map to the classes.

    Facts for parts: `num_tokens`, `height` and `width` of the patch grid, `channels`.
    """

    size: int
    channels: int
    classes = 10

    def __init__(
        self, recipe: Recipe | None = None, *, epochs: int | None = None, patch: int = 4
    ) -> None:
        super().__init__(recipe, epochs=epochs)
        self.patch = positive("patch", patch)
        if self.size % patch:
            raise value_error("patch", patch, f"a divisor of the image's side ({self.size})")

    @property
    def facts(self) -> Mapping[str, Any]:
        side = self.size // self.patch
        return {
            "num_tokens": side * side, "height": side, "width": side, "channels": self.channels,
        }  # fmt: skip

    def tokenizer(self, dim: int) -> Tokenizer:
        return PatchTokenizer(self.channels, self.patch, dim)

    def readout(self, dim: int) -> Mixer:
        return MeanReadout(dim, self.classes)


class Digits(ImageTask):
    """scikit-learn's 1,797 handwritten digits, 8 x 8: 1,200 to fit, 597 to test, 16 patches."""

    size, channels = 8, 1
    recipe = Recipe(epochs=20, lr=3e-3)
    reference = Reference(0.963, "computed: logistic regression on the pixels")

    def __init__(
        self, recipe: Recipe | None = None, *, epochs: int | None = None, patch: int = 2
    ) -> None:
        super().__init__(recipe, epochs=epochs, patch=patch)

    def data(self, seed: int) -> Data:
        return _digits()


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
