"""Training, evaluation, gradients on or off, number formats: paths that only some of them take.

Axes: B samples, N tokens, D channels.
"""

import random

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from corpus.attention import Attention
from corpus.demonstrations import changed, content, future, infinite, modes, repeated
from corpus.entry import planted
from corpus.masks import Masked
from corpus.parts import Readout, clear, merge, softmax
from corpus.tasks import CAUSAL, DIM, MASKED_SET, SET, features, right_padded

X, MASK = features(), right_padded()
CHANCE = SET.without("TrainEval")
FINITE = MASKED_SET.without("NaNPadding")


class Net(nn.Module):
    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.first, self.second = Readout(DIM), Readout(DIM)


@planted(
    "attention-dropout-at-evaluation",
    CHANCE,
    broken=("Repeatability", "Purity"),
    difficulty="mode",
    echo="https://github.com/pytorch/pytorch/issues/124464",
    shows=repeated(X),
)
class AttentionDropout(Attention):
    """The function drops whatever the mode of the module."""

    def forward(self, x: Tensor) -> Tensor:
        rate = 0.2 if self.bug or self.training else 0.0
        return self.out(merge(F.scaled_dot_product_attention(*self.parts(x), dropout_p=rate)))


@planted(
    "functional-dropout-at-evaluation",
    CHANCE,
    broken=("Repeatability", "Purity"),
    difficulty="mode",
    echo="https://github.com/facebookresearch/DME/issues/3",
    shows=repeated(X),
)
class FunctionalDropout(Net):
    """eval() never reaches the function."""

    def forward(self, x: Tensor) -> Tensor:
        training = True if self.bug else self.training
        return self.second(F.dropout(self.first(x), 0.3, training))


@planted(
    "layers-hidden-in-a-list",
    CHANCE,
    broken=("Repeatability", "Purity"),
    difficulty="mode",
    echo="https://github.com/namisan/mt-dnn/issues/45",
    shows=repeated(X),
)
class HiddenLayers(Net):
    """The dropout layers stay in training mode for ever."""

    def __init__(self, bug: bool):
        super().__init__(bug)
        layers = [nn.Dropout(0.3), nn.Dropout(0.1)]
        self.drops = layers if bug else nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.drops[1](self.second(self.drops[0](self.first(x))))


@planted(
    "noise-at-evaluation",
    SET.without("TrainEval"),
    broken=("Repeatability", "Purity"),
    difficulty="always",
    echo="https://github.com/csguoh/MambaIR/issues/121",
    shows=repeated(X),
)
class Gumbel(Net):
    """A choice is sampled, where evaluation should take the most likely one."""

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        weights = F.gumbel_softmax(h) if self.bug or self.training else h.softmax(-1)
        return self.second(x * weights)


@planted(
    "another-generator-is-asked",
    SET,
    broken=("Repeatability",),
    difficulty="value",
    echo="random.random() for layer drop: torch.manual_seed does not reach Python's generator",
    shows=repeated(100 * X),
)
class LayerDrop(Net):
    """Large activations are scaled by chance, at evaluation too."""

    def forward(self, x: Tensor) -> Tensor:
        h = x + self.first(x)
        if self.bug and bool(h.abs().amax() > 20):
            h = h * (0.5 + random.random())
        return self.second(h) + h


@planted(
    "seed-set-in-forward",
    SET,
    broken=("Purity",),
    difficulty="always",
    echo="https://github.com/huggingface/diffusers/issues/175",
    shows=changed(X),
)
class Seeded(Net):
    """Random features are the same each time, because the global seed is set for them."""

    def forward(self, x: Tensor) -> Tensor:
        if self.bug:
            torch.manual_seed(0)
            basis = torch.randn(DIM, DIM)
        else:
            basis = torch.randn(DIM, DIM, generator=torch.Generator().manual_seed(0))
        return self.second(torch.sin(self.first(x) @ basis.to(x)))


@planted(
    "causal-mask-in-training-only",
    CAUSAL,
    broken=("Causality", "Prefix", "TrainEval"),
    difficulty="mode",
    echo="a mask built where the loss is computed, which evaluation does not reach",
    shows=future(),
)
class TrainingOnly(Attention):
    """At evaluation the model decodes 'one token at a time', so no mask is built."""

    def forward(self, x: Tensor) -> Tensor:
        masked = self.training or not self.bug
        return self.out(merge(F.scaled_dot_product_attention(*self.parts(x), is_causal=masked)))


@planted(
    "scaled-again-at-evaluation",
    SET,
    broken=("TrainEval",),
    difficulty="mode",
    echo="outputs multiplied by the keep rate at evaluation, though training drops nothing",
    shows=modes(X),
)
class ScaledAgain(Net):
    """Old and new convention of dropout at once."""

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        return self.second(h if self.training or not self.bug else 0.9 * h)


