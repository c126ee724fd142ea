"""What a net does on an example: the answer, its cost, and what goes through chosen parts."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tokennet.mixers import Mixer
from tokennet.net import TokenNet
from tokennet.ops.backend import backend, sparse_flops
from tokennet.structure import Structure, Tokens


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a part: what went in, what came out."""

    x: Tensor
    structure: Structure
    y: Tensor


@dataclass(frozen=True, eq=False)
class Record:
    """One run of a net in eval mode; zeros stand where the answer is about padding."""

    answer: Tensor
    flops: int
    calls: dict[Mixer, Call] = field(default_factory=dict)


def arguments(example: Any) -> tuple[Any, ...]:
    """The arguments of a net: inputs, `(inputs, structure)` or `Tokens`."""
    if isinstance(example, Tokens):
        return example.x, example.structure
    if isinstance(example, tuple) and len(example) == 2 and isinstance(example[1], Structure):
        return example
    return (example,)


@contextmanager
def modes(*modules: nn.Module) -> Iterator[None]:
    """Inside, modes may change; afterwards every part is in the mode that it was in."""
    kept = [(part, part.training) for module in modules for part in module.modules()]
    try:
        yield
    finally:
        for part, training in kept:
            part.training = training


def run(net: TokenNet, example: Any, parts: Sequence[Mixer] = ()) -> Record:
    """Runs the net without a trace in it: eval mode, no gradients, no random number used up.

    FLOPs are those of one forward pass with attention and sparse products counted; what is kept
    with the structure is not.
    """
    args = arguments(example)
    calls: dict[Mixer, Call] = {}

    def remember(module: Any, given: tuple[Any, ...], named: dict[str, Any], y: Tensor) -> None:
        whole = {**dict(zip(("x", "structure"), given, strict=False)), **named}
        calls.setdefault(module, Call(whole["x"].detach(), whole["structure"], y.detach()))

    hooks = [part.register_forward_hook(remember, with_kwargs=True) for part in parts]
    try:
        with modes(net), torch.random.fork_rng(devices=[]), torch.no_grad(), backend("auto"):
            net.eval()
            answer = net(*args)
            structure = net.tokens(*args).structure
            # the fused kernels of attention are not counted on every device, plain products are
            plain = sdpa_kernel(SDPBackend.MATH)
            with FlopCounterMode(display=False) as dense, sparse_flops() as sparse, plain:
                net(*args)
    finally:
        for hook in hooks:
            hook.remove()
    answer = answer if net.pooled else structure.layout.clear(answer)
    return Record(answer.detach(), dense.get_total_flops() + sum(sparse), calls)
