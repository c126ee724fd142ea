"""`GPSConv`: a convolution and attention side by side, then an MLP."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from tokennet.checks import value_error
from tokennet.interop.draft import Draft
from tokennet.interop.options import Options
from tokennet.interop.pyg_models.activations import act_of, take_act
from tokennet.interop.pyg_models.convolutions import describe_module, draft, make_module
from tokennet.interop.pyg_models.parts import (
    Piece,
    chained,
    make_norm,
    norm_of,
    origin_of,
    take_norm,
)
from tokennet.interop.pyg_models.sums import check_size
from tokennet.interop.translation import joined, module, same
from tokennet.mixers import Attention, Heads, Mixer, Parallel, Pointwise, TokenWise
from tokennet.net import PostNorm

MLP = ("Linear", "", "Dropout", "Linear", "Dropout")


def describe(gps: Any, where: str = "GPSConv") -> dict[str, Any]:
    """The options of a live layer; parts that its constructor would not have made are refused."""
    norms = [norm_of(getattr(gps, f"norm{i}"), f"{where}.norm{i}") for i in (1, 2, 3)]
    if any(other != norms[0] for other in norms):
        raise value_error(f"{where}.norm1", "of another kind", "one like norm2 and norm3")
    drops = {gps.dropout, gps.mlp[2].p, gps.mlp[4].p}
    if len(drops) > 1:
        raise value_error(f"{where}.dropout", sorted(drops), "one number for all")
    kinds = [origin_of(m, f"{where}.mlp") for m in gps.mlp]
    if len(kinds) != 5 or any(k not in ("", found) for k, found in zip(MLP, kinds, strict=True)):
        raise value_error(f"{where}.mlp", kinds, "two linear maps, an activation and dropout")
    act, act_kwargs = act_of(gps.mlp[1], f"{where}.act")
    return {
        "channels": gps.channels, "heads": gps.heads, "dropout": gps.dropout, "act": act,
        "conv": None if gps.conv is None else describe_module(gps.conv, f"{where}.conv"),
        "act_kwargs": act_kwargs, "norm": norms[0][0], "norm_kwargs": norms[0][1],
        "attn_type": gps.attn_type, "attn_kwargs": _attention_options(gps.attn),
    }  # fmt: skip


def _attention_options(attention: Any) -> dict[str, Any]:
    if type(attention) is not nn.MultiheadAttention:
        return {}  # `attn_type` is refused
    return {
        "dropout": attention.dropout, "bias": attention.in_proj_bias is not None,
        "add_bias_kv": attention.bias_k is not None, "add_zero_attn": attention.add_zero_attn,
        "kdim": None if attention.kdim == attention.embed_dim else attention.kdim,
        "vdim": None if attention.vdim == attention.embed_dim else attention.vdim,
    }  # fmt: skip


def make(options: Options, theirs: str) -> Piece:
    """Each branch with a residual and a norm of its own; of their sum an MLP, likewise."""
    dim, dropout = check_size(options, "channels"), options.take("dropout", 0.0)
    act = take_act(options)
    if act is None:
        raise options.refused("act", None, "an activation")
    norm, norm_kwargs = take_norm(options, "batch_norm")
    options.fixed(attn_type="multihead")
    conv = options.take("conv")
    where = f"{options.name}.norm_kwargs"

    def around(piece: Piece, number: int) -> Piece:
        prefix = f"{theirs}norm{number}."
        if norm is None:
            mixer: Mixer = PostNorm(dim, piece.mixer, norm=nn.Identity, dropout=dropout)
            return Piece(mixer, piece.within("mixer"), piece.kept)
        made = make_norm(norm, norm_kwargs, dim, where, prefix)
        alone = isinstance(made.mixer, TokenWise)
        inner = made.mixer.map if isinstance(made.mixer, TokenWise) else made.mixer
        mixer = PostNorm(dim, piece.mixer, norm=_given(inner), dropout=dropout)
        lines = _renamed(made) if alone else made.within("norm")
        return Piece(mixer, [*piece.within("mixer"), *lines], (*piece.kept, *made.kept))

    branches = [around(_attention(options, dim, theirs), 2)]
    if conv is not None:
        local = chained(make_module(conv, f"{options.name}.conv", f"{theirs}conv."))
        branches.insert(0, around(local, 1))
    mixer = Pointwise(dim, 2 * dim, activation=act, dropout=dropout)
    lines = module(f"{theirs}mlp.0", "map.0") + module(f"{theirs}mlp.3", "map.3")
    last = around(Piece(mixer, lines), 3)
    both = _parallel(branches)
    unused = (f"{theirs}norm1.",) if conv is None else ()
    whole = chained([both, last])
    return Piece(whole.mixer, whole.lines, (*whole.kept, *unused))


def _given(norm: nn.Module) -> Callable[[int], nn.Module]:
    return lambda dim: norm


def _renamed(piece: Piece) -> list[Any]:
    """Lines of a token-wise norm that stands there without its mixer."""
    return [same(n.theirs, n.ours[0].replace("map.", "norm.", 1)) for n in piece.lines]


def _parallel(branches: list[Piece]) -> Piece:
    if len(branches) == 1:
        return branches[0]
    lines = [line for i, b in enumerate(branches) for line in b.within(f"mixers.{i}")]
    return Piece(Parallel(*(b.mixer for b in branches)), lines, sum((b.kept for b in branches), ()))


def _attention(options: Options, dim: int, theirs: str) -> Piece:
    given: Mapping[str, Any] = options.take("attn_kwargs", None) or {}
    inner = Options(f"{options.name}.attn_kwargs", given)
    inner.fixed(add_bias_kv=False, add_zero_attn=False, kdim=None, vdim=None)
    inner.ignore("device", "dtype")
    bias, dropout = inner.take("bias", True), inner.take("dropout", 0.0)
    inner.finish()
    mixer = Attention(dim, Heads(check_size(options, "heads"), bias=bias), dropout=dropout)
    lines = []
    for name in ("weight", "bias") if bias else ("weight",):
        own = [f"{part}.{name}" for part in ("query", "key", "value")]
        lines.append(joined(f"{theirs}attn.in_proj_{name}", *own))
        lines.append(same(f"{theirs}attn.out_proj.{name}", f"output.{name}"))
    return Piece(mixer, lines)


def read(options: Options) -> Draft:
    piece = make(options, "")
    return draft([piece], options.take("channels"))


READ = {"GPSConv": read}
