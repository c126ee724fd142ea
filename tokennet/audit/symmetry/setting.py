"""How a module is called when its symmetries are looked for: shape, structure, edges."""

from typing import Any

import torch
from torch import Tensor, nn

from tokennet.audit.symmetry.module import Setting, takes_structure
from tokennet.checks import positive, type_error, value_error
from tokennet.structure import Edges, Structure, Tokens


def setting_of(
    module: nn.Module,
    num_tokens: int | None,
    dim: int | None,
    example: Tensor | Tokens | None,
    edges: Tensor | Edges | None,
) -> Setting:
    """What the module is called with, from what was said and what the module says of itself."""
    if edges is not None and not isinstance(edges, Edges):
        edges = Edges(edges)
    shape = _shape(module, num_tokens, dim, example, edges)
    if edges is not None and edges.num_edges and int(edges.index.max()) >= shape[-2]:
        allowed = f"less than num_tokens ({shape[-2]})"
        raise value_error("edges", int(edges.index.max()), allowed)
    if not takes_structure(module):
        if isinstance(example, Tokens):
            hint = "pass its features as a tensor"
            raise type_error("example", "Tokens", f"a tensor for {type(module).__name__}", hint)
        if edges is None:
            return Setting(shape)
        if edges.weight is not None or edges.attr is not None:
            allowed = "an index alone: the module is called as module(x, edge_index)"
            raise value_error("edges", "Edges with weight or attr", allowed)
        return Setting(shape, index=edges.index.long())
    if len(shape) != 3 or shape[0] != 1:
        raise value_error("example.shape", shape, "[1, N, D] or [N, D], one sample")
    facts: dict[str, Any] = {} if edges is None else {"edges": edges}
    if isinstance(example, Tokens):
        structure = example.packed().padded().structure
        structure = structure.with_facts(**facts) if facts else structure
        structure = _in_float64(structure)
    else:
        structure = Structure.dense(1, shape[-2], **facts)
    needed = frozenset(getattr(module, "reads", ())) - {"position"}
    structure.require(needed, type(module).__name__)
    return Setting(shape, tokens=Tokens(torch.zeros(shape, dtype=torch.float64), structure))


def _in_float64(structure: Structure) -> Structure:
    """The same facts in the precision in which modules are judged."""
    edges, memory = structure.edges, structure.memory
    exact = lambda t: None if t is None else t.detach().double()  # noqa: E731
    if edges is not None:
        edges = Edges(edges.index, exact(edges.weight), exact(edges.attr))
    if memory is not None:
        memory = Tokens(memory.x.detach().double(), memory.structure)
    return structure.with_facts(edges=edges, memory=memory)


def _shape(
    module: nn.Module,
    num_tokens: int | None,
    dim: int | None,
    example: Tensor | Tokens | None,
    edges: Edges | None,
) -> tuple[int, ...]:
    """The shape of x, tokens on its last axis but one."""
    if num_tokens is not None:
        positive("num_tokens", num_tokens, minimum=2)
    if dim is not None:
        positive("dim", dim)
    if example is not None:
        shape = _example_shape(module, example)
        for name, given, place in (("num_tokens", num_tokens, -2), ("dim", dim, -1)):
            if given is not None and given != shape[place]:
                raise value_error(name, given, f"{shape[place]}, that of the example")
        return shape
    n = num_tokens
    if n is None and edges is not None and edges.num_edges:
        n = max(int(edges.index.max()) + 1, 2)
    if n is None:
        most = getattr(module, "max_tokens", None)
        n = min(5, most) if isinstance(most, int) else 5
    size = dim
    for name in ("dim", "in_channels", "embed_dim", "d_model", "in_features"):
        size = getattr(module, name, None) if not isinstance(size, int) else size
    if not isinstance(size, int) or size < 1:
        hint = "symmetry_group(module, num_tokens=5, dim=8), or pass an example"
        raise value_error("dim", size if dim is not None else None, "the number of channels", hint)
    graph = edges is not None and not takes_structure(module)
    return (n, size) if graph else (1, n, size)


def _example_shape(module: nn.Module, example: Tensor | Tokens) -> tuple[int, ...]:
    if isinstance(example, Tokens):
        if example.structure.batch != 1:
            raise value_error("samples of the example", example.structure.batch, "one")
        return (1, example.num_tokens, example.x.shape[-1])
    if not isinstance(example, Tensor) or not example.is_floating_point():
        kind = example.dtype if isinstance(example, Tensor) else type(example).__name__
        hint = "of token ids, wrap the module so that it takes features"
        raise type_error("example", kind, "a tensor of floating point numbers", hint)
    if example.ndim < 2 or example.shape[-2] < 2 or 0 in example.shape:
        allowed = "[..., N, D], at least 2 tokens"
        raise value_error("example.shape", tuple(example.shape), allowed)
    shape = tuple(example.shape)
    return (1, *shape) if len(shape) == 2 and takes_structure(module) else shape
