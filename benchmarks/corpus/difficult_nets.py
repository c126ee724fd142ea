"""Correct modules that naive checks flag: modes, state that is no leak, recurrences, graphs.

Axes: B samples, N tokens, T tokens of all samples, D channels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.nn import GATConv, GCNConv, GINConv, GraphNorm, SAGEConv, global_mean_pool

from corpus.caches import Decoder, State
from corpus.difficult import Correct, Net
from corpus.entry import difficult
from corpus.parts import Readout, causal, clear, merge
from corpus.tasks import (
    CACHED,
    CAUSAL,
    DIM,
    GRID,
    IGNORED,
    MASKED,
    MASKED_IDS,
    ON_GRAPH,
    ON_GRAPHS,
    SET,
    TOKENS,
    WITH_MEMORY,
    WORDS,
)


@difficult(
    "batch-norm",
    SET.without("TrainEval", "NoState", "Purity"),
    why="apart at evaluation only: in training samples see each other by design",
    domain={"train": False},
)
class Normalised(Net):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(DIM)

    def mix(self, h: Tensor) -> Tensor:
        return self.norm(h.mT).mT + h.mean(1, keepdim=True)


@difficult(
    "dropout",
    SET.without("TrainEval"),
    why="random in training, as it should be",
)
class Dropout(Net):
    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.3)

    def mix(self, h: Tensor) -> Tensor:
        return self.drop(h) + h.mean(1, keepdim=True)


@difficult(
    "buffer-that-moves-in-training",
    SET.without("TrainEval"),
    why="a moving average that evaluation leaves alone",
    domain={"train": False},
)
class MovingInTraining(Net):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(DIM))

    def mix(self, h: Tensor) -> Tensor:
        if self.training:
            with torch.no_grad():
                self.centre.lerp_(h.mean((0, 1)), 0.1)
        return h - self.centre


@difficult("table-grown-by-use", TOKENS, why="state that changes, and never what comes out")
class Grown(Net):
    table: Tensor | None = None

    def mix(self, h: Tensor) -> Tensor:
        n = h.shape[1]
        if self.table is None or len(self.table) < n:
            self.table = torch.sin(torch.arange(2 * n, dtype=torch.float64))[:, None]
        return h + self.table[:n].to(h)


@difficult("mask-kept-by-its-length", CAUSAL, why="a cache whose key says all that matters")
class KeptMask(Correct):
    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[int, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        n = x.shape[1]
        mask = self.kept.setdefault(n, causal(n)).to(x.device)
        return self.out(merge(F.scaled_dot_product_attention(*self.parts(x), mask)))


@difficult("random-features-of-its-own", SET, why="random numbers from a generator of its own")
class OwnGenerator(Net):
    def mix(self, h: Tensor) -> Tensor:
        basis = torch.randn(DIM, DIM, generator=torch.Generator().manual_seed(3))
        return torch.cos(h @ basis.to(h)) + h.mean(1, keepdim=True)


@difficult("work-on-a-copy-in-place", SET, why="in-place operations, on what the module owns")
class OwnCopy(Net):
    def mix(self, h: Tensor) -> Tensor:
        own = h.clone()
        own += h.mean(1, keepdim=True)
        return own.mul_(0.5).relu_()


@difficult("rotary-decoder", CACHED, why="one query against many keys takes another kernel")
class Rotary(Decoder):
    def __init__(self) -> None:
        super().__init__(bug=False)


@difficult("recurrent-decoder", CACHED, why="step by step and all at once round differently")
class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.reader, self.out = nn.GRU(DIM, DIM, 2, batch_first=True), Readout(DIM)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.reader(x)[0])

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, last = self.reader(x, None if state is None else state[0])
        return self.out(y), (last,)


@difficult("prefix-sums", CAUSAL, why="differences of prefix sums lose digits as they grow")
class PrefixSums(Net):
    def mix(self, h: Tensor) -> Tensor:
        total = (h + 10).cumsum(1)
        window = total - F.pad(total, (0, 0, 4, 0))[:, : h.shape[1]]
        return window / 4


@difficult("causal-linear-attention", CAUSAL, why="a quotient of two prefix sums")
class LinearAttention(Correct):
    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.parts(x)
        q, k = F.elu(q) + 1, F.elu(k) + 1
        above = (k[..., None] * v[..., None, :]).cumsum(2)
        below = (q * k.cumsum(2)).sum(-1, keepdim=True) + 1e-3
        return self.out(merge((q[..., None, :] @ above)[..., 0, :] / below))


@difficult("linear-biases", CAUSAL, why="biases of hundreds on distant tokens")
class LinearBiases(Correct):
    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.parts(x)
        place = torch.arange(x.shape[1], dtype=x.dtype, device=x.device)
        gap = place - place[:, None]
        bias = (8 * gap).masked_fill(gap > 0, -torch.inf)
        return self.out(merge(F.scaled_dot_product_attention(q, k, v, bias)))


@difficult("packed-recurrence", MASKED.without("LeftPadding"), why="sorted by length inside")
class Packed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.reader, self.out = nn.GRU(DIM, DIM, batch_first=True, bidirectional=True), Readout(12)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        place = torch.arange(1, x.shape[1] + 1, device=x.device)
        length = (place * mask).amax(1).clamp(min=1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(
            clear(x, mask), length, batch_first=True, enforce_sorted=False
        )
        y, _ = nn.utils.rnn.pad_packed_sequence(
            self.reader(packed)[0], batch_first=True, total_length=x.shape[1]
        )
        return clear(self.out(y), mask)


@difficult("torch-encoder", IGNORED.also("Permutation"), why="a fast path at evaluation, nested")
class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(DIM, 2, 8, dropout=0.0, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, x: Tensor, key_padding_mask: Tensor) -> Tensor:
        ignore = key_padding_mask & ~key_padding_mask.all(1, keepdim=True)
        return clear(self.layers(x, src_key_padding_mask=ignore), ~key_padding_mask)


@difficult("word-bag", MASKED_IDS.also("Permutation", "LeftPadding"), why="padding may hold any id")
class WordBag(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.readout = nn.Embedding(WORDS, DIM, padding_idx=0), Readout(DIM)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        x = self.words(ids) * mask[..., None]
        return self.readout(x.sum(1) / mask.sum(1, keepdim=True).clamp(min=1).sqrt())


@difficult("cross-attention", WITH_MEMORY, why="two orders that don't matter")
class CrossAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention, self.out = nn.MultiheadAttention(DIM, 2, batch_first=True), Readout(DIM)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        return x + self.out(self.attention(x, memory, memory)[0])


@difficult(
    "convolution-on-a-torus",
    GRID,
    why="sums of nine in another order",
    domain={"num_tokens": (16, 16)},
)
class Torus(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(DIM, DIM, 3, padding=1, padding_mode="circular")
        self.out = Readout(DIM)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.convolution(x.mT.unflatten(2, (4, 4))).flatten(2).mT)


class OnGraph(nn.Module):
    """A layer of PyG, with a readout of each token."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer, self.out = layer, Readout(DIM)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.out(self.layer(x, edge_index))


