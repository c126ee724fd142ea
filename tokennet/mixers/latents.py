"""Learned latent tokens that read the tokens of a sample, and are read by them.

Axes: B samples, N tokens of the longest sample, L latents, D channels.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import positive, value_error
from tokennet.laws import CyclicShift, GridShift, MemoryPermutation, Permutation, closure
from tokennet.mixers.base import (
    Mixer,
    as_mixer,
    check_chain,
    compose_couples,
)
from tokennet.structure import Structure, Tokens


class Latents(Mixer):
    """y = write(x, h), h = mixers(read(l, x)): L learned latents l between the tokens, O(N L).

    Perceiver: Jaegle et al. 2021, "Perceiver: General perception with iterative attention"
    (section 3.1), with the tokens reading the latents back. In `read` and `mixers` the latents are
    the tokens and x is the memory; in `write` x are the tokens and h is the memory. So a mixer
    with `Memory()` among `mixers` reads x again.

        Latents(64, 16, Block(64, Attention(64, 4)),
                read=Attention(64, 4, Memory()), write=Attention(64, 4, Memory()))

    Without mixers, and with `read` and `write` of the form

        Block(64, Attention(64, 4, Memory()), mlp=TokenWise(nn.Linear(64, 64), nn.ReLU()),
              residual=PostNorm)

    it is the induced set attention block of the Set Transformer (Lee et al. 2019, "Set
    transformer", equations 6 and 9 to 10). Shapes: [*, dim] -> [*, dim].

    It keeps `Permutation` where all that read x promise `MemoryPermutation` and `write` promises
    `Permutation`; the latents have an order, so the mixers among them may do as they like.
    """

    def __init__(self, dim: int, num_latents: int, *mixers: Mixer, read: Mixer, write: Mixer):
        super().__init__()
        self.dim = positive("dim", dim)
        self.latents = learned_tokens("num_latents", num_latents, dim)
        self.read = as_mixer("read", read)
        self.mixers = nn.ModuleList(as_mixer(f"mixers[{i}]", m) for i, m in enumerate(mixers))
        self.write = as_mixer("write", write)
        named = [("read", read), *((f"mixers[{i}]", m) for i, m in enumerate(mixers))]
        check_readers(named, num_latents, dim)
        for name, mixer in (("read", read), ("write", write)):
            if "memory" not in mixer.reads:
                allowed = "a mixer that reads memory"
                raise value_error(name, type(mixer).__name__, allowed, "e.g. over tn.Memory()")
        check_chain([("write", write)], dim)
        self.out_dim = write.width(dim)
        self.max_tokens = write.max_tokens
        self.couples_samples = compose_couples([*self.readers, write])
        # attributes, not properties: torch.compile would trace those
        blind = order_blind(self.readers)
        shifts = {Permutation(), CyclicShift(), GridShift()}
        self.claims = closure(write.claims) & shifts if blind else frozenset()
        self.reads = (write.reads - {"memory"}) | (frozenset() if blind else {"position"})

    @property
    def readers(self) -> list[Mixer]:
        """What the latents go through."""
        return [self.read, *self.mixers]

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Tensor:
        self.check(x, structure)
        h = read_tokens(self.latents, self.readers, x, structure)
        return self.write(x, structure.with_facts(memory=Tokens.dense(h)))


def learned_tokens(name: str, count: int, dim: int) -> nn.Parameter:
    """`[L, D]`, normal entries of the size 1 / sqrt(D)."""
    return nn.Parameter(torch.randn(positive(name, count), dim) * dim**-0.5)


def read_tokens(
    latents: Float[Tensor, "L D"],
    mixers: Sequence[Mixer],
    x: Float[Tensor, "*tokens D"],
    structure: Structure,
) -> Float[Tensor, "B L D"]:
    """The latents of each sample, after mixers for which the tokens x are the memory."""
    memory = Tokens(x, Structure(structure.layout))
    own = Structure.dense(structure.batch, len(latents), device=x.device, memory=memory)
    h = latents.to(x.dtype).repeat(structure.batch, 1, 1)  # a view of a weight upsets torch's hooks
    for mixer in mixers:
        h = mixer(h, own)
    return h


def order_blind(mixers: Sequence[Mixer]) -> bool:
    """Whether the order of the memory is nothing to any of the mixers."""
    readers = [m for m in mixers if "memory" in m.reads]
    return all(MemoryPermutation() in closure(m.claims) for m in readers)


def check_readers(named: Sequence[tuple[str, Mixer]], num_latents: int, dim: int) -> None:
    """Raises where the mixers can't take the latents, or none of them reads the tokens."""
    if not any("memory" in mixer.reads for _, mixer in named):
        shown = ", ".join(type(mixer).__name__ for _, mixer in named) or "()"
        hint = "e.g. tn.Attention(dim, 8, tn.Memory())"
        raise value_error("mixers", shown, "at least one that reads memory: the tokens", hint)
    for name, mixer in named:
        if mixer.pooled:
            raise value_error(name, type(mixer).__name__, "a mixer with a row for each token")
        missing = mixer.reads & {"edges", "grid"}
        if missing:
            hint = "learned tokens have neither edges nor a grid"
            raise value_error(f"reads of {name}", sorted(missing), "position and memory", hint)
        if mixer.max_tokens is not None and mixer.max_tokens < num_latents:
            allowed = f"at least {num_latents}, the number of learned tokens"
            raise value_error(f"max_tokens of {name}", mixer.max_tokens, allowed)
    check_chain(named, dim)
