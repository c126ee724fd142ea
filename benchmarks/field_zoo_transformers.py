"""Models of transformers that build from a tiny random configuration."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import nn

Build = Callable[[], nn.Module]
LARGEST = 2_000_000  # parameters
WORDS, HIDDEN, HEADS, HEAD = 64, 32, 4, 8

# what configurations call their sizes; those that a configuration does not have are not given
SIZES: dict[int, str] = {
    WORDS: "vocab_size src_vocab_size tgt_vocab_size decoder_vocab_size max_position_embeddings "
    "n_positions n_ctx max_seq_len max_source_positions max_target_positions "
    "max_2d_position_embeddings max_encoder_position_embeddings max_decoder_position_embeddings "
    "shape_vocab_size pronunciation_vocab_size "
    "vocab_size_per_layer_input context_length index_topk embedding_dim entity_vocab_size",
    HIDDEN: "hidden_size d_model n_embd dim emb_dim embedding_size attention_hidden_size lru_width "
    "word_embed_proj_dim pooler_hidden_size true_hidden_size projection_dim image_size",
    48: "intermediate_size n_inner ffn_dim encoder_ffn_dim decoder_ffn_dim d_ff dff hidden_dim "
    "ffn_hidden_size moe_intermediate_size shared_expert_intermediate_size d_inner "
    "intermediate_size_mlp shared_intermediate_size expert_ffn_hidden_size dim_ff "
    "dense_intermediate_size moe_shared_expert_intermediate_size feed_forward_size",
    2: "num_hidden_layers n_layer n_layers num_layers encoder_layers decoder_layers "
    "num_decoder_layers num_encoder_layers num_key_value_heads num_kv_heads num_experts_per_tok "
    "num_experts_per_token moe_topk moe_k encoder_num_hidden_layers decoder_num_hidden_layers "
    "num_layers_per_stack encoder_num_key_value_heads decoder_num_key_value_heads "
    "num_query_groups linear_num_key_heads",
    HEADS: "num_attention_heads n_head n_heads num_heads encoder_attention_heads "
    "decoder_attention_heads num_encoder_attention_heads num_decoder_attention_heads "
    "attention_heads index_n_heads linear_num_value_heads linear_num_heads "
    "encoder_num_attention_heads decoder_num_attention_heads num_experts n_routed_experts "
    "num_local_experts moe_num_experts zero_expert_num",
    HEAD: "head_dim d_kv d_head dim_head qk_rope_head_dim qk_nope_head_dim v_head_dim rotary_dim "
    "attention_head_size index_head_dim linear_key_head_dim linear_value_head_dim linear_head_dim "
    "mamba_d_head mamba_d_state mamba_n_heads state_size ssm_state_size mamba_num_heads "
    "mamba_head_dim attention_head_dim time_step_rank chunk_size mamba_chunk_size patch_size",
    16: "sliding_window window_size attention_window_size kv_lora_rank q_lora_rank qk_head_dim "
    "mamba_d_ssm laurel_rank hidden_size_per_layer_input o_lora_rank router_hidden_size "
    "attention_chunk_size num_landmarks segment_means_seq_len",
    1: "n_group topk_group num_expert_group first_k_dense_replace n_shared_experts "
    "num_shared_experts n_mamba_heads num_dense_layers",
}
# where a size above does not fit the others
EXCEPTIONS: dict[str, dict[str, Any]] = {
    "mamba2": {"num_heads": 8, "n_groups": 1},
    "reformer": {"axial_pos_shape": [8, 8], "axial_pos_embds_dim": [16, 16]},
}
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}  # where the default is too high


def _default(kind: str) -> Any:
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    transformers.logging.set_verbosity_error()  # defaults warn of themselves
    return CONFIG_MAPPING[kind]()


def _tiny(kind: str, *, causal: bool) -> Any:
    """The configuration with each of its sizes replaced by a small one."""
    default = _default(kind)
    has = default.to_dict()
    given: dict[str, Any] = {}
    for size, names in SIZES.items():
        given |= {n: size for n in names.split() if isinstance(has.get(n), int)}
    for name in ("layer_types", "layers_block_type"):
        if isinstance(has.get(name), list) and not kind.startswith("gemma3n"):
            given[name] = list(dict.fromkeys(has[name])) or has[name]
            given[name] *= 2 if len(given[name]) == 1 else 1
            given["num_hidden_layers"] = len(given[name])  # one layer of each type
    if has.get("head_dim", 0) is None:
        given["head_dim"] = HEAD
    if "kv_lora_rank" in has:
        given["num_key_value_heads"] = HEADS  # keys are made from one latent for each head
    rope = has.get("rope_parameters")
    if isinstance(rope, dict) and "mrope_section" in rope:
        given["rope_parameters"] = {**rope, "mrope_section": [2, 1, 1]}  # half of HEAD
    for name, value in has.items():
        if name.endswith("_token_id") and isinstance(value, int) and value >= WORDS:
            given[name] = SPECIAL.get(name, 3)
    if causal and "is_decoder" in has:
        given["is_decoder"] = True
    return type(default)(**(given | EXCEPTIONS.get(kind, {})))


def build(kind: str, *, causal: bool) -> nn.Module:
    from transformers.models.auto import modeling_auto

    config = _tiny(kind, causal=causal)
    table = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING if causal else modeling_auto.MODEL_MAPPING
    found = table[type(config)]
    model = found[0] if isinstance(found, tuple) else found
    with torch.device("meta"):
        size = sum(p.numel() for p in model(config).parameters())
    if size > LARGEST:
        raise ValueError(f"{size} parameters: a size that SIZES does not name")
    return model(config)


def left_out() -> dict[str, str]:
    """Kinds of model that are not built, and why."""
    from transformers.models.auto import modeling_auto

    reasons = {}
    for kind in modeling_auto.MODEL_MAPPING_NAMES:
        try:
            config = _default(kind)
        except Exception as error:  # a default that its own checks refuse
            reasons[kind] = f"no default configuration: {type(error).__name__}"
            continue
        inner = [name for name in vars(config) if name.endswith("_config")]
        if any(hasattr(getattr(config, name), "to_dict") for name in inner):
            reasons[kind] = "made of several models"
        elif not hasattr(config, "vocab_size") and not hasattr(config, "image_size"):
            reasons[kind] = "reads neither words nor images of one size"
    return reasons


def transformers_modules() -> Iterator[tuple[str, Build]]:
    """Causal language models, then encoders, encoder-decoders and image encoders."""
    from transformers.models.auto import modeling_auto

    without = left_out()
    for kind in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        if kind not in without:
            yield f"{kind}, causal", partial(build, kind, causal=True)
    for kind in modeling_auto.MODEL_MAPPING_NAMES:
        if kind not in without:
            yield kind, partial(build, kind, causal=False)
