"""From data to tokens: `(inputs, structure or None) -> (x, structure)`.

Axes: B samples, N tokens, T rows, C channels of an image, H W pixels, D channels of a token.
"""

from abc import ABC, abstractmethod
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokennet.checks import kind_of, positive, type_error, value_error
from tokennet.mixers.base import check_place
from tokennet.structure import Packed, Padded, Structure


class Tokenizer(nn.Module, ABC):
    """Turns inputs into tokens of `dim` channels, and says how they lie."""

    dim: int

    @abstractmethod
    def forward(self, inputs: Any, structure: Structure | None = None) -> tuple[Tensor, Structure]:
        """Tokens and their structure; a given structure adds facts (padding, edges, memory)."""


def _structure_for(
    shape: tuple[int, ...], device: torch.device, structure: Structure | None
) -> Structure:
    """The given structure, if tokens of this leading shape fit it; without one, a dense one."""
    if structure is not None:
        if not isinstance(structure, Structure):
            kind, hint = type(structure).__name__, "e.g. Structure.padded(mask.bool())"
            raise type_error("structure", kind, "a Structure", hint)
        if structure.device != device:
            raise value_error("inputs.device", device, f"the structure's ({structure.device})")
        if structure.layout.shape != shape:
            raise value_error(
                "structure", f"for tokens {list(structure.layout.shape)}", f"one for {list(shape)}"
            )
        return structure
    if len(shape) != 2:
        raise value_error(
            "structure", None, "a structure for packed tokens [T, ...]",
            "pass Structure.packed(lengths), or inputs with a batch axis",
        )  # fmt: skip
    return Structure.dense(shape[0], shape[1], device=device)


def _check_device(inputs: Tensor, module: nn.Module) -> None:
    device = next(module.parameters()).device
    if inputs.device != device:
        allowed = f"{device} as the parameters of {type(module).__name__}"
        raise value_error("inputs.device", inputs.device, allowed)


class EmbeddingTokenizer(Tokenizer):
    """A learned vector for each of `num_embeddings` ids; equal to a one-hot vector times a matrix.

    Inputs: whole numbers `[B, N]`, or `[T]` with a packed structure. Output `[*, dim]`.
    """

    def __init__(self, num_embeddings: int, dim: int):
        super().__init__()
        self.num_embeddings = positive("num_embeddings", num_embeddings)
        self.dim = positive("dim", dim)
        self.embedding = nn.Embedding(num_embeddings, dim)

    def forward(
        self, inputs: Int[Tensor, "*tokens"], structure: Structure | None = None
    ) -> tuple[Tensor, Structure]:
        if not isinstance(inputs, Tensor) or inputs.dtype not in (torch.int64, torch.int32):
            kind = inputs.dtype if isinstance(inputs, Tensor) else type(inputs).__name__
            raise type_error("inputs", kind, "whole numbers, torch.int64 or torch.int32")
        if inputs.ndim not in (1, 2):
            raise value_error("inputs.shape", tuple(inputs.shape), "[B, N] or [T]")
        _check_device(inputs, self)
        structure = _structure_for(tuple(inputs.shape), inputs.device, structure)
        if inputs.device.type == "cpu" and inputs.numel() and not torch.compiler.is_compiling():
            low, high = (int(v) for v in torch.aminmax(inputs))
            if low < 0 or high >= self.num_embeddings:
                bad = low if low < 0 else high
                raise value_error("inputs", bad, f"ids from 0 to {self.num_embeddings - 1}")
        return self.embedding(inputs), structure


class FeatureTokenizer(Tokenizer):
    """W x + b for tokens that come as features: `[B, N, D_in]`, or `[T, D_in]` with a structure.

    Built without `dim` it passes the features on as they are.
    """

    def __init__(self, in_dim: int, dim: int | None = None, *, bias: bool = True):
        super().__init__()
        self.in_dim = positive("in_dim", in_dim)
        self.dim = in_dim if dim is None else positive("dim", dim)
        self.map: nn.Module = nn.Identity() if dim is None else nn.Linear(in_dim, dim, bias=bias)

    def forward(
        self, inputs: Float[Tensor, "*tokens D"], structure: Structure | None = None
    ) -> tuple[Tensor, Structure]:
        if not isinstance(inputs, Tensor) or not inputs.is_floating_point():
            kind = inputs.dtype if isinstance(inputs, Tensor) else type(inputs).__name__
            raise type_error("inputs", kind, "a tensor of floating point numbers")
        if inputs.ndim not in (2, 3) or inputs.shape[-1] != self.in_dim:
            raise value_error(
                "inputs.shape", tuple(inputs.shape), f"[B, N, {self.in_dim}] or [T, {self.in_dim}]"
            )
        check_place("inputs", inputs, self)
        structure = _structure_for(tuple(inputs.shape[:-1]), inputs.device, structure)
        return self.map(inputs), structure


