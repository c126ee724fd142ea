"""Images to tokens: patches, overlapping or blurred; how much a shift of one pixel matters.

Axes: B samples, N tokens, C channels of an image, H W pixels, K taps, D channels of a token.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import kind_of, positive, switch, type_error, value_error
from tokennet.mixers.base import check_place
from tokennet.net.tokenizers import Tokenizer, check_floats, on_grid, structure_for
from tokennet.structure import Structure


def check_images(inputs: Any, channels: int, name: str = "inputs") -> None:
    """Raises where inputs are no `[B, channels, H, W]` of floating point numbers."""
    check_floats(inputs, "images", "use x.float() / 255", name)
    if inputs.ndim != 4 or inputs.shape[1] != channels:
        raise value_error(f"{name}.shape", tuple(inputs.shape), f"[B, {channels}, H, W]")


class PatchTokenizer(Tokenizer):
    """Patches of an image, each flattened and mapped linearly: a convolution with that stride.

    ViT (Dosovitskiy et al. 2021, equation 1). `[B, C, H, W] -> [B, N, dim]`, row by row; the
    structure gets `grid = (rows, columns)`. With a `stride` smaller than the patch they overlap.
    With `patch=1` every pixel is a token. The image must hold whole patches; with `padding` rows
    of zeros on every side, of which some may be left over.

    Args:
        size: the only (height, width) of images that are taken: position codes of one grid are
            wrong on another, also where it has as many patches. None: any.
    """

    def __init__(
        self,
        channels: int,
        patch: int,
        dim: int,
        *,
        stride: int | None = None,
        padding: int = 0,
        bias: bool = True,
        size: tuple[int, int] | None = None,
    ):
        super().__init__()
        self.channels = positive("channels", channels)
        self.patch = positive("patch", patch)
        self.dim = positive("dim", dim)
        self.stride = positive("stride", patch if stride is None else stride)
        if self.stride > patch:
            raise value_error("stride", stride, f"at most patch ({patch})", "pixels would be lost")
        self.padding = positive("padding", padding, minimum=0)
        if self.padding >= patch:
            raise value_error("padding", padding, f"less than patch ({patch})", "")
        self.bias = switch("bias", bias)
        self.map = nn.Conv2d(channels, dim, patch, self.stride, self.padding, bias=bias)
        self.size = None if size is None else self._checked(size)

    def _checked(self, size: tuple[int, int]) -> tuple[int, int]:
        if not isinstance(size, tuple | list) or len(size) != 2:
            raise type_error("size", repr(size), "a pair (height, width)", "e.g. (224, 224)")
        height, width = (positive(f"size[{i}]", n) for i, n in enumerate(size))
        self.grid(height, width)
        return height, width

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of patches of an image of this size."""
        for name, size in (("height", height), ("width", width)):
            beyond = size + 2 * self.padding - self.patch
            if beyond < 0 or beyond % self.stride > self.padding:
                least = self.patch - 2 * self.padding
                raise value_error(
                    f"image {name}", size,
                    f"patch + a multiple of stride ({least} + k * {self.stride})",
                    "pad or resize the images",
                )  # fmt: skip
        rows, columns = (n + 2 * self.padding - self.patch for n in (height, width))
        return rows // self.stride + 1, columns // self.stride + 1

    def forward(
        self, inputs: Float[Tensor, "B C H W"], structure: Structure | None = None
    ) -> tuple[Tensor, Structure]:
        check_images(inputs, self.channels)
        check_place("inputs", inputs, self)
        if self.size not in (None, tuple(inputs.shape[2:])):
            allowed = f"{self.size}, the size of {type(self).__name__}"
            raise value_error("height and width of the images", tuple(inputs.shape[2:]), allowed)
        grid = self.grid(inputs.shape[2], inputs.shape[3])
        x = self.map(inputs).flatten(2).transpose(1, 2)
        structure = structure_for(tuple(x.shape[:2]), inputs.device, structure)
        return x, on_grid(structure, grid)


class BlurredPatchTokenizer(Tokenizer):
    """Patches of the blurred image: a fixed binomial low-pass of `blur` taps before striding.

    x = patches(k * image), k[i] = binomial(blur - 1, i) / 2^(blur - 1) along rows and columns. A
    stride then aliases less, and a shift of one pixel changes the tokens less: Zhang 2019, "Making
    convolutional networks shift-invariant again". As both maps are linear, blurring before the
    strided convolution is blurring after the dense one. `blur` is odd, about twice the stride; the
    border is continued by its nearest pixel. Shapes as for `PatchTokenizer`.
    """

    kernel: Tensor

    def __init__(
        self, channels: int, patch: int, dim: int, *, blur: int, stride: int | None = None
    ):
        super().__init__()
        self.patches = PatchTokenizer(channels, patch, dim, stride=stride)
        self.dim = dim
        if positive("blur", blur) % 2 == 0:
            raise value_error("blur", blur, "an odd number of taps", "else images move by half")
        taps = [math.comb(blur - 1, i) / 2 ** (blur - 1) for i in range(blur)]
        self.register_buffer("kernel", torch.tensor(taps), persistent=False)

    def forward(
        self, inputs: Float[Tensor, "B C H W"], structure: Structure | None = None
    ) -> tuple[Float[Tensor, "B N D"], Structure]:
        check_images(inputs, self.patches.channels)
        check_place("inputs", inputs, self)
        return self.patches(self.blur(inputs), structure)

    def blur(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """The low-pass alone; a constant image stays as it is."""
        if not images.numel():
            return images
        k, r = self.kernel.to(images.dtype), self.kernel.numel() // 2
        x = F.pad(images.flatten(0, 1)[:, None], (r, r, r, r), mode="replicate")  # [B C, 1, ...]
        return F.conv2d(F.conv2d(x, k.view(1, 1, -1, 1)), k.view(1, 1, 1, -1)).view(images.shape)


@torch.no_grad()
def shift_error(tokenizer: Tokenizer, images: Float[Tensor, "B C H W"]) -> float:
    """How much a shift of the images by one pixel changes the mean of their tokens.

    sqrt(E |m(shifted) - m|^2 / E |m - E m|^2), m the mean token of an image, over one step down and
    one to the right (around the border): 0 is invariance, 1 as much as between two images.
    """
    if not isinstance(tokenizer, Tokenizer):
        raise type_error("tokenizer", kind_of(tokenizer), "a Tokenizer")
    if not isinstance(images, Tensor) or images.ndim != 4 or len(images) < 2:
        got = tuple(images.shape) if isinstance(images, Tensor) else kind_of(images)
        raise value_error("images", got, "at least two images [B, C, H, W]")
    m = tokenizer(images)[0].mean(1)  # [B, D]
    moved = torch.stack([tokenizer(images.roll(1, axis))[0].mean(1) for axis in (2, 3)])
    spread = (m - m.mean(0)).square().sum(-1).mean()
    if spread == 0:
        raise value_error("images", "all alike", "images of different mean tokens")
    return float(((moved - m).square().sum(-1).mean() / spread).sqrt())
