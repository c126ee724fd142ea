"""The heads of an attention: how many, how wide, and the linear maps that make them.

Axes: H heads, G heads of keys and values, D channels of a head.
"""

from dataclasses import KW_ONLY, dataclass
from itertools import chain

import torch
from torch import Tensor, nn

from tokennet.checks import positive, split_heads, switch, value_error
from tokennet.mixers.score import Part, Score


@dataclass(frozen=True)
class Heads:
    """`Heads(8, kv_heads=2, bias=False)` in the place of a number of heads.

    Args:
        num_heads: heads of queries; H.
        head_dim: channels of a head, by default dim / num_heads; D.
        kv_heads: heads of keys and values, each shared by H / G heads of queries: grouped queries
            (Ainslie et al. 2023, "GQA"), with one of them multi-query attention (Shazeer 2019).
        bias: whether the linear maps have one.
        output: False leaves the output map out: the result has H * D channels.
    """

    num_heads: int
    _: KW_ONLY
    head_dim: int | None = None
    kv_heads: int | None = None
    bias: bool = True
    output: bool = True

    def __post_init__(self) -> None:
        positive("num_heads", self.num_heads)
        switch("bias", self.bias)
        switch("output", self.output)
        if self.head_dim is not None:
            positive("head_dim", self.head_dim)
        if self.kv_heads is not None:
            positive("kv_heads", self.kv_heads)
            if self.num_heads % self.kv_heads:
                raise value_error(
                    "kv_heads", self.kv_heads, f"a divisor of num_heads ({self.num_heads})"
                )

    @staticmethod
    def of(num_heads: "int | Heads", dim: int) -> "Heads":
        """With every number filled in, for tokens of `dim` channels."""
        positive("dim", dim)
        given = num_heads if isinstance(num_heads, Heads) else Heads(num_heads)
        head_dim = split_heads(dim, given.num_heads) if given.head_dim is None else given.head_dim
        kv_heads = given.num_heads if given.kv_heads is None else given.kv_heads
        return Heads(
            given.num_heads,
            head_dim=head_dim,
            kv_heads=kv_heads,
            bias=given.bias,
            output=given.output,
        )

    def check(self, score: Score) -> None:
        """Raises where a part of the score is made for other heads: one would spread over all."""
        for part in score.modules():
            for name in ("num_heads", "head_dim"):
                own, expected = getattr(part, name, None), getattr(self, name)
                if isinstance(part, Part) and own not in (None, expected):
                    kind = type(part).__name__
                    raise value_error(f"{name} of {kind}", own, f"{expected}, as of the attention")

    @staticmethod
    def check_place(score: Score, like: nn.Module) -> None:
        """Raises where numbers of the score are of another dtype or device than a map's."""
        p = next(like.parameters(), None)
        for name, own in chain(score.named_parameters(), score.named_buffers()):
            if p is None or (own.device, own.dtype) == (p.device, p.dtype):
                continue
            kind = "device" if own.device != p.device else "dtype"
            if kind == "device" or (
                own.is_floating_point() and not torch.is_autocast_enabled(p.device.type)
            ):
                raise value_error(
                    f"{kind} of score.{name}", getattr(own, kind), f"{getattr(p, kind)} as of the "
                    "attention's maps", "move the whole attention with .to()",
                )  # fmt: skip

    @property
    def inner_dim(self) -> int:
        """Channels of all heads of queries together, H * D."""
        return self.num_heads * (self.head_dim or 0)

    def maps(self, dim: int, source_dim: int) -> tuple[nn.Module, nn.Module, nn.Module, nn.Module]:
        """New query, key, value and output maps."""
        shared = (self.kv_heads or 0) * (self.head_dim or 0)
        query = nn.Linear(dim, self.inner_dim, bias=self.bias)
        key = nn.Linear(source_dim, shared, bias=self.bias)
        value = nn.Linear(source_dim, shared, bias=self.bias)
        output = nn.Linear(self.inner_dim, dim, bias=self.bias) if self.output else nn.Identity()
        return query, key, value, output

    def split(self, y: Tensor) -> Tensor:
        """`[..., heads * D]` to `[..., heads, D]`, whatever the number of heads."""
        return y.unflatten(-1, (-1, self.head_dim or 0))

    def shared(self, y: Tensor) -> Tensor:
        """Keys or values `[..., G, D]` for each head of queries, `[..., H, D]`."""
        groups = self.num_heads // (self.kv_heads or 1)
        return y if groups == 1 else y.repeat_interleave(groups, -2)
