"""`nn.MultiheadAttention`: the output, without the weights that it gives beside it."""

from collections.abc import Sequence
from typing import Any

from torch import nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from tokennet.checks import value_error
from tokennet.interop.draft import Draft
from tokennet.interop.live import exact
from tokennet.interop.options import Options
from tokennet.interop.translation import Line, joined, same
from tokennet.mixers import Attention, Heads, TokenWise
from tokennet.net import FeatureTokenizer, TokenNet
from tokennet.topology import Causal, Full, Memory, Topology

MAPS = ("query", "key", "value")


def describe(module: Any) -> dict[str, Any]:
    """The options of a live module."""
    exact(module.out_proj, NonDynamicallyQuantizableLinear, "out_proj")
    check_untied(module)
    biases = {"in_proj": module.in_proj_bias is not None, "out_proj": module.out_proj.bias}
    biases["out_proj"] = biases["out_proj"] is not None
    if biases["in_proj"] != biases["out_proj"]:
        allowed = f"{biases['in_proj']} as of in_proj"
        raise value_error("MultiheadAttention.out_proj.bias", biases["out_proj"], allowed)
    found = {n: getattr(module, n) for n in ("embed_dim", "num_heads", "dropout")}
    return {
        **found,
        "bias": biases["in_proj"],
        "add_bias_kv": module.bias_k is not None or module.bias_v is not None,
        **{n: getattr(module, n) for n in ("add_zero_attn", "kdim", "vdim", "batch_first")},
    }


def read(options: Options) -> Draft:
    """Self-attention; with `memory`, or a `kdim` of its own, attention to `structure.memory`."""
    dim, heads = options.take_int("embed_dim"), options.take_int("num_heads")
    bias = options.take("bias", True, among=(True, False))
    source = options.take_int("kdim", None) or dim
    vdim = options.take_int("vdim", None) or dim
    if vdim != source:
        raise options.refused("vdim", vdim, f"{source}, the kdim: a memory token is one vector")
    options.fixed(add_bias_kv=False, add_zero_attn=False)
    options.ignore("batch_first")  # how inputs lie, which the structure tells here
    memory = options.take("memory", source != dim, among=(True, False))
    causal = options.take("causal", False, among=(True, False))
    if not memory and source != dim:
        raise options.refused("memory", False, f"True with a kdim ({source}) of its own")
    if memory and causal:
        raise options.refused("causal", True, "False with memory, whose tokens have no order here")
    topology: Topology = Memory() if memory else Causal() if causal else Full()
    mixer = Attention(
        dim, Heads(heads, bias=bias), topology, memory_dim=source,
        dropout=options.take_rate("dropout", 0.0),
    )  # fmt: skip
    net = TokenNet(FeatureTokenizer(dim), [mixer], TokenWise(nn.Identity()))
    return Draft(net, attention_lines("", "mixers.0.", bias=bias, split=source != dim))


def attention_lines(theirs: str, ours: str, *, bias: bool, split: bool = False) -> Sequence[Line]:
    """The weights of `nn.MultiheadAttention` in those of `Attention`; `split`: one matrix each."""
    maps = [f"{ours}{name}" for name in MAPS]
    lines = [joined(f"{theirs}in_proj_weight", *(f"{m}.weight" for m in maps))]
    if split:
        pairs = zip("qkv", maps, strict=True)
        lines = [same(f"{theirs}{p}_proj_weight", f"{m}.weight") for p, m in pairs]
    lines.append(same(f"{theirs}out_proj.weight", f"{ours}output.weight"))
    if bias:
        lines.append(joined(f"{theirs}in_proj_bias", *(f"{m}.bias" for m in maps)))
        lines.append(same(f"{theirs}out_proj.bias", f"{ours}output.bias"))
    return lines


def check_untied(module: nn.Module) -> None:
    """Raises where two weights are one: the import would have two."""
    seen: dict[int, str] = {}
    for name, p in module.named_parameters(remove_duplicate=False):
        first = seen.setdefault(id(p), name)
        if first != name:
            raise value_error(
                name, f"tied to {first}", "weights of its own",
                "a copy.deepcopy of the layer unties it",
            )  # fmt: skip


READ = {"MultiheadAttention": read}
