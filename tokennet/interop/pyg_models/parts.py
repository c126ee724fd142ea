"""The parts of PyG's models that take each token by itself: maps, activations, norms, MLPs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from tokennet.checks import type_error, value_error
from tokennet.interop.options import Options
from tokennet.interop.pyg_models.activations import ACTIVATIONS, act_of, plain_name, take_act
from tokennet.interop.translation import Line, same
from tokennet.mixers import Mixer, Pointwise, Sequential, TokenWise
from tokennet.net import BatchNorm
from tokennet.net.sample_norms import GraphNorm, SampleNorm


@dataclass(frozen=True, eq=False)
class Piece:
    """A mixer; `theirs` of its lines and `kept` are full names, `ours` names within the mixer."""

    mixer: Mixer
    lines: Sequence[Line] = ()
    kept: tuple[str, ...] = ()

    def within(self, name: str) -> list[Line]:
        """The lines, where the mixer is the part `name` of another."""
        return [replace(n, ours=tuple(f"{name}.{own}" for own in n.ours)) for n in self.lines]


def listed(pieces: Sequence[Piece], name: str) -> tuple[list[Line], tuple[str, ...]]:
    """Lines and kept names of the mixers in the list `name`."""
    lines = [line for i, piece in enumerate(pieces) for line in piece.within(f"{name}.{i}")]
    return lines, tuple(name for piece in pieces for name in piece.kept)


def chained(pieces: Sequence[Piece]) -> Piece:
    """One after the other, as one."""
    if len(pieces) == 1:
        return pieces[0]
    return Piece(Sequential(*(p.mixer for p in pieces)), *listed(pieces, "mixers"))


def origin_of(module: object, where: str) -> str:
    """The name of the module's class, if it is one of torch's or PyG's own."""
    kind, package = type(module), f"{type(module).__module__}."
    if not package.startswith(("torch.nn.", "torch_geometric.nn.")):
        allowed = "a module of torch.nn or torch_geometric.nn"
        raise type_error(where, f"{kind.__name__} of {kind.__module__}", allowed)
    return kind.__name__


# -- norms ---------------------------------------------------------------------------------------

NORMS = {"batchnorm": "BatchNorm", "batch": "BatchNorm", "layernorm": "LayerNorm"}
NORMS |= {"layer": "LayerNorm", "graphnorm": "GraphNorm", "graph": "GraphNorm"}


def norm_of(norm: Any, where: str) -> tuple[str | None, dict[str, Any]]:
    """Name and options of a live norm, in the words of `norm=` and `norm_kwargs=`."""
    if norm is None or type(norm) is nn.Identity:
        return None, {}
    kind = origin_of(norm, where)
    if kind == "BatchNorm":
        inner = norm.module
        names = ("eps", "momentum", "affine", "track_running_stats")
        found = {name: getattr(inner, name) for name in names}
        return kind, {**found, "allow_single_element": norm.allow_single_element}
    if kind == "LayerNorm" and hasattr(norm, "mode"):
        return kind, {"eps": norm.eps, "affine": norm.affine, "mode": norm.mode}
    if kind == "GraphNorm":
        return kind, {"eps": norm.eps}
    allowed = ", ".join(sorted(set(NORMS.values())))
    raise value_error(where, kind, f"one of {allowed} of torch_geometric.nn")


def take_norm(options: Options, default: str | None = None) -> tuple[str | None, dict[str, Any]]:
    """The norm that `norm` and `norm_kwargs` name."""
    name, given = options.take("norm", default), options.take("norm_kwargs", None)
    if name is None:
        return None, {}
    kind = NORMS.get(plain_name(name)) if isinstance(name, str) else None
    if kind is None:
        raise options.refused("norm", name, "None, batch_norm, layer_norm or graph_norm")
    return kind, dict(given or {})