@difficult("graph-convolution", ON_GRAPH, why="scattered sums follow the order of the edges")
class Convolution(OnGraph):
    def __init__(self) -> None:
        super().__init__(GCNConv(DIM, DIM))


@difficult("graph-attention", ON_GRAPH, why="a softmax over the edges of each target")
class Gat(OnGraph):
    def __init__(self) -> None:
        super().__init__(GATConv(DIM, DIM // 2, heads=2))


@difficult("graph-isomorphism", ON_GRAPH, why="sums that are not normalised")
class Gin(OnGraph):
    def __init__(self) -> None:
        super().__init__(GINConv(Readout(DIM)))


@difficult("graph-maximum", ON_GRAPH, why="a maximum over neighbours, zero where there are none")
class Sage(OnGraph):
    def __init__(self) -> None:
        super().__init__(SAGEConv(DIM, DIM, aggr="max"))


@difficult("graph-norm-and-mean", ON_GRAPHS, why="statistics of each graph of a batch")
class NormAndMean(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm = GCNConv(DIM, DIM), GraphNorm(DIM, eps=1e-3)
        self.out = Readout(DIM)

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor) -> Tensor:
        size = int(batch.max()) + 1 if len(batch) else 0
        h = self.norm(self.layer(x, edge_index), batch)
        return self.out(h + global_mean_pool(h, batch, size)[batch])
