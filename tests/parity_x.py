"""`Encoder`, `Decoder` and `TransformerWrapper` of x-transformers beside their imports.

Their softmax is computed in float32 in whatever dtype the model is; the cases choose fused kernels
or a plain softmax, which their options offer, so that float64 can be compared.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from parity import Audited, Case
from torch import Tensor, nn

import tokennet as tn

LAYERS: dict[str, tuple[str, Callable[[int], dict[str, Any]]]] = {
    "Encoder, padded": ("Encoder", lambda s: {"attn_flash": bool(s % 2)}),
    "Decoder, rotary, grouped queries": (
        "Decoder",
        lambda s: {
            "rotary_pos_emb": True, "rotary_emb_dim": 4 + 2 * (s % 3), "heads": 4,
            "attn_kv_heads": 1 + s % 2, "use_rmsnorm": True, "ff_glu": True, "ff_swish": True,
            "ff_no_bias": bool(s % 2),
        },
    ),
    "Encoder, post-norm, T5's bias": (
        "Encoder",
        lambda s: {
            "pre_norm": False, "rel_pos_bias": True, "rel_pos_num_buckets": 8,
            "rel_pos_max_distance": 12, "norm_add_unit_offset": bool(s % 2),
        },
    ),
    "Decoder, cross-attention": (
        "Decoder",
        lambda s: {
            "cross_attend": True, "cross_attn_dim_context": 6 + s % 3, "attn_flash": bool(s % 2),
            "ff_no_bias": True, "rotary_pos_emb": bool(s % 2),
        },
    ),
    "Decoder, sandwich norm, ALiBi, one key head": (
        "Decoder",
        lambda s: {
            "sandwich_norm": True, "use_simple_rmsnorm": True, "alibi_pos_bias": True,
            "heads": 2 + s % 2, "attn_one_kv_head": True, "ff_glu": True,
            "attn_flash": bool(s % 2),
        },
    ),
    "Encoder, T5's bias, grouped queries": (
        "Encoder",
        lambda s: {"rel_pos_bias": True, "heads": 4, "attn_kv_heads": 2, "ff_mult": 1.7},
    ),
}  # fmt: skip
WRAPPERS: dict[str, tuple[str, Callable[[int], dict[str, Any]], dict[str, Any]]] = {
    "TransformerWrapper(Decoder), tied": (
        "Decoder",
        lambda s: {"tie_embedding": True, "tie_embedding_scale": None if s % 2 else 0.5},
        {},
    ),
    "TransformerWrapper(Decoder), rotary": (
        "Decoder", lambda s: {"logits_dim": 5, "post_emb_norm": True}, {"rotary_pos_emb": True},
    ),
    "TransformerWrapper(Encoder), mean of tokens": (
        "Encoder",
        lambda s: {"emb_dim": 6, "average_pool_embed": True, "return_only_embed": bool(s % 2)},
        {"alibi_pos_bias": True},
    ),
    "TransformerWrapper(Encoder), embeddings, padded": (
        "Encoder", lambda s: {"post_emb_norm": True, "emb_dim": 7}, {"use_rmsnorm": True},
    ),
}  # fmt: skip


def make_layers(kind: str, seed: int, more: dict[str, Any]) -> Any:
    import x_transformers

    options = {
        "dim": 6 + 2 * (seed % 3), "depth": 1 + seed % 2, "heads": 2,
        "attn_dim_head": 8 + seed % 2 * 4, "ff_mult": 2, "verbose": False, **more,
    }  # fmt: skip
    if not options.get("attn_flash"):
        options["attn_custom_attn_fn"] = partial(F.softmax, dim=-1)
    return getattr(x_transformers, kind)(**options)


def _wrapped(kind: str, seed: int, own: dict[str, Any], inner: dict[str, Any]) -> nn.Module:
    from x_transformers import TransformerWrapper

    layers = make_layers(kind, seed, inner)
    return TransformerWrapper(num_tokens=11, max_seq_len=9, attn_layers=layers, **own)


def _inputs(seed: int, model: Any) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 9, (4,), generator=g)
    size = int(lengths.max())
    found = {"valid": torch.arange(size) < lengths[:, None]}
    if hasattr(model, "token_emb"):
        return found | {"x": torch.randint(0, 11, (4, size), generator=g)}
    found["x"] = torch.randn(4, size, model.dim, generator=g)
    if model.cross_attend:
        width = model.layers[1][1].to_k.in_features
        found["context"] = torch.randn(4, 6, width, generator=g)
        found["context_valid"] = torch.arange(6) < torch.randint(1, 7, (4, 1), generator=g)
    return found


def _theirs(model: Any, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    x, valid = inputs["x"], inputs["valid"]
    if hasattr(model, "token_emb"):
        y, inner = model(x, mask=valid, return_intermediates=True)
        count = len(model.attn_layers.layers) // model.attn_layers.depth
    else:
        more = {}
        if "context" in inputs:
            more = {"context": inputs["context"], "context_mask": inputs["context_valid"]}
        y, inner = model(x, mask=valid, return_hiddens=True, **more)
        count = len(model.layers) // model.depth
    states = inner.layer_hiddens[::count]
    hidden = {f"hidden {i}": t[valid] for i, t in enumerate(states)}
    return {"output": y[valid] if y.ndim == 3 else y, **hidden}


def _ours(net: "tn.TokenNet", inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    x, valid = inputs["x"], inputs["valid"]
    memory = None
    if "context" in inputs:
        memory = tn.Tokens(inputs["context"], tn.Structure.padded(inputs["context_valid"]))
    structure = tn.Structure.padded(valid, memory=memory)
    y = net(x, structure)
    blocks = sum(isinstance(m, tn.Block) for m in net.mixers)
    states = tn.inspect.hidden_states(net, x, structure)[-blocks - 1 :]
    hidden = {f"hidden {i}": t[valid] for i, t in enumerate(states)}
    return {"output": y[valid] if y.ndim == 3 else y, **hidden}


class _Called(nn.Module):
    """The import, called as the original is."""

    def __init__(self, net: "tn.TokenNet"):
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.net(x, tn.Structure.padded(mask))


class _Plain(nn.Module):
    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.module(x, mask=mask)


def _audit(theirs: Any, ours: "tn.TokenNet") -> Audited:
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], dtype=torch.bool)
    ids = hasattr(theirs, "token_emb")
    x = torch.randint(0, 11, (2, 5)) if ids else torch.randn(2, 5, theirs.dim)
    return Audited(_Plain(theirs), _Called(ours), (x, mask), {"tokens": "x", "mask": "mask"})


FEATURES = {"NaNPadding": "NaN in padding reaches real tokens, through weights of zero"}
COLUMNS = dict.fromkeys(
    ("LeftPadding", "GradientOf(LeftPadding)"), "learned positions count columns, not tokens"
)
KEPT = {"Purity": "ALiBi's table is a buffer that the first call makes"}


def _case(
    name: str, make: Callable[[int], nn.Module], audited: bool, differs: dict[str, str]
) -> Case:
    return Case(
        name, "x_transformers", make, tn.interop.from_x_transformers, _inputs, _theirs, _ours,
        _audit if audited else None, differs,
    )  # fmt: skip


CASES = {
    **{
        name: _case(
            name,
            lambda seed, kind=kind, more=more: make_layers(kind, seed, more(seed)),
            "cross" not in name,
            FEATURES | (KEPT if "ALiBi" in name else {}),
        )
        for name, (kind, more) in LAYERS.items()
    },
    **{
        name: _case(
            name,
            lambda seed, kind=kind, own=own, inner=inner: _wrapped(kind, seed, own(seed), inner),
            True,
            ({} if "rotary" in name else COLUMNS) | (KEPT if "alibi_pos_bias" in inner else {}),
        )
        for name, (kind, own, inner) in WRAPPERS.items()
    },
}