def make_norm(
    kind: str, given: Mapping[str, Any], dim: int, where: str, theirs: str, *, told: bool = True
) -> Piece:
    """A norm of PyG; the mixer is a norm of ours, or holds torch's `LayerNorm` as `map`.

    `told`: whether the original's norm is told which token is of which sample. One over whole
    samples that is not told it mixes them, so it is refused. PyG's `LayerNorm(mode="graph")` that
    is called without `batch` divides by std + eps, and with it by sqrt(var + eps), as here always.
    """
    options = Options(f"{where}.{kind}", given)
    options.ignore("device")
    eps = options.take("eps", 1e-5)
    if kind == "BatchNorm":
        options.fixed(affine=True, track_running_stats=True, allow_single_element=False)
        momentum = options.take("momentum", 0.1)
        if momentum is None:
            raise options.refused("momentum", None, "a number")
        piece = batch_norm(dim, momentum, eps, f"{theirs}module.")
    elif kind == "LayerNorm" and options.take("mode", "graph", among=("node", "graph")) == "node":
        affine = options.take("affine", True)
        norm = nn.LayerNorm(dim, eps=eps, elementwise_affine=affine)
        names = ("weight", "bias") if affine else ()
        piece = Piece(TokenWise(norm), [same(f"{theirs}{n}", f"map.{n}") for n in names])
    else:
        if not told:
            allowed = "one over each token, or over the batch"
            hint = "inside of an MLP it is not told where a graph ends, and mixes them"
            raise value_error(f"{where}.{kind}", "a norm over a graph", allowed, hint)
        options.fixed(affine=True)
        whole: Mixer = (GraphNorm if kind == "GraphNorm" else SampleNorm)(dim, eps=eps)
        own = [name for name, _ in whole.named_parameters()]
        piece = Piece(whole, [same(f"{theirs}{n}", n) for n in own])
    options.finish()
    return piece


def batch_norm(dim: int, momentum: float, eps: float, theirs: str) -> Piece:
    names = ("weight", "bias", "running_mean", "running_var")
    lines = [same(f"{theirs}{n}", n) for n in names]
    norm = BatchNorm(dim, momentum=momentum, eps=eps)
    return Piece(norm, lines, (f"{theirs}num_batches_tracked",))


# -- what a stack or the MLP of GIN holds --------------------------------------------------------


def describe_part(module: Any, where: str) -> dict[str, Any]:
    """The options of a module that takes each token by itself, with its `kind`."""
    kind = origin_of(module, where)
    if kind in ACTIVATIONS:
        name, given = act_of(module, where)
        return {"kind": name, **given}
    if kind == "Linear":
        out, wide = module.weight.shape
        bias = module.bias is not None
        return {"kind": kind, "in_channels": wide, "out_channels": out, "bias": bias}
    if kind == "BatchNorm1d":
        names = ("num_features", "eps", "momentum", "affine", "track_running_stats")
        return {"kind": kind, **{name: getattr(module, name) for name in names}}
    if kind == "LayerNorm" and not hasattr(module, "mode"):  # torch's
        size, bias = module.normalized_shape, module.bias is not None
        if len(size) > 1 or bias != module.elementwise_affine:
            allowed = "one over the last axis, with a bias where it has a weight"
            raise value_error(where, str(module), allowed)
        options = {"eps": module.eps, "affine": bias, "mode": "node"}
        return {"kind": kind, "in_channels": size[0], **options}
    if kind in WITH_SIZE:
        return {"kind": kind, "in_channels": module.in_channels, **norm_of(module, where)[1]}
    if kind == "Dropout":
        return {"kind": kind, "p": module.p}
    if kind == "Identity":
        return {"kind": kind}
    if kind == "MLP":
        return _describe_mlp(module, where)
    if kind == "Sequential" and type(module) is nn.Sequential:
        inside = [describe_part(m, f"{where}.{name}") for name, m in module.named_children()]
        if len(inside) != len(module):
            raise value_error(where, "one module twice", "each module once")
        return {"kind": kind, "modules": inside}
    raise value_error(where, kind, "one of " + ", ".join(PARTS))


def _describe_mlp(module: Any, where: str) -> dict[str, Any]:
    act, act_kwargs = act_of(module.act, f"{where}.act")
    norms = [norm_of(norm, f"{where}.norms.{i}") for i, norm in enumerate(module.norms)]
    norm, norm_kwargs = norms[0] if norms else (None, {})
    if any(other != (norm, norm_kwargs) for other in norms):
        raise value_error(f"{where}.norms", "of several kinds", "norms that are alike")
    return {
        "kind": "MLP", "channel_list": list(module.channel_list), "dropout": list(module.dropout),
        "act": act, "act_kwargs": act_kwargs, "act_first": module.act_first, "norm": norm,
        "norm_kwargs": norm_kwargs, "plain_last": module.plain_last,
        "bias": [linear.bias is not None for linear in module.lins],
    }  # fmt: skip


