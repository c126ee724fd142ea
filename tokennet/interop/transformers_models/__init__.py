"""Models of Hugging Face's transformers, from their config.json."""

from typing import Any

import torch
from torch import nn

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
