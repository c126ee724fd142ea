"""Norms, attentions and channel MLPs of x-transformers: makers of ours, and the names of theirs.

Axes: H heads of queries, G heads of keys and values, D channels of a head, R channels that turn.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tokennet.interop.options import Options
from tokennet.interop.translation import Line, constant, joined, module, same
from tokennet.mixers import (
    AlibiBias,
    Attention,
    DotScore,
    GatedMLP,
    Heads,
    Mixer,
    Pointwise,
    RelativeBias,
    Rotary,
)
from tokennet.mixers.scaling import Gain
from tokennet.net import PostNorm, PreNorm, SandwichNorm
from tokennet.topology import Memory, Topology

Lines = Callable[[str, str], list[Line]]
"""From the beginnings of their name and of ours."""


@dataclass(frozen=True)
class Norms:
    """A maker of norms, and where they stand: their place in a layer, our name in the residual."""

    make: Callable[[int], nn.Module]
    lines: Lines
    residual: Any
    places: dict[int, str]

    @staticmethod
    def read(options: Options) -> "Norms":
        root, simple = options.take("use_rmsnorm", False), options.take("use_simple_rmsnorm", False)
        offset = options.take("norm_add_unit_offset", True)
        # theirs divides by max(|x|, 1e-12): the same, but for rows that are zero to within 1e-10
        kind: Any = partial(nn.RMSNorm, eps=1e-24) if root or simple else nn.LayerNorm
        make: Callable[[int], nn.Module] = partial(kind, bias=False)
        if simple:
            make = partial(kind, elementwise_affine=False)
        elif offset:
            make = partial(_offset_norm, kind)
        elif root:
            make = kind

        def lines(theirs: str, ours: str) -> list[Line]:
            own = f"{ours}.1.weight" if offset else f"{ours}.weight"
            return [] if simple else [same(f"{theirs}.{'g' if root else 'gamma'}", own)]

        before, both = options.take("pre_norm", True), options.take("sandwich_norm", False)
        if both and not before:
            raise options.refused("sandwich_norm", both, "False without pre_norm")
        if both:
            return Norms(make, lines, SandwichNorm, {0: "norm", 1: "second_norm"})
        if before:
            return Norms(make, lines, PreNorm, {0: "norm"})
        return Norms(make, lines, PostNorm, {2: "norm"})


def _offset_norm(kind: Callable[..., nn.Module], dim: int) -> nn.Module:
    return nn.Sequential(kind(dim, elementwise_affine=False), Gain(dim))


@dataclass(frozen=True)
class Attentions:
    """Attentions of one kind of heads.

    Channels of queries and keys that turn are brought from neighbours, as theirs, to halves, as
    `Rotary` has them; and head g + r G of theirs, which reads key g, to g H / G + r of `Heads`.
    """

    dim: int
    heads: Heads
    turning: int
    bias: nn.Module | None
    dropout: float

    @staticmethod
    def read(options: Options, dim: int, *, causal: bool) -> "Attentions":
        count, size = options.take("heads", 8), options.take("attn_dim_head", 64)
        grouped, single = (
            options.take("attn_kv_heads", None),
            options.take("attn_one_kv_head", False),
        )
        shared = 1 if single else grouped or count
        if count == 1 and size != dim:
            raise options.refused("attn_dim_head", size, f"{dim}: one head has no output map")
        heads = Heads(count, head_dim=size, kv_heads=shared, bias=False, output=count > 1)
        width = options.take("rotary_emb_dim", None) or size // 2
        turning = width if options.take("rotary_pos_emb", False) else 0
        if turning % 2 or turning > size:
            raise options.refused("rotary_emb_dim", turning, f"an even number up to {size}")
        bias: nn.Module | None = None
        buckets = options.take("rel_pos_num_buckets", 32)
        distance = options.take("rel_pos_max_distance", 128)
        if options.take("rel_pos_bias", False):
            bias = RelativeBias(
                count, num_buckets=buckets, max_distance=distance, causal=causal, scale=size**0.5
            )
        if options.take("alibi_pos_bias", False):
            if bias is not None or shared not in (1, count):
                allowed = "False with rel_pos_bias, or with heads of keys in groups"
                raise options.refused("alibi_pos_bias", True, allowed)
            bias = AlibiBias(count)
        return Attentions(dim, heads, turning, bias, options.take("attn_dropout", 0.0))

    def make(self, topology: Topology, memory_dim: int | None = None) -> Attention:
        score: Any = None
        if not isinstance(topology, Memory):
            size = self.heads.head_dim or 0
            turn = [Rotary(size, rotary_dim=self.turning, angles=None)] if self.turning else []
            score = DotScore(*turn)
            score = score if self.bias is None else score + self.bias
        return Attention(
            self.dim, self.heads, topology, memory_dim=memory_dim, score=score, dropout=self.dropout
        )

    def lines(self, theirs: str, ours: str, *, turning: int) -> list[Line]:
        order, keys = self._order(turning), self._keys(turning)
        found = [
            _picked(f"{theirs}.to_q.weight", f"{ours}.query.weight", order, 0),
            _picked(f"{theirs}.to_k.weight", f"{ours}.key.weight", keys, 0),
            same(f"{theirs}.to_v.weight", f"{ours}.value.weight"),
        ]
        if self.heads.output:
            name = f"{theirs}.to_out.weight"
            found.append(_picked(name, f"{ours}.output.weight", self._order(0), 1))
        return found

    def shared_lines(self, theirs: str, ours: str) -> list[Line]:
        """Of what all attentions have together; `ours` is any of them."""
        found = []
        if isinstance(self.bias, RelativeBias):
            name = f"{theirs}rel_pos.relative_attention_bias.weight"
            found.append(_picked(name, f"{ours}.score.biases.0.table", self._head_order(), 1))
        if self.turning:
            steps = torch.arange(0, self.turning, 2).float() / self.turning
            found.append(constant(f"{theirs}rotary_pos_emb.inv_freq", 1.0 / 10_000.0**steps))
        return found

    def _head_order(self) -> Tensor:
        groups = self.heads.kv_heads or 1
        return torch.arange(self.heads.num_heads).view(-1, groups).t().flatten()

    def _order(self, turning: int) -> Tensor:
        """The channel of all heads of theirs that each of ours is."""
        size = self.heads.head_dim or 0
        return (self._head_order()[:, None] * size + _channels(size, turning)).flatten()

    def _keys(self, turning: int) -> Tensor:
        size, groups = self.heads.head_dim or 0, self.heads.kv_heads or 1
        return (torch.arange(groups)[:, None] * size + _channels(size, turning)).flatten()


def _channels(size: int, turning: int) -> Tensor:
    pairs = torch.arange(turning).view(-1, 2)
    return torch.cat([pairs.t().flatten(), torch.arange(turning, size)])


def _picked(theirs: str, ours: str, order: Tensor, axis: int) -> Line:
    """Ours is theirs in another order along an axis."""
    back = order.argsort()
    return Line(
        theirs, (ours,), lambda t, _: [t.index_select(axis, order.to(t.device))],
        lambda own: own[0].index_select(axis, back.to(own[0].device)),
    )  # fmt: skip


@dataclass(frozen=True)
class ChannelMLPs:
    """A maker of channel MLPs, and the lines of each."""

    make: Callable[[], Mixer]
    lines: Lines

    @staticmethod
    def read(options: Options, dim: int) -> "ChannelMLPs":
        hidden, bias = int(dim * options.take("ff_mult", 4)), not options.take("ff_no_bias", False)
        act = nn.SiLU if options.take("ff_swish", False) else nn.GELU
        facts: dict[str, Any] = {"activation": act, "dropout": options.take("ff_dropout", 0.0)}
        names = ("weight", "bias") if bias else ("weight",)
        if options.take("ff_glu", False):  # `ff_no_bias` is for the second map alone there
            facts |= {"bias": True, "output_bias": bias}
            return ChannelMLPs(
                partial(GatedMLP, dim, hidden, **facts),
                lambda theirs, ours: (
                    [
                        joined(f"{theirs}.0.proj.{n}", f"{ours}.value.{n}", f"{ours}.gate.{n}")
                        for n in ("weight", "bias")
                    ]
                    + module(f"{theirs}.2", f"{ours}.output", *names)
                ),
            )
        return ChannelMLPs(
            partial(Pointwise, dim, hidden, bias=bias, **facts),
            lambda theirs, ours: (
                module(f"{theirs}.0.0", f"{ours}.map.0", *names)
                + module(f"{theirs}.2", f"{ours}.map.3", *names)
            ),
        )
