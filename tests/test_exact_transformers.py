"""With the same weights, our parts of attention are those of transformers.

Axes: B samples, N tokens, H heads, G heads of keys and values, D channels of a head.
"""

import importlib

import pytest
import torch
from exactness import DTYPES, TOLERANCE, assert_exact
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import tokennet as tn

pytest.importorskip("transformers", reason="transformers is not installed")

each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
draws = settings(max_examples=6, deadline=None)
seeds, sizes = st.integers(0, 10_000), st.integers(1, 9)
T5 = {"q": "query", "k": "key", "v": "value", "o": "output"}


def _models(name: str):
    return importlib.import_module(f"transformers.models.{name}.modeling_{name}")


@pytest.mark.parametrize("causal", [False, True], ids=["encoder", "decoder"])
@each_dtype
@draws
@given(seeds, sizes, st.integers(1, 3))
def test_attention_is_t5s(causal, dtype, seed, tokens, num_heads):
    """No scaling, no biases of maps, the bucketed relative bias: outputs and every gradient."""
    from transformers import T5Config

    torch.manual_seed(seed)
    config = T5Config(
        d_model=6, d_kv=4, num_heads=num_heads, dropout_rate=0.0, is_decoder=causal,
        relative_attention_num_buckets=8, relative_attention_max_distance=12,
    )  # fmt: skip
    theirs = _models("t5").T5Attention(config, has_relative_attention_bias=True, layer_idx=0)
    bias = tn.RelativeBias(num_heads, num_buckets=8, max_distance=12, causal=causal)
    ours = tn.Attention(
        6,
        tn.Heads(num_heads, head_dim=4, bias=False),
        tn.Causal() if causal else tn.Full(),
        score=tn.DotScore(power=0) + bias,
    )
    names = {f"{own}.weight": f"{other}.weight" for other, own in T5.items()}
    names |= {"score.biases.0.table": "relative_attention_bias.weight"}
    x = torch.randn(2, tokens, 6, dtype=dtype)
    mask = torch.zeros(1, 1, tokens, tokens, dtype=dtype)
    if causal:
        mask = mask.masked_fill(~torch.ones(tokens, tokens).tril().bool(), -1e30)

    def run_theirs(x: Tensor) -> Tensor:
        return theirs(x, mask=mask)[0]

    assert_exact(
        ours, theirs, names, lambda x: ours(x, tn.Structure.dense(2, tokens)), run_theirs, [x]
    )


def test_buckets_are_t5s_at_every_offset():
    find = _models("t5").T5Attention._relative_position_bucket
    offset = torch.arange(-3000, 3001)
    for causal in (False, True):
        for buckets, most in ((32, 128), (8, 20), (16, 1000)):
            ours = tn.RelativeBias(1, num_buckets=buckets, max_distance=most, causal=causal)
            theirs = find(offset, not causal, buckets, most)
            assert torch.equal(ours.bucket(offset), theirs)
            assert len(theirs.unique()) > buckets // 2


@each_dtype
def test_rotary_is_llamas(dtype):
    """Llama keeps its angles in float32; on exactly such angles both turn alike."""
    llama = _models("llama")
    q, k = torch.randn(2, 11, 3, 8, dtype=dtype), torch.randn(2, 11, 3, 8, dtype=dtype)
    place, rotary = torch.arange(11)[None], tn.Rotary(8)
    step = torch.arange(4, dtype=torch.float64) / 4
    angle = place.double()[..., None] * 10_000.0**-step
    cos, sin = (torch.cat([f(angle)] * 2, -1).to(dtype) for f in (torch.cos, torch.sin))
    theirs = llama.apply_rotary_pos_emb(q.transpose(1, 2), k.transpose(1, 2), cos, sin)
    for x, y in zip((q, k), theirs, strict=True):
        assert (rotary.turn(x, place) - y.transpose(1, 2)).abs().max() <= TOLERANCE[dtype]
        assert (y.transpose(1, 2) - x).abs().max() > 0.1


@draws
@given(seeds, sizes, st.sampled_from([(2, 2), (4, 2), (4, 1)]))
def test_attention_is_llamas(seed, tokens, heads):
    """Rotary codes, grouped queries, no biases of maps, causal: outputs and every gradient.

    In float32 only: Llama computes its angles in float32 whatever the weights are.
    """
    from transformers import LlamaConfig

    torch.manual_seed(seed)
    llama = _models("llama")
    config = LlamaConfig(
        hidden_size=16, num_attention_heads=heads[0], num_key_value_heads=heads[1], head_dim=8,
        attention_dropout=0.0, attn_implementation="eager",
    )  # fmt: skip
    theirs, codes = llama.LlamaAttention(config, 0), llama.LlamaRotaryEmbedding(config)
    ours = tn.Attention(
        16,
        tn.Heads(heads[0], head_dim=8, kv_heads=heads[1], bias=False),
        tn.Causal(),
        score=tn.DotScore(tn.Rotary(8)),
    )
    names = {f"{own}.weight": f"{other}_proj.weight" for other, own in T5.items()}
    mask = torch.zeros(1, 1, tokens, tokens)
    mask = mask.masked_fill(~torch.ones(tokens, tokens).tril().bool(), -1e30)

    def run_theirs(x: Tensor) -> Tensor:
        cos_sin = codes(x, torch.arange(tokens)[None])
        return theirs(x, position_embeddings=cos_sin, attention_mask=mask)[0]

    def run_ours(x: Tensor) -> Tensor:
        return ours(x, tn.Structure.dense(2, tokens))

    assert_exact(ours, theirs, names, run_ours, run_theirs, [torch.randn(2, tokens, 16)])


@draws
@given(seeds, sizes, st.integers(1, 9))
def test_alibi_slopes_are_blooms(seed, tokens, num_heads):
    """Bloom adds slope * position of the key: the same up to a number for each row."""
    build = _models("bloom").build_alibi_tensor
    theirs = build(torch.ones(1, tokens), num_heads, torch.float32).view(num_heads, 1, tokens)
    structure = tn.Structure.dense(1, tokens)
    ours = tn.AlibiBias(num_heads)(tn.mixers.Place(structure, tn.Causal().pairs(structure)))[0]
    lower = torch.ones(tokens, tokens).tril().bool()
    difference = (ours - theirs).masked_fill(~lower, 0)
    first = difference[..., :1] * lower
    assert (difference - first).abs().max() < 1e-5
