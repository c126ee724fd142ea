"""What a module was made from: the arguments of its constructor, read off its attributes."""

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

import tokennet.mixers as mixers
import tokennet.net as net
from tokennet.checks import value_error
from tokennet.mixers.gin import _Isomorphism
from tokennet.mixers.graph_attention import _AdditiveAttention
from tokennet.net.readouts import _Readout
from tokennet.net.residual import _Residual

START_ONLY = {"device", "dtype", "generator"}
"""Arguments that say where or how the weights begin, which are stored themselves."""


class Made:
    """Stands for a maker of modules: gives these, in turn, whatever it is called with."""

    def __init__(self, *modules: nn.Module):
        self.modules = modules
        self._next = 0

    def __call__(self, *_: Any, **__: Any) -> nn.Module:
        self._next += 1
        return self.modules[(self._next - 1) % len(self.modules)]


def arguments_of(module: Any, where: str) -> dict[str, Any]:
    """Values for the constructor; modules, topologies and the like as they are."""
    special: dict[str, Any] = {}
    for kind, read in reversed(SPECIAL.items()):
        if isinstance(module, kind):
            special |= read(module)
    found = {}
    for name, argument in parameters_of(type(module)).items():
        if name in special:
            found[name] = special[name]
        elif name not in START_ONLY and not name.startswith("_"):
            if not hasattr(module, name):
                raise value_error(
                    f"{where} ({type(module).__name__})", f"without an attribute {name!r}",
                    "every argument of the constructor as an attribute of the same name",
                    f"write self.{name} = {name} in its __init__",
                )  # fmt: skip
            found[name] = argument_of(getattr(module, name), argument)
    return {name: value for name, value in found.items() if value is not _LEFT_OUT}


def parameters_of(kind: type) -> Mapping[str, inspect.Parameter]:
    """The arguments of a class, but for `self` and `**kwargs`."""
    make: Any = vars(next(c for c in kind.__mro__ if "__init__" in vars(c)))["__init__"]
    if make in (nn.Module.__init__, object.__init__):
        return {}
    known = list(inspect.signature(make).parameters.items())[1:]
    return {name: p for name, p in known if p.kind is not p.VAR_KEYWORD}


def argument_of(value: Any, argument: inspect.Parameter) -> Any:
    """An attribute as the argument that it was made from."""
    if argument.kind is argument.VAR_POSITIONAL or isinstance(value, nn.ModuleList):
        return list(value)
    if argument.annotation is bool or isinstance(argument.default, bool):
        return value if isinstance(value, bool) else value is not None  # a bias that is there
    if isinstance(value, nn.Dropout) and isinstance(argument.default, float):
        return value.p
    if isinstance(value, nn.Module) and _is_maker(argument.annotation):
        return Made(value)
    return value


def _is_maker(annotation: Any) -> bool:
    if typing.get_origin(annotation) is Callable:
        return True
    return any(_is_maker(a) for a in typing.get_args(annotation))


_LEFT_OUT = object()  # the default does, as the weights say the rest


def _residual(m: Any) -> dict[str, Any]:
    second = [m.second_norm] if m.norms == 2 else []
    return {
        "norm": Made(m.norm, *second),
        "layer_scale": None if m.scale is None else 1.0,
        "drop_path": 0.0 if m.drop_path is None else m.drop_path.dropout.p,
    }


def _pointwise(m: Any) -> dict[str, Any]:
    if isinstance(m.map, nn.Sequential) and len(m.map) == 4:
        first, activation, dropout, _ = m.map
        return {
            "hidden_dim": first.out_features, "activation": Made(activation),
            "dropout": dropout.p, "bias": first.bias is not None,
        }  # fmt: skip
    bias = getattr(m.map, "bias", None) is not None
    return dict.fromkeys(("activation", "dropout"), _LEFT_OUT) | {"hidden_dim": None, "bias": bias}


def _gin(m: Any) -> dict[str, Any]:
    learned = isinstance(m.eps, Tensor)
    return {"learn_eps": learned, "eps": 0.0 if learned else m.eps}


