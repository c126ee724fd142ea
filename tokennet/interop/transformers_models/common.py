"""What the configurations and state dicts of all of transformers' models have in common."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from tokennet.interop.options import Options
from tokennet.interop.translation import Line, constant, module
from tokennet.mixers.activations import QuickGELU

NO_OUTPUT = (
    # what the file is, and how it was stored
    "_name_or_path", "_commit_hash", "architectures", "auto_map", "model_type", "name_or_path",
    "transformers_version", "transformers.js_config", "dtype", "torch_dtype", "tokenizer_class",
    # what is returned, and by which kernel it is computed
    "output_hidden_states", "output_attentions", "output_past", "return_dict", "use_return_dict",
    "return_dict_in_generate", "output_scores", "torchscript", "use_cache",
    "tie_last_hidden_states", "chunk_size_feed_forward", "_attn_implementation",
    "_attn_implementation_autoset", "_attn_implementation_internal", "attn_implementation",
    "use_bfloat16",
    # labels and losses
    "problem_type", "task_specific_params", "finetuning_task", "tf_legacy_loss",
    # training
    "initializer_range", "initializer_factor", "gradient_checkpointing",
    # ids with a meaning to the tokenizer, and how text is generated
    "bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "mask_token_id",
    "decoder_start_token_id", "forced_bos_token_id", "forced_eos_token_id", "prefix", "max_length",
    "min_length", "do_sample", "early_stopping", "num_beams", "num_beam_groups",
    "diversity_penalty", "temperature", "top_k", "top_p", "typical_p", "repetition_penalty",
    "length_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "bad_words_ids",
    "num_return_sequences", "remove_invalid_values", "exponential_decay_length_penalty",
    "suppress_tokens", "begin_suppress_tokens", "max_new_tokens",
)  # fmt: skip
"""Options that change no output of a net, whatever their value; also those of older versions.

`id2label`, `label2id` and `num_labels` are not among them: `num_labels` below reads them.
"""

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "gelu": nn.GELU,
    "gelu_python": nn.GELU,
    "gelu_new": partial(nn.GELU, approximate="tanh"),
    "gelu_fast": partial(nn.GELU, approximate="tanh"),
    "gelu_pytorch_tanh": partial(nn.GELU, approximate="tanh"),
    "linear": nn.Identity,
    "mish": nn.Mish,
    "quick_gelu": QuickGELU,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "swish": nn.SiLU,
    "tanh": nn.Tanh,
}
"""The functions of their names, as makers of modules."""

OLD_NORMS = ((r"LayerNorm\.gamma$", "LayerNorm.weight"), (r"LayerNorm\.beta$", "LayerNorm.bias"))
"""Names of files that were written by TensorFlow, for `Draft.older`."""


def plain(options: Options, *, encoder_decoder: bool = False) -> None:
    """Reads what every configuration has: what changes no output, and what would."""
    options.ignore(*NO_OUTPUT)
    options.fixed(is_encoder_decoder=encoder_decoder, cross_attention_hidden_size=None)
    for key in ("quantization_config", "per_layer_config", "pruned_heads"):
        if options.take(key, None):  # None and {} say that there is none
            raise options.refused(key, options.given[key], "none")


def no_decoder(options: Options) -> None:
    """Reads the options by which an encoder would look back only, or at another one's tokens."""
    options.fixed(is_decoder=False, add_cross_attention=False)


def activation(options: Options, key: str, default: str) -> Callable[[], nn.Module]:
    """The maker of the activation that an option names."""
    return ACTIVATIONS[options.take(key, default, among=ACTIVATIONS)]


def num_labels(options: Options) -> int:
    """How many scores a classifier gives: as many as `id2label` names; two where nothing tells."""
    options.ignore("label2id", "_num_labels")
    names, given = options.take("id2label", None), options.take("num_labels", 2)
    if names is None:
        return options.whole("num_labels", given)
    if not isinstance(names, dict):
        raise options.refused("id2label", names, "a dict: a name for each number")
    return len(names)


def no_labels(options: Options) -> None:
    """Reads the labels of a model that has no classifier."""
    options.ignore("id2label", "label2id", "num_labels", "_num_labels")


def norm_of(eps: Any) -> Callable[[int], nn.Module]:
    """A maker of layer norms."""
    return partial(nn.LayerNorm, eps=float(eps))


def position_ids(theirs: str, count: int) -> Line:
    """A buffer of the places 0, 1, ... that older files hold."""
    return constant(theirs, torch.arange(count)[None])


def attention_lines(
    theirs: Sequence[str], ours: str, *, bias: Sequence[bool] = (True, True, True, True)
) -> list[Line]:
    """Four linear maps of theirs, in the order query, key, value, output, and ours of `Attention`.

    `attention_lines([f"layers.{i}.self_attn.{n}_proj" for n in "qkvo"], "mixers.1.mixers.0.mixer")`
    """
    maps = zip(theirs, ("query", "key", "value", "output"), bias, strict=True)
    return [
        line
        for name, own, has in maps
        for line in module(name, f"{ours}.{own}", *(("weight", "bias") if has else ("weight",)))
    ]


def mlp_lines(first: str, second: str, ours: str) -> list[Line]:
    """Two linear maps of theirs, and those of our `Pointwise` with a hidden layer."""
    return module(first, f"{ours}.map.0") + module(second, f"{ours}.map.3")
