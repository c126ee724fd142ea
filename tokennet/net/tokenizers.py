"""From data to tokens: `(inputs, structure or None) -> (x, structure)`.

Axes: B samples, N tokens, T rows, F neurons, D channels of a token.
"""

from abc import ABC, abstractmethod
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokennet.checks import kind_of, positive, type_error, value_error
from tokennet.mixers.base import check_place
from tokennet.structure import Edges, Packed, Padded, Structure


class Tokenizer(nn.Module, ABC):
    """Turns inputs into tokens of `dim` channels, and says how they lie."""

    dim: int

    @abstractmethod
    def forward(self, inputs: Any, structure: Structure | None = None) -> tuple[Tensor, Structure]:
        """Tokens and their structure; a given structure adds facts (padding, edges, memory)."""


def structure_for(
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


def ragged_structure(
    lengths: list[int],
    device: torch.device,
    structure: Structure | None,
    edges: Edges | None = None,
) -> Structure:
    """The given structure, if it is packed with these lengths; without one, a new one.

    The tokenizer's edges join it where it has none of its own.
    """
    if structure is None:
        return Structure.packed(lengths, device=device, edges=edges)
    structure = structure_for((sum(lengths),), device, structure)
    if (given := structure.lengths.tolist()) != lengths:
        hint = "leave it out, or pass the same samples"
        raise value_error("structure.lengths", given[:8], f"{lengths[:8]} as the inputs", hint)
    has_edges = structure.edges is not None or edges is None
    return structure if has_edges else structure.with_facts(edges=edges)


def on_grid(structure: Structure, grid: tuple[int, ...]) -> Structure:
    """The structure with this grid, unless it has one."""
    return structure if structure.grid else structure.with_facts(grid=grid)


def check_floats(inputs: Any, what: str, hint: str = "", name: str = "inputs") -> None:
    """Raises where inputs are no tensor of real numbers."""
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point():
        kind = inputs.dtype if isinstance(inputs, Tensor) else type(inputs).__name__
        raise type_error(name, kind, f"{what} of floating point numbers", hint)


def check_ids(
    inputs: Any,
    size: int,
    like: Tensor,
    module: nn.Module,
    structure: Structure | None,
    name: str = "inputs",
) -> Structure:
    """The structure for these ids, if each is from 0 to size - 1."""
    if not isinstance(inputs, Tensor) or inputs.dtype not in (torch.int64, torch.int32):
        kind = inputs.dtype if isinstance(inputs, Tensor) else type(inputs).__name__
        raise type_error(name, kind, "whole numbers, torch.int64 or torch.int32")
    if inputs.ndim not in (1, 2):
        raise value_error(f"{name}.shape", tuple(inputs.shape), "[B, N] or [T]")
    if inputs.device != like.device:
        allowed = f"{like.device} as the parameters of {type(module).__name__}"
        raise value_error(f"{name}.device", inputs.device, allowed)
    structure = structure_for(tuple(inputs.shape), inputs.device, structure)
    if inputs.device.type == "cpu" and inputs.numel() and not torch.compiler.is_compiling():
        low, high = (int(v) for v in torch.aminmax(inputs))
        if low < 0 or high >= size:
            bad = low if low < 0 else high
            raise value_error(name, bad, f"ids from 0 to {size - 1}")
    return structure


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
        structure = check_ids(inputs, self.num_embeddings, self.embedding.weight, self, structure)
        return self.embedding(inputs), structure


class OneHotTokenizer(Tokenizer):
    """The one-hot vector of each of `num_embeddings` ids: 1 at the id, 0 elsewhere; no parameters.

    A linear map without bias after it is an `EmbeddingTokenizer`. Inputs: whole numbers `[B, N]`,
    or `[T]` with a packed structure. Output `[*, num_embeddings]`, in the module's dtype.
    """

    one: Tensor

    def __init__(self, num_embeddings: int):
        super().__init__()
        self.dim = positive("num_embeddings", num_embeddings)
        self.register_buffer("one", torch.ones(()), persistent=False)  # follows .to(...)

    def forward(
        self, inputs: Int[Tensor, "*tokens"], structure: Structure | None = None
    ) -> tuple[Float[Tensor, "*tokens D"], Structure]:
        structure = check_ids(inputs, self.dim, self.one, self, structure)
        ids = torch.arange(self.dim, device=inputs.device)
        return (inputs[..., None] == ids).to(self.one.dtype), structure


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
        check_floats(inputs, "a tensor")
        if inputs.ndim not in (2, 3) or inputs.shape[-1] != self.in_dim:
            raise value_error(
                "inputs.shape", tuple(inputs.shape), f"[B, N, {self.in_dim}] or [T, {self.in_dim}]"
            )
        check_place("inputs", inputs, self)
        structure = structure_for(tuple(inputs.shape[:-1]), inputs.device, structure)
        return self.map(inputs), structure


class NeuronTokenizer(Tokenizer):
    """Every channel of a vector as a token of one channel: `[B, F] -> [B, F, 1]`.

    Mixers then work over neurons instead of tokens. No parameters; the structure gets
    `grid = (F,)`.
    """

    def __init__(self, num_neurons: int):
        super().__init__()
        self.num_neurons = positive("num_neurons", num_neurons)
        self.dim = 1

    def forward(
        self, inputs: Float[Tensor, "B F"], structure: Structure | None = None
    ) -> tuple[Float[Tensor, "B F 1"], Structure]:
        check_floats(inputs, "vectors")
        if inputs.ndim != 2 or inputs.shape[1] != self.num_neurons:
            raise value_error("inputs.shape", tuple(inputs.shape), f"[B, {self.num_neurons}]")
        structure = structure_for(tuple(inputs.shape), inputs.device, structure)
        return inputs[..., None], on_grid(structure, (self.num_neurons,))


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
        return put_first(self.token, *self.tokenizer(inputs, structure))


def put_first(token: Tensor, x: Tensor, structure: Structure) -> tuple[Tensor, Structure]:
    """`token [D]` in front of each sample; edges move along, the grid is dropped."""
    layout = structure.layout
    batch = layout.batch
    new: Padded | Packed
    if isinstance(layout, Padded):
        x = torch.cat([token.to(x.dtype).expand(batch, 1, -1), x], 1)
        front = torch.ones(batch, 1, dtype=torch.bool, device=x.device)
        new = Padded(torch.cat([front, layout.valid], 1), layout.dense)
        shift = layout.sample + 1
    else:
        ptr = layout.ptr + torch.arange(batch + 1, device=x.device)
        new = Packed(ptr, layout.num_tokens + batch, layout.max_length + 1)
        shift = layout.sample + 1
        place = torch.arange(layout.rows, device=x.device) + shift
        rows = token.to(x.dtype).expand(new.num_tokens, -1)
        x = rows.index_copy(0, place, x)
    edges = structure.edges
    if edges is not None:
        index = edges.index.long()
        edges = type(edges)(index + shift[index], edges.weight, edges.attr)
    return x, Structure(new, edges, None, structure.memory)