class PatchTokenizer(Tokenizer):
    """Patches of an image, each flattened and mapped linearly: a convolution with that stride.

    ViT (Dosovitskiy et al. 2021, equation 1). `[B, C, H, W] -> [B, N, dim]`, row by row; the
    structure gets `grid = (rows, columns)`. With a `stride` smaller than the patch they overlap.
    The image must hold whole patches.
    """

    def __init__(self, channels: int, patch: int, dim: int, *, stride: int | None = None):
        super().__init__()
        self.channels = positive("channels", channels)
        self.patch = positive("patch", patch)
        self.dim = positive("dim", dim)
        self.stride = positive("stride", patch if stride is None else stride)
        if self.stride > patch:
            raise value_error("stride", stride, f"at most patch ({patch})", "pixels would be lost")
        self.map = nn.Conv2d(channels, dim, patch, self.stride)

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of patches of an image of this size."""
        for name, size in (("height", height), ("width", width)):
            if size < self.patch or (size - self.patch) % self.stride:
                raise value_error(
                    f"image {name}", size,
                    f"patch + a multiple of stride ({self.patch} + k * {self.stride})",
                    "pad or resize the images",
                )  # fmt: skip
        return (height - self.patch) // self.stride + 1, (width - self.patch) // self.stride + 1

    def forward(
        self, inputs: Float[Tensor, "B C H W"], structure: Structure | None = None
    ) -> tuple[Tensor, Structure]:
        if not isinstance(inputs, Tensor) or not inputs.is_floating_point():
            kind = inputs.dtype if isinstance(inputs, Tensor) else type(inputs).__name__
            raise type_error(
                "inputs", kind, "images of floating point numbers", "use x.float() / 255"
            )
        if inputs.ndim != 4 or inputs.shape[1] != self.channels:
            raise value_error("inputs.shape", tuple(inputs.shape), f"[B, {self.channels}, H, W]")
        check_place("inputs", inputs, self)
        grid = self.grid(inputs.shape[2], inputs.shape[3])
        x = self.map(inputs).flatten(2).transpose(1, 2)
        structure = _structure_for(tuple(x.shape[:2]), inputs.device, structure)
        return x, structure if structure.grid else structure.with_facts(grid=grid)


class ClassToken(Tokenizer):
    """Puts one learned token in front of each sample that another tokenizer makes.

    BERT's [CLS]; read it with `ClassReadout`. Edges move along; the class token has none. A grid
    holds no more and is dropped. Empty samples get the class token too.
    """

    def __init__(self, tokenizer: Tokenizer):
        super().__init__()
        if not isinstance(tokenizer, Tokenizer):
            raise type_error("tokenizer", kind_of(tokenizer), "a Tokenizer")
        self.tokenizer = tokenizer
        self.dim = tokenizer.dim
        self.token = nn.Parameter(torch.empty(self.dim))
        nn.init.trunc_normal_(self.token, std=0.02)

    def forward(self, inputs: Any, structure: Structure | None = None) -> tuple[Tensor, Structure]:
        x, structure = self.tokenizer(inputs, structure)
        layout = structure.layout
        batch = layout.batch
        new: Padded | Packed
        if isinstance(layout, Padded):
            x = torch.cat([self.token.to(x.dtype).expand(batch, 1, -1), x], 1)
            front = torch.ones(batch, 1, dtype=torch.bool, device=x.device)
            new = Padded(torch.cat([front, layout.valid], 1), layout.dense)
            shift = layout.sample + 1
        else:
            ptr = layout.ptr + torch.arange(batch + 1, device=x.device)
            new = Packed(ptr, layout.num_tokens + batch, layout.max_length + 1)
            shift = layout.sample + 1
            place = torch.arange(layout.rows, device=x.device) + shift
            rows = self.token.to(x.dtype).expand(new.num_tokens, -1)
            x = rows.index_copy(0, place, x)
        edges = structure.edges
        if edges is not None:
            index = edges.index.long()
            edges = type(edges)(index + shift[index], edges.weight, edges.attr)
        return x, Structure(new, edges, None, structure.memory)