WITH_SIZE = ("BatchNorm", "GraphNorm", "LayerNorm")
PARTS = (*ACTIVATIONS, *WITH_SIZE, "BatchNorm1d", "Dropout", "Identity", "Linear", "MLP")
PARTS += ("Sequential",)


def make_part(given: Any, where: str, theirs: str, *, told: bool = True) -> list[Piece]:
    """The mixers of a description, one for each step; `theirs` begins their weights' names."""
    options, kind = kind_options(given, where)
    pieces = _make_part(options, kind, theirs, told)
    options.finish()
    return pieces


def kind_options(given: Any, where: str) -> tuple[Options, str]:
    """The options of a nested description without its kind."""
    options = Options(where, given)
    kind = options.take("kind")
    options.name = f"{where}.{kind}"
    return options, kind


def _make_part(options: Options, kind: str, theirs: str, told: bool) -> list[Piece]:
    if kind in ACTIVATIONS:
        make, known = ACTIVATIONS[kind]
        options.ignore("inplace")
        values = {key: options.take(key) for key in known if options.has(key)}
        return [Piece(TokenWise(make(**values)))]
    if kind == "Linear":
        sizes = options.take("in_channels"), options.take("out_channels")
        return [linear(*sizes, options.take("bias", True), theirs)]
    if kind == "BatchNorm1d":
        options.fixed(affine=True, track_running_stats=True)
        size, momentum = options.take("num_features"), options.take("momentum", 0.1)
        if momentum is None:
            raise options.refused("momentum", None, "a number")
        return [batch_norm(size, momentum, options.take("eps", 1e-5), theirs)]
    if kind in WITH_SIZE:
        size, where = options.take("in_channels"), options.name.removesuffix(f".{kind}")
        rest = {k: options.take(k) for k in options.given if k not in ("kind", "in_channels")}
        return [make_norm(kind, rest, size, where, theirs, told=told)]
    if kind == "Dropout":
        options.ignore("inplace")
        return [Piece(TokenWise(nn.Dropout(options.take("p", 0.5))))]
    if kind == "Identity":
        return [Piece(TokenWise(nn.Identity()))]
    if kind == "MLP":
        return _make_mlp(options, theirs)
    if kind == "Sequential":
        inside = list(enumerate(options.take("modules")))
        return [
            piece
            for i, m in inside
            for piece in make_part(m, f"{options.name}.{i}", f"{theirs}{i}.", told=False)
        ]
    raise value_error(f"{options.name}.kind", kind, "one of " + ", ".join(PARTS))


def linear(dim: int, out_dim: int, bias: bool, theirs: str) -> Piece:
    names = ("weight", "bias") if bias else ("weight",)
    lines = [same(f"{theirs}{n}", f"map.{n}") for n in names]
    return Piece(Pointwise(dim, out_dim=out_dim, bias=bias), lines)


def _make_mlp(options: Options, theirs: str) -> list[Piece]:
    sizes, make = options.take("channel_list"), take_act(options)
    norm, norm_kwargs = take_norm(options, "batch_norm")
    act_first, plain_last = options.take("act_first", False), options.take("plain_last", True)
    count = len(sizes) - 1
    biases, drop = options.take("bias", True), options.take("dropout", 0.0)
    biases = [biases] * count if isinstance(biases, bool) else biases
    if isinstance(drop, int | float):
        drop = [drop] * (count - 1) + [0.0 if plain_last else drop]
    pieces = []
    for i in range(count):
        pieces.append(linear(sizes[i], sizes[i + 1], biases[i], f"{theirs}lins.{i}."))
        if i < count - 1 or not plain_last:
            step = [] if make is None else [Piece(TokenWise(make()))]
            if norm is not None:
                where = f"{options.name}.norm_kwargs"
                name = f"{theirs}norms.{i}."
                made = make_norm(norm, norm_kwargs, sizes[i + 1], where, name, told=False)
                step = [*step, made] if act_first else [made, *step]
            pieces += step
        if drop[i]:
            pieces.append(Piece(TokenWise(nn.Dropout(drop[i]))))
    return pieces