def _block(m: Any) -> dict[str, Any]:
    *first, last = m.mixers
    rest = dict.fromkeys(("residual", "dropout"), _LEFT_OUT)
    return {"dim": m.dim or 1, "mixers": first, "mlp": last} | rest


def _sequential(m: Any) -> dict[str, Any]:
    names = list(m._modules)
    numbered = names == [str(i) for i in range(len(names))]
    return {"args": list(m.children()) if numbered else [dict(m._modules)]}


def _features(m: Any) -> dict[str, Any]:
    return {
        "dim": None if isinstance(m.map, nn.Identity) else m.dim,
        "bias": getattr(m.map, "bias", None) is not None or isinstance(m.map, nn.Identity),
    }


def _blurred(m: Any) -> dict[str, Any]:
    p = m.patches
    own = {"channels": p.channels, "patch": p.patch, "stride": p.stride}
    return own | {"blur": m.kernel.numel()}


def _laplacian(m: Any) -> dict[str, Any]:
    first, _, last = m.frequencies
    return {"hidden_dim": first.out_features, "num_frequencies": last.out_features}


SPECIAL: dict[type, Callable[[Any], dict[str, Any]]] = {
    mixers.Attention: lambda m: {"num_heads": m.heads},
    mixers.Convolution: lambda m: {"grid_axes": 2 if m.line else m.axes},
    mixers.CosineScore: lambda _: {"scale": _LEFT_OUT},
    mixers.GatedMLP: lambda m: {
        "hidden_dim": m.gate.out_features,
        "bias": m.gate.bias is not None,
    },
    _Isomorphism: _gin,
    _AdditiveAttention: lambda m: {"self_loops": m.topology.self_loops},
    mixers.GraphConvolution: lambda m: {"self_loops": m.topology.self_loops},
    mixers.Latents: lambda m: {"num_latents": len(m.latents)},
    # with an output map that was given, the width is not known
    mixers.LatentState: lambda m: {"output": m.output if m.out_dim is None else None},
    mixers.LinearAttention: lambda m: {"num_heads": m.heads},
    mixers.LocationScore: lambda m: {"num_tokens": m.max_tokens},
    mixers.LowRankAttention: lambda m: {"bias": m.query.bias is not None},
    mixers.MixtureOfExperts: lambda m: {
        "num_experts": len(m.experts),
        "expert": Made(*m.experts),
    },
    # one edge into one token: what was counted is a buffer
    mixers.PNAConvolution: lambda _: {"degrees": torch.ones(1, dtype=torch.int64, device="cpu")},
    mixers.Pointwise: _pointwise,
    mixers.QueryKeyNorm: lambda m: {"norm": Made(m.query, m.key)},
    mixers.SAGEConvolution: lambda m: {"bias": m.heard.bias is not None},
    mixers.TokenGating: lambda m: {"hidden_dim": m.expand.out_features},
    mixers.TokenMLP: lambda m: {"hidden_tokens": m.expand.out_features},
    mixers.TokenWise: lambda m: {"modules": [m.map]},
    net.AttentionReadout: lambda m: {"num_seeds": len(m.learned)},
    net.Block: _block,
    net.BlurredPatchTokenizer: _blurred,
    net.CoordinatePosition: lambda m: {"grid_axes": m.axes},
    net.FeatureTokenizer: _features,
    net.GridSinusoidalPosition: lambda m: {"grid_axes": m.axes},
    net.LaplacianPosition: _laplacian,
    net.LearnedPosition: lambda m: {"num_tokens": m.max_tokens},
    net.OneHotTokenizer: lambda m: {"num_embeddings": m.dim},
    _Readout: lambda m: {"norm": Made(m.norm)},
    _Residual: _residual,
    net.SetReadout: lambda m: {"num_queries": len(m.learned)},
    net.VirtualToken: lambda m: {"tokenizer": m.first.tokenizer},
    nn.Identity: lambda _: {"args": []},
    nn.ModuleDict: lambda m: {"modules": dict(m._modules)},
    nn.ModuleList: lambda m: {"modules": list(m)},
    nn.PReLU: lambda _: {"init": _LEFT_OUT},
    nn.Sequential: _sequential,
}
"""What attributes of other names tell."""
