"""Who listens to whom in every operator of a net, in one shape.

Axes: B samples, N real tokens of a sample, M tokens of the memory, H heads, E edges.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from tokennet.checks import kind_of, positive, type_error, value_error
from tokennet.inspect.influence import influence
from tokennet.inspect.kind import is_token_wise
from tokennet.mixers import LinearAttention, Mixer
from tokennet.mixers.combine import Composed
from tokennet.net import BatchNorm, TokenNet
from tokennet.structure import Structure, Tokens

Kind = Literal["weights", "closed form", "jacobian"]


@dataclass(frozen=True, eq=False)
class MixingMatrix:
    """Row i says how much output i takes from each token.

    Args:
        path: where the operator stands, as in `net.get_submodule(path)`.
        name: its class, with its topology.
        kind: "weights": the weights of its sum. "closed form": those that its sums amount to, with
            nothing of N N numbers made in a call. "jacobian": it has none, so entry (i, j) is
            |d y_i / d x_j|, the Frobenius norm, as a single head.
        matrix: of one sample's real tokens, `[H, N, N]`, or `[H, N, M]` over the memory.
        memory: whether the columns are tokens of the memory.
    """

    path: str
    name: str
    kind: Kind
    matrix: Float[Tensor, "H N M"]
    memory: bool = False

    @property
    def mean(self) -> Float[Tensor, "N M"]:
        """Over the heads."""
        return self.matrix.mean(0)


def mixing(
    net: TokenNet | Mixer, inputs: Any, structure: Structure | None = None, *, sample: int = 0
) -> list[MixingMatrix]:
    """The mixing matrix of every operator that lets tokens interact, in order of the calls.

    Token-wise parts, position codes and readouts are left out. Measured in eval mode, on what
    reaches each operator in the net. Where an operator has no weights, one backward pass for each
    of its output numbers is needed: meant for small inputs.

    Args:
        net: a net; or a mixer, then `inputs` are tokens and the structure has to be given.
        sample: which sample of the batch.
    """
    positive("sample", sample, minimum=0)
    calls = record(net, inputs, structure)
    return [_matrix(path, mixer, tokens, sample) for path, mixer, tokens in calls]


def record(
    net: TokenNet | Mixer, inputs: Any, structure: Structure | None
) -> list[tuple[str, Mixer, Tokens]]:
    """Every call of an operator that mixes: path, operator, and the tokens that reach it."""
    if isinstance(net, TokenNet):
        parts = [(f"mixers.{i}", m) for i, m in enumerate(net.mixers)]
    elif isinstance(net, Mixer):
        if structure is None:
            raise value_error("structure", None, "a Structure", "a mixer has no tokenizer")
        parts = [("", net)]
    else:
        raise type_error("net", kind_of(net), "a TokenNet or a Mixer")
    found: list[tuple[str, Mixer, Tokens]] = []
    paths: dict[Mixer, str] = {}
    with ExitStack() as stack:
        for module in net.modules():
            stack.callback(setattr, module, "training", module.training)
        net.eval()
        for path, part in parts:
            for name, mixer in operators(path, part):  # type: ignore[arg-type]
                if mixer not in paths:
                    paths[mixer] = name

                    def keep(module: Any, given: Any) -> None:
                        found.append((paths[module], module, Tokens(*given[:2])))

                    stack.callback(mixer.register_forward_pre_hook(keep).remove)
        with torch.no_grad():
            if isinstance(net, TokenNet):
                net.encode(inputs, structure)
            else:
                net(inputs, structure)
    return found


def operators(path: str, part: Mixer) -> Iterator[tuple[str, Mixer]]:
    """The mixers that a composition is made of and that let tokens interact, with their paths."""
    if not isinstance(part, Composed):
        apart = is_token_wise(part) and "memory" not in part.reads
        if not apart and not isinstance(part, BatchNorm):  # in eval mode it is token-wise
            yield path, part
        return
    inner = {id(p) for p in part.parts}
    for name, module in part.named_modules():
        if id(module) in inner:
            inner.discard(id(module))
            yield from operators(f"{path}.{name}".lstrip("."), module)


def _matrix(path: str, mixer: Mixer, tokens: Tokens, sample: int) -> MixingMatrix:
    x, structure = tokens
    if sample >= structure.batch:
        allowed = f"less than the {structure.batch} samples of the batch"
        raise value_error("sample", sample, allowed)
    topology = getattr(mixer, "topology", None)
    name = type(mixer).__name__ if topology is None else f"{type(mixer).__name__} {topology}"
    memory = "memory" in mixer.reads
    weights, weigh = None, getattr(mixer, "weights", None)
    if callable(weigh):
        try:
            with torch.no_grad():
                weights = weigh(x, structure)
        except ValueError:  # a maximum has no weights, nor a sum that is no sum of weights
            weights = None
    if weights is None:
        memory = False
        matrix, kind = influence(mixer, x, structure, sample=sample)[None], "jacobian"
    else:
        matrix = _of_sample(weights, structure, sample, memory)
        kind = "closed form" if isinstance(mixer, LinearAttention) else "weights"
    return MixingMatrix(path, name, kind, matrix.detach(), memory)  # type: ignore[arg-type]


def _of_sample(
    weights: Any, structure: Structure, sample: int, memory: bool
) -> Float[Tensor, "H N M"]:
    """Weights of all samples, padded or over edges, as the matrix of one."""
    layout = structure.layout
    own = layout.valid.flatten() & (layout.sample == sample)
    if isinstance(weights, tuple):
        index, each = weights
        rows = own.nonzero()[:, 0]
        place = torch.full((layout.rows,), -1, device=rows.device)
        place[rows] = torch.arange(len(rows), device=rows.device)
        inside = own[index[1]]
        target, source = place[index[1][inside]], place[index[0][inside]]
        matrix = each.new_zeros(len(rows), len(rows), each.shape[1])
        return matrix.index_put((target, source), each[inside], accumulate=True).permute(2, 0, 1)
    targets = _real(structure, sample)
    sources = targets
    if memory:
        assert structure.memory is not None  # the mixer has read it
        sources = _real(structure.memory.structure, sample)
    return weights[sample][:, targets][:, :, sources]


def _real(structure: Structure, sample: int) -> Tensor:
    """Which columns of the padded view are real tokens of the sample."""
    layout = structure.layout
    valid = layout.padded_valid
    if valid is None:
        return torch.ones(layout.max_length, dtype=torch.bool, device=structure.device)
    return valid[sample]
