"""Correct modules that naive checks flag: rounding, cancellation, ties, saturation.

Axes: B samples, N tokens, D channels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from corpus.attention import Attention
from corpus.entry import difficult
from corpus.parts import Projections, Readout, causal, clear, merge, split
from corpus.tasks import CAUSAL, CYCLIC, DIM, MASKED_SET, SET, SIGNED


class Net(nn.Module):
    """Two maps of tokens, with something between that mixes them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Readout(DIM), Readout(DIM)

    def mix(self, h: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.mix(self.first(x)))


class Correct(Attention):
    def __init__(self) -> None:
        super().__init__(bug=False)


@difficult("sum-of-large-numbers", SET, why="the order of terms moves the last digits")
class LargeSum(Net):
    def mix(self, h: Tensor) -> Tensor:
        return (1e4 * h).sum(1) / 1e4


@difficult("sum-with-a-large-offset", SET, why="a mean around 1000 that is taken off again")
class Offset(Net):
    def mix(self, h: Tensor) -> Tensor:
        return h + ((h + 1000).mean(1, keepdim=True) - 1000)


@difficult("sums-in-chunks", SET, why="partial sums of eight tokens are added up in another order")
class Chunks(Net):
    def mix(self, h: Tensor) -> Tensor:
        parts = torch.stack([c.sum(1) for c in h.split(8, 1)])
        return parts.sum(0) / h.shape[1]


@difficult("variance-by-moments", SET, why="E[x^2] - E[x]^2 cancels where tokens are alike")
class Moments(Net):
    def mix(self, h: Tensor) -> Tensor:
        spread = (h.square().mean(1) - h.mean(1).square()).clamp(min=0)
        return torch.cat([h.mean(1), spread], -1)[..., ::2]


@difficult("logits-of-eighty", SET, why="weights span e^-80 to e^80, large differences of the rest")
class Eighty(Correct):
    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.parts(x)
        return self.out(merge((80 * torch.tanh(q @ k.mT)).softmax(-1) @ v))


@difficult("almost-an-argmax", SET, why="a temperature of 0.01: near ties are decided by rounding")
class Cold(Correct):
    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.parts(F.layer_norm(x, (DIM,)))
        return self.out(merge((torch.tanh(q @ k.mT) / 0.01).softmax(-1) @ v))


@difficult("layer-norm-of-nearly-equal-channels", SET, why="1 + x / 1000 in front of a layer norm")
class NearlyConstant(Net):
    def mix(self, h: Tensor) -> Tensor:
        h = h + h.mean(1, keepdim=True)
        return F.layer_norm(1 + torch.tanh(h) / 1000, (DIM,), eps=1e-5)


@difficult("softmax-in-float32", CAUSAL, why="float32 inside a float64 model: errors of 1e-7")
class SoftmaxInFloat32(Correct):
    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.parts(x)
        shut = ~causal(x.shape[1], x.device)
        weights = (q @ k.mT).float().masked_fill(shut, -torch.inf).softmax(-1)
        return self.out(merge(weights.to(x.dtype) @ v))


@difficult("layer-norm-in-float32", SET, why="a norm that is always computed in float32")
class NormInFloat32(Correct):
    def forward(self, x: Tensor) -> Tensor:
        h = F.layer_norm(x.float(), (DIM,)).to(x.dtype)
        return x + self.out(merge(F.scaled_dot_product_attention(*self.parts(h))))


@difficult("sorted-channels", SET, why="ties and sorts, but no dependence on the index")
class SortedChannels(Net):
    def mix(self, h: Tensor) -> Tensor:
        rank = torch.linspace(-1, 1, h.shape[1], dtype=h.dtype, device=h.device)[:, None]
        return (h.sort(1).values * rank).mean(1)


@difficult("median-and-maximum", SET, why="which token is taken jumps, what is taken doesn't")
class Median(Net):
    def mix(self, h: Tensor) -> Tensor:
        return h - h.median(1, keepdim=True).values + h.amax(1, keepdim=True)


@difficult("logsumexp-pooling", SET, why="a smooth maximum of scaled features")
class LogSumExp(Net):
    def mix(self, h: Tensor) -> Tensor:
        return torch.logsumexp(20 * h, 1) / 20


@difficult("cosine-similarity", SET, why="short vectors have directions of few good digits")
class Cosine(Net):
    def mix(self, h: Tensor) -> Tensor:
        unit = F.normalize(h, dim=-1, eps=1e-3)
        return ((unit @ unit.mT) ** 3) @ h / h.shape[1]