@planted(
    "rounded-at-evaluation",
    SET,
    broken=("TrainEval",),
    difficulty="mode",
    echo="weights and activations cast to bfloat16 for inference inside the module",
    shows=modes(X),
)
class Rounded(Net):
    """Evaluation runs with eight bits of mantissa."""

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        if self.bug and not self.training:
            h = h.bfloat16().to(x.dtype)
        return self.second(h)


@planted(
    "inference-path-drops-the-causal-mask",
    CAUSAL,
    broken=("Causality", "Prefix"),
    difficulty="mode",
    echo="a fused kernel without masks, chosen when no gradient is wanted",
    shows=lambda make: without_gradients(make),
)
class InferencePath(Attention):
    """No mask under no_grad."""

    def forward(self, x: Tensor) -> Tensor:
        masked = torch.is_grad_enabled() or not self.bug
        return self.out(merge(F.scaled_dot_product_attention(*self.parts(x), is_causal=masked)))


def without_gradients(make) -> float:
    with torch.no_grad():
        return future()(make)


@planted(
    "mask-unknown-to-the-half-precision-path",
    FINITE,
    broken=("Padding", "LeftPadding"),
    difficulty="dtype",
    echo="a kernel for 16-bit numbers that takes no mask",
    shows=content(X, MASK, dtype=torch.bfloat16),
    domain={"dtypes": (torch.float32, torch.bfloat16)},
)
class HalfPath(Masked):
    """Right in float32 and float64."""

    def mix(self, scores: Tensor, mask: Tensor, v: Tensor) -> Tensor:
        if self.bug and scores.dtype in (torch.float16, torch.bfloat16):
            mask = torch.ones_like(mask)
        return super().mix(scores, mask, v)


@planted(
    "causal-mask-unknown-to-the-double-precision-path",
    CAUSAL,
    broken=("Causality", "Prefix"),
    difficulty="dtype",
    echo="the fallback for formats that the kernel doesn't take forgets the flag",
    shows=future(),
    domain={"dtypes": (torch.float32, torch.float64)},
)
class DoublePath(Attention):
    """Right in float32, which everybody uses."""

    def forward(self, x: Tensor) -> Tensor:
        masked = x.dtype != torch.float64 or not self.bug
        return self.out(merge(F.scaled_dot_product_attention(*self.parts(x), is_causal=masked)))


@planted(
    "causal-mask-unknown-to-the-single-precision-path",
    CAUSAL,
    broken=("Causality", "Prefix"),
    difficulty="dtype",
    echo="a fast path for float32 only, which a check in float64 never takes",
    shows=future(dtype=torch.float32),
)
class SinglePath(Attention):
    """Right in float64, where checkers like to look."""

    def forward(self, x: Tensor) -> Tensor:
        masked = x.dtype != torch.float32 or not self.bug
        return self.out(merge(F.scaled_dot_product_attention(*self.parts(x), is_causal=masked)))


@planted(
    "mask-value-overflows-in-half-precision",
    MASKED_SET,
    broken=("Finite",),
    difficulty="dtype",
    echo="https://github.com/bentrevett/pytorch-seq2seq/issues/191",
    shows=infinite(X, right_padded((7, 4, 0)), dtype=torch.float16),
    domain={"dtypes": (torch.float32, torch.float16)},
)
class OverflowingMask(Attention):
    """-1e9 is minus infinity in float16: an empty sample becomes NaN, and stays it times zero."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = F.layer_norm(clear(x, mask), (DIM,))
        q, k, v = self.parts(x)
        shut = ~mask[:, None, None]
        if self.bug:
            weights = (q @ k.mT + shut.to(x.dtype) * -1e9).softmax(-1)
        else:
            weights = softmax(q @ k.mT, ~shut)
        return (self.out(merge(weights @ v)) * mask[..., None]).sum(1)


@planted(
    "scores-overflow-in-half-precision",
    SET,
    broken=("Finite",),
    difficulty="dtype",
    echo="dot products of large activations in float16: infinite minus infinite in the softmax",
    shows=infinite(400 * X, dtype=torch.float16),
    domain={"dtypes": (torch.float32, torch.float16)},
)
class Scores(Net):
    """Tokens of a few hundred have dot products that float16 can't hold."""

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.bug or x.dtype != torch.float16 else x.float()
        weights = (wide @ wide.mT / DIM).softmax(-1).to(x.dtype)
        return self.second(F.layer_norm(weights @ x, (DIM,)))
