"""`tn.interop.from_*`: published models as ordinary nets, with their weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from tokennet.checks import value_error
from tokennet.interop.bring import bring
from tokennet.interop.draft import find_reader, package_of
from tokennet.interop.live import shared_names
from tokennet.interop.source import architecture, read_config, read_state
from tokennet.net import TokenNet

Source = nn.Module | Mapping[str, Tensor] | str | Path


def from_torch(
    source: Source,
    config: Mapping[str, Any] | None = None,
    *,
    causal: bool = False,
    memory: bool = False,
) -> TokenNet:
    """`nn.TransformerEncoder`, `Decoder`, `Transformer`, `MultiheadAttention`, `LSTM`, `GRU`.

    Inputs are features `[B, N, dim]`, with a `Structure` for padding and memory; of `Transformer`
    `(source, target)`.

    Args:
        source: a live module, a state dict or a file with one.
        config: options where the source is no module: `{"kind": "LSTM", "num_layers": 2, ...}`,
            as `net.origin.config` has them.
        causal: attention among tokens looks back only, as with `is_causal=True` at the call; the
            mask is no part of torch's modules.
        memory: keys and values of `MultiheadAttention` are those of `structure.memory`; so they are
            anyway where it has a `kdim` of its own.
    """
    given = {"causal": causal, "memory": memory}
    return _bring("torch", source, config, {name: True for name, on in given.items() if on})


def from_pyg(source: Source, config: Mapping[str, Any] | None = None) -> TokenNet:
    """`GCN`, `GAT`, `GraphSAGE`, `GIN`, `PNA`, `GPSConv`, convolutions, and stacks of them.

    Inputs are features `[T, in_channels]` with a structure that has edges: `net(*Tokens.from_pyg(
    data))`. `source` and `config` as in `from_torch`; a list of convolutions and activations is a
    stack.

    Norms over a graph are PyG's that are told `batch`: its `LayerNorm(mode="graph")` without it
    divides by std + eps instead of sqrt(var + eps), some 1e-5 apart.
    """
    if isinstance(source, list | tuple):
        from tokennet.interop.pyg_models.convolutions import Stack

        source = Stack(*source)
    return _bring("pyg", source, config)


def from_transformers(
    source: Source,
    config: Mapping[str, Any] | str | Path | None = None,
    *,
    kind: str | None = None,
) -> TokenNet:
    """BERT, DistilBERT, RoBERTa, GPT-2, Llama-style, T5, ViT, DETR's transformer, CLIP's towers.

    Args:
        source: a live model, or what was downloaded: the folder with config.json and
            model.safetensors (one file or several), a file of weights, a state dict.
        config: a dict or a file, where config.json is not beside the weights.
        kind: the tower that is read of a file with both of CLIP's, such as openai's, which names
            `CLIPModel`: "CLIPTextModelWithProjection", "CLIPVisionModel", ...
    """
    if kind is None:
        return _bring("transformers", source, config)
    if isinstance(source, nn.Module):
        hint = "take model.text_model, or load that class"
        raise value_error("kind", repr(kind), "None for a live module", hint)
    find_reader("transformers", kind)
    tower = package_of("transformers").tower
    options, state = tower(kind, read_config(source, config), read_state(source))
    return bring("transformers", kind, options, state).eval()


def from_timm(source: Source, config: Mapping[str, Any] | None = None) -> TokenNet:
    """ViT, DeiT, MLP-Mixer, gMLP, ConvMixer, PoolFormer: images `[B, 3, H, W]` to class scores.

    `source` and `config` as in `from_torch`, or a downloaded folder: timm's config.json names an
    architecture, `{"architecture": "vit_small_patch16_224", "num_classes": 1000}`.
    """
    return _bring("timm", source, config)


def from_x_transformers(source: Source, config: Mapping[str, Any] | None = None) -> TokenNet:
    """`Encoder`, `Decoder` and `TransformerWrapper` of x-transformers, with plain options.

    `source` and `config` as in `from_torch`.
    """
    return _bring("x_transformers", source, config)


def _bring(
    library: str, source: Any, config: Any, more: Mapping[str, Any] | None = None
) -> TokenNet:
    if isinstance(source, nn.Module):
        if config is not None:
            raise value_error("config", "given", "None", "a live module tells its options")
        kind, options = package_of(library).describe(source)
        frozen = {n for n, p in source.named_parameters() if not p.requires_grad}
        options = {**options, **(more or {})}
        shared = shared_names(source)
        net = bring(library, kind, options, source.state_dict(), frozen, shared)
        return net.train(source.training)
    options = {**read_config(source, config), **(more or {})}
    if library == "transformers":
        kind = architecture(options)
    else:
        options = getattr(package_of(library), "spelled_out", dict)(options)
        kind = options.pop("kind", None)
    if not isinstance(kind, str):
        raise value_error("config.kind", repr(kind)[:60], "the name of the model's class")
    return bring(library, kind, options, read_state(source)).eval()