@difficult("sinkhorn", SET, why="twenty alternating normalisations of a matrix of all pairs")
class Sinkhorn(Net):
    def mix(self, h: Tensor) -> Tensor:
        log = torch.tanh(h @ h.mT)
        for _ in range(10):
            log = log.log_softmax(-1).log_softmax(-2)
        return log.exp() @ h


@difficult("fourier-filter", CYCLIC, why="a transform over N tokens, prime or not")
class FourierFilter(Net):
    def mix(self, h: Tensor) -> Tensor:
        wide = h if h.dtype == torch.float64 else h.float()
        spectrum = torch.fft.rfft(wide, dim=1)
        low = torch.arange(spectrum.shape[1], device=h.device) / h.shape[1]
        return torch.fft.irfft(spectrum * torch.exp(-3 * low)[:, None], h.shape[1], dim=1).to(h)


@difficult("gram-eigenvalues", SET, why="LAPACK's rounding, and eigenvalues that nearly coincide")
class Eigenvalues(Net):
    def mix(self, h: Tensor) -> Tensor:
        wide = h if h.dtype == torch.float64 else h.float()
        gram = wide.mT @ wide / h.shape[1]
        return torch.linalg.eigvalsh(gram).clamp(min=0).to(h.dtype)


@difficult("log-determinant", SET, why="a determinant close to zero, kept from it by a small ridge")
class LogDeterminant(Net):
    def mix(self, h: Tensor) -> Tensor:
        wide = h if h.dtype == torch.float64 else h.float()
        gram = wide.mT @ wide + 1e-2 * torch.eye(DIM, dtype=wide.dtype, device=h.device)
        return h.mean(1) + torch.logdet(gram)[:, None].to(h.dtype)


@difficult("iterated-map", SET, why="eight nonlinear steps, each of which doubles the error")
class Iterated(Net):
    def mix(self, h: Tensor) -> Tensor:
        for _ in range(8):
            h = torch.sin(2 * (h + h.mean(1, keepdim=True)))
        return h


@difficult("quantised-tokens", SET, why="the nearest code jumps; it's chosen for each token alone")
class Quantised(Net):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("codes", torch.randn(7, DIM))

    def mix(self, h: Tensor) -> Tensor:
        distance = (h[..., None, :] - self.codes).square().sum(-1)
        hard = self.codes[distance.argmin(-1)]
        return h + (hard - h).detach() + h.mean(1, keepdim=True)


@difficult("products-of-eigenvectors", SIGNED, why="signs cancel only up to rounding")
class Products(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pair, self.readout = Readout(3, 1), Readout(DIM)

    def forward(self, x: Tensor, vectors: Tensor) -> Tensor:
        pairs = vectors[:, :, None] * vectors[:, None]  # [B, N, N, K]
        weights = self.pair(pairs)[..., 0].softmax(-1)  # [B, N, N]
        return self.readout(x + weights @ x)


@difficult("spectral-filter", SIGNED, why="V f V^T x: signs cancel in a product of three matrices")
class Spectral(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gain, self.readout = nn.Parameter(torch.tensor([1.0, 0.5, -0.5])), Readout(DIM)

    def forward(self, x: Tensor, vectors: Tensor) -> Tensor:
        return self.readout(x + (vectors * self.gain) @ (vectors.mT @ x))


@difficult("mask-by-the-lowest-number", MASKED_SET, why="scores near the lowest number overflow")
class LowestNumber(Correct):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = self.parts(clear(x, mask))
        low = torch.finfo(x.dtype).min
        weights = (q @ k.mT).masked_fill(~mask[:, None, None], low).softmax(-1)
        return clear(self.out(merge(weights @ v)), mask)


@difficult("attention-over-channels", MASKED_SET, why="sums over all tokens inside [D, D] weights")
class OverChannels(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.project, self.out = Projections(DIM), Readout(DIM)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = (clear(t, mask) for t in self.project(clear(x, mask)))
        count = mask.sum(1).clamp(min=1)[:, None, None]
        weights = (q.mT @ k / count).softmax(-1)
        return clear(self.out(v @ weights), mask)


@difficult("torch-attention", SET, why="torch's own module, whose fast path rounds otherwise")
class TorchAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(DIM, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.attention(x, x, x, need_weights=False)[0]


@difficult("heads-as-a-batch", SET, why="heads are folded into the batch, rightly")
class Folded(Correct):
    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (split(t, 2).flatten(0, 1) for t in self.project(x))
        y = torch.baddbmm(x.new_zeros(1), q, k.mT, beta=0).softmax(-1) @ v
        return self.out(merge(y.unflatten(0, (len(x), 2))))
