"""Imports against their originals in time: forward + backward, same weights, dtype, inputs, eager.

make timm && python benchmarks/parity_speed.py [--layers 4] [--repeats 9]

ViT-S (timm, in a process of its own, and transformers), BERT-base and GPT-2 shapes at full width;
`--layers` of their 12, so that a run takes minutes. Train mode without dropout, no padding, one
thread; steps take turns, CPU time, medians; writes results/parity_speed.md.
"""

import argparse
import importlib.util
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import torch
from measure import interleaved
from torch import Tensor, nn

import tokennet as tn
from tokennet.files import write_atomically

TIMM = Path(__file__).parents[1] / ".timm"
HAS_TIMM = importlib.util.find_spec("timm") is not None
RESULTS = Path(__file__).parent / "results" / "parity_speed.md"
Pair = tuple[nn.Module, nn.Module, Any, Callable[[Any], Tensor]]


def bert(layers: int) -> Pair:
    from transformers import BertConfig, BertModel

    config = BertConfig(
        num_hidden_layers=layers, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    model = BertModel(config, add_pooling_layer=False).train()
    ids = torch.randint(config.vocab_size, (4, 128))
    return model, tn.interop.from_transformers(model), ids, lambda y: y.last_hidden_state


def gpt2(layers: int) -> Pair:
    from transformers import GPT2Config, GPT2Model

    config = GPT2Config(n_layer=layers, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    config.use_cache = False
    model = GPT2Model(config).train()
    ids = torch.randint(config.vocab_size, (4, 128))
    return model, tn.interop.from_transformers(model), ids, lambda y: y.last_hidden_state


def hf_vit(layers: int) -> Pair:
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        hidden_size=384, num_attention_heads=6, intermediate_size=1536, num_hidden_layers=layers,
        num_labels=1000,
    )  # fmt: skip
    model = ViTForImageClassification(config).train()
    images = torch.randn(4, 3, 224, 224)
    return model, tn.interop.from_transformers(model), images, lambda y: y.logits


def timm_vit(layers: int) -> Pair:
    from timm_support import import_timm

    timm = import_timm()
    model = timm.create_model("vit_small_patch16_224", depth=layers).train()
    return model, tn.interop.from_timm(model), torch.randn(4, 3, 224, 224), lambda y: y


SHAPES: dict[str, Callable[[int], Pair]] = {
    "BERT-base, 4 x 128 tokens (transformers)": bert,
    "GPT-2, 4 x 128 tokens (transformers)": gpt2,
    "ViT-S/16, 4 images of 224 (transformers)": hf_vit,
    "ViT-S/16, 4 images of 224 (timm)": timm_vit,
}


def step(model: nn.Module, inputs: Any, answer: Callable[[Any], Tensor]) -> Callable[[], None]:
    def run() -> None:
        model.zero_grad(set_to_none=True)
        answer(model(inputs)).square().mean().backward()

    return run


def measure(name: str, make: Callable[[int], Pair], given: argparse.Namespace) -> str:
    """A line of the table."""
    torch.manual_seed(0)
    theirs, ours, inputs, answer = make(given.layers)
    with torch.no_grad():
        gap = float((answer(theirs(inputs)) - ours(inputs)).abs().max())
    assert gap < 1e-4, f"{name}: not the same function ({gap})"
    runs = {"theirs": step(theirs, inputs, answer), "ours": step(ours, inputs, lambda y: y)}
    seconds = interleaved(runs, given.repeats)
    ratios = sorted(a / b for a, b in zip(seconds["ours"], seconds["theirs"], strict=True))
    one, two = median(seconds["theirs"]), median(seconds["ours"])
    spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
    return f"| {name} | {two / one:.3f} | {median(ratios):.3f} | {spread} |"


def timm_rows(given: argparse.Namespace) -> list[str]:
    """Those of timm, from a process that has it."""
    size = ["--layers", str(given.layers), "--repeats", str(given.repeats)]
    environment = {**os.environ, "PYTHONPATH": str(TIMM)}
    command = [sys.executable, __file__, *size]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return found.stdout.splitlines()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    torch.set_num_threads(1)
    lines = []
    for name, make in SHAPES.items():
        if given.only in name and ("(timm)" in name) == HAS_TIMM:
            lines.append(measure(name, make, given))
            print(lines[-1], flush=True)
    if given.only or HAS_TIMM:
        return
    words = ""
    if TIMM.is_dir():
        lines += timm_rows(given)
    else:
        words = " timm is left out: it is not installed (`make timm`)."
    text = "\n".join([
        "# Time of imported models", "",
        f"`python benchmarks/parity_speed.py --layers {given.layers} --repeats {given.repeats}`; "
        f"torch {version('torch')}, transformers {version('transformers')}, Python "
        f"{platform.python_version()}, float32, eager, one thread.", "",
        "Forward and backward of the import over the original's, CPU time, steps taking turns; "
        f"aim: at most 1.03.{words}", "",
        "| shape | ratio of medians | median of ratios | smallest to largest |",
        "|---|---:|---:|---:|", *lines, "",
    ])  # fmt: skip
    write_atomically(RESULTS, text.encode())


if __name__ == "__main__":
    main()
