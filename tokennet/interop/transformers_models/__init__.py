"""Models of Hugging Face's transformers, from their config.json."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tokennet.checks import kind_of, value_error
from tokennet.interop.live import check_parts, live_class

_FILES = {
    "bert": ("BertModel", "BertForMaskedLM", "BertForSequenceClassification",
             "BertForTokenClassification"),
    "clip": ("CLIPTextModel", "CLIPTextModelWithProjection", "CLIPVisionModel",
             "CLIPVisionModelWithProjection"),
    "detr": ("DetrEncoder", "DetrDecoder"),
    "distilbert": ("DistilBertModel", "DistilBertForMaskedLM",
                   "DistilBertForSequenceClassification"),
    "gpt2": ("GPT2Model", "GPT2LMHeadModel"),
    "llama": ("LlamaModel", "LlamaForCausalLM", "MistralModel", "MistralForCausalLM",
              "Qwen2Model", "Qwen2ForCausalLM"),
    "roberta": ("RobertaModel", "RobertaForMaskedLM", "RobertaForSequenceClassification"),
    "t5": ("T5Model", "T5ForConditionalGeneration", "T5EncoderModel"),
    "vit": ("ViTModel", "ViTForImageClassification"),
}  # fmt: skip
READERS = {kind: file for file, kinds in _FILES.items() for kind in kinds}
"""The file in this folder that reads each class; it has `READ`."""


def tower(
    kind: str, options: Mapping[str, Any], state: Mapping[str, Tensor]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Options and weights of one tower, of a file that has both: CLIP's as it is published."""
    side = "text" if kind.startswith("CLIPText") else "vision"
    inner = options.get(f"{side}_config") if kind.startswith("CLIP") else None
    if not isinstance(inner, Mapping):
        hint = "kind= is for the file of a CLIPModel, and names a tower"
        raise value_error(f"{side}_config of {kind}", kind_of(inner), "an object of options", hint)
    given = {**inner, "projection_dim": options.get("projection_dim", 512)}
    projection = {"text": "text_projection.", "vision": "visual_projection."}[side]
    own = (f"{side}_model.", projection)[: 2 if "Projection" in kind else 1]
    return given, {name: t for name, t in state.items() if name.startswith(own)}


def describe(module: nn.Module) -> tuple[str, dict[str, Any]]:
    """The class of a live module, and its options."""
    kind, _ = live_class(module, "transformers", READERS, "transformers.")
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        check_parts(module, type(module)(module.config))
    options = module.config.to_dict()  # type: ignore[union-attr, operator]
    head = getattr(module, "get_output_embeddings", lambda: None)()
    if head is not None and hasattr(
        head, "weight"
    ):  # a file with two tables unties them, whatever its options say
        tied = head.weight is module.get_input_embeddings().weight  # type: ignore
        if options.get("tie_word_embeddings", True) != tied:
            options["tie_word_embeddings"] = tied
    return kind, options
