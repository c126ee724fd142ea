"""Models of Hugging Face's transformers, from their config.json."""

from typing import Any

from torch import nn

from tokennet.interop.live import live_class

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
    return kind, module.config.to_dict()  # type: ignore[union-attr, operator]
