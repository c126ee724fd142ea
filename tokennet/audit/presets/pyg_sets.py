"""Aggregations, norms, poolings, attention and dense operators of PyG."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tokennet.audit.adapter import Adapter, Preset
from tokennet.audit.presets.known import (
    SAMPLES,
    TOKENS,
    arguments,
    domain,
    features,
    known_as,
    masked_domain,
    number,
    promised,
    sample_of_each,
    zeros,
)
from tokennet.audit.presets.pyg_facts import ANY_WIDTH, PACKAGE, first_layer, has_order
from tokennet.audit.presets.pyg_graphs import Call

TOTAL = SAMPLES * TOKENS


def _width(module: Any) -> int:
    """Channels that the first part with a size reads; parts without one take any."""
    if known_as(module, PACKAGE) == "EquilibriumAggregation":
        return int(first_layer(module) or 0) - int(module.output_dim)  # reads its answer too
    for part in module.modules():
        found = number(part, "in_channels", "channels", "in_features", "num_features", "input_dim")
        if known_as(part, PACKAGE) in ("SoftmaxAggregation", "PowerMeanAggregation"):
            found = found if found != 1 else None  # one number for all channels
        if found is not None:
            return found
    return ANY_WIDTH


def _aggregation(module: Any) -> Preset:
    example = {
        "x": features(module, TOTAL, _width(module)),
        "index": sample_of_each(module),
        "dim_size": SAMPLES,
    }
    adapter = Adapter(tokens="x", layout="nd", batch="index", batch_kind="vector", count="dim_size")
    kept = () if has_order(module) else ("Permutation",)
    limits: dict[str, Any] = {"empty_samples": True}
    most = [n for m in module.modules() if (n := number(m, "max_num_elements")) is not None]
    if most:
        limits["num_tokens"] = (1, min(most))
    names = promised(module, "BatchIndependence", *kept)
    return Preset(example, adapter, names, domain(module, **limits))


def _norm(module: Any) -> Preset:
    accepted = arguments(module)
    call = Call(module, _width(module))
    call.example["x"] = features(module, TOTAL, call.width)
    call.roles |= {"tokens": "x", "layout": "nd"}
    if "msg" in accepted:
        call.add_beside("msg", call.width)
    call.add_batch(accepted)
    together = ("BatchIndependence",) if "batch" in call.roles else ()
    return call.preset("Permutation", *together)


def _sum_by_sample(place: int) -> Callable[[Any], Tensor]:
    """A sum over the tokens that are left: their order and number are the operator's choice."""

    def read(result: Any) -> Tensor:
        tokens, batch = result[0], result[place]
        sums = torch.zeros(int(batch.max()) + 1, tokens.shape[1], dtype=tokens.dtype)
        return sums.to(tokens.device).index_add(0, batch, tokens)

    return read


def _selection(place: int) -> Callable[[Any], Preset]:
    def make(module: Any) -> Preset:
        accepted = arguments(module)
        call = Call(module, _width(module))
        call.add_graph()
        # ASAPooling adds loops, of which only the last one's weight is kept: no weights
        call.add_batch(accepted)
        return call.preset(output=_sum_by_sample(place))  # see `selects`

    return make


def _memory(module: Any) -> Preset:
    call = Call(module, _width(module))
    call.example["x"] = features(module, TOTAL, call.width)
    call.roles |= {"tokens": "x", "layout": "nd"}
    call.add_batch(arguments(module))
    return call.preset("Permutation", "BatchIndependence", output=0)


def _masked_set(module: Any) -> Preset:
    accepted = arguments(module)
    example = {"x": features(module, SAMPLES, TOKENS, _width(module))}
    roles: dict[str, Any] = {"tokens": "x", "layout": "bnd"}
    kept = ["Permutation", "BatchIndependence"]
    if "mask" in accepted:
        example["mask"] = ~zeros(module, SAMPLES, TOKENS)
        roles |= {"mask": "mask", "mask_kind": "keep"}
        kept += ["Padding", "LeftPadding"]
    return Preset(example, Adapter(**roles), promised(module, *kept), masked_domain(module))


def _dense(module: Any) -> Preset:
    links = torch.zeros(SAMPLES, TOKENS, TOKENS)
    links[:, range(TOKENS - 1), range(1, TOKENS)] = 1.0
    links = links + links.mT  # dense poolings are written for undirected graphs
    x = features(module, SAMPLES, TOKENS, _width(module))
    example = {"x": x, "adj": links.to(x), "mask": ~zeros(module, SAMPLES, TOKENS)}
    pools = known_as(module, PACKAGE) == "DMoNPooling"
    adapter = Adapter(
        tokens="x",
        layout="bnd",
        edges="adj",
        mask="mask",
        mask_kind="keep",
        output=1 if pools else None,
    )
    kept = ["Permutation", "BatchIndependence", "Padding", "LeftPadding"]
    if not pools:
        kept.append("Locality(hops=1)")
    return Preset(example, adapter, promised(module, *kept), masked_domain(module))


KINDS: dict[str, Callable[[Any], Preset]] = {
    "BatchNorm": _norm,
    "InstanceNorm": _norm,
    "LayerNorm": _norm,
    "GraphNorm": _norm,
    "GraphSizeNorm": _norm,
    "PairNorm": _norm,
    "MeanSubtractionNorm": _norm,
    "MessageNorm": _norm,
    "DiffGroupNorm": _norm,
    "MLP": _norm,
    "TopKPooling": _selection(3),
    "SAGPooling": _selection(3),
    "ASAPooling": _selection(3),
    "EdgePooling": _selection(2),
    "ClusterPooling": _selection(2),
    "MemPooling": _memory,
    "PerformerAttention": _masked_set,
    "SGFormerAttention": _masked_set,
    "PolynormerAttention": _masked_set,
    "QFormer": _masked_set,
    "DenseGCNConv": _dense,
    "DenseGINConv": _dense,
    "DenseGraphConv": _dense,
    "DenseSAGEConv": _dense,
    "DenseGATConv": _dense,
    "DMoNPooling": _dense,
}
# why others have no preset
WITHOUT_PRESET: dict[str, str] = {
    "PANPooling": "takes a sparse matrix",
    "HeteroBatchNorm": "takes the type of each token, numbers of a small range",
    "HeteroLayerNorm": "takes the type of each token, numbers of a small range",
    "ARLinkPredictor": "answers for each edge",
    "JumpingKnowledge": "takes a list of outputs",
    "MetaLayer": "made of the user's functions",
}


def recognise(module: nn.Module) -> Preset | None:
    """The preset of an operator on sets."""
    name = known_as(module, PACKAGE)
    if name is None:
        return None
    if known_as(module, PACKAGE + ".aggr") is not None and name != "Aggregation":
        return _aggregation(module)
    return KINDS[name](module) if name in KINDS else None
