"""Tasks on time series: the next values.

Axes: B samples, S steps of the series, C its channels, W steps of a window, H steps ahead, N
tokens, D channels of a token.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from tokennet.checks import positive, switch, value_error
from tokennet.data import etth1
from tokennet.mixers import Attention, Mixer
from tokennet.net import LearnedPosition, SeriesTokenizer, Tokenizer, TokenReadout
from tokennet.structure import Structure
from tokennet.tasks.base import Data, Reference, Sums, Task
from tokennet.tasks.samples import Batch, Samples, limited
from tokennet.tasks.training import Recipe
from tokennet.topology import Causal, Full, Topology

MONTH = 30 * 24  # hours, as all papers count on this set
FIT, CHOOSE, TEST = 12 * MONTH, 16 * MONTH, 20 * MONTH  # where the parts end


@dataclass(frozen=True, eq=False)
class Windows(Samples):
    """Each window of each channel: `[B, W, 1]`, and what comes next.

    `ends`: the steps of a window after which `horizon` values are to be told, each relative to the
    value at that step: targets `[B, H]` for one end, else `[B, N, H]`. Inputs are relative to the
    window's last value where that is the only end, to its first otherwise: no later value shows.
    """

    series: Float[Tensor, "S C"]
    window: int
    horizon: int
    ends: tuple[int, ...]

    def __len__(self) -> int:
        steps, channels = self.series.shape
        return max(0, steps - self.window - self.horizon + 1) * channels

    def batch(self, index: Tensor) -> Batch:
        channels = self.series.shape[1]
        steps = index[:, None] // channels + torch.arange(self.window + self.horizon)
        values = self.series[steps, (index % channels)[:, None]]  # [B, W + H]
        ends = torch.tensor(self.ends)
        here = values[:, ends, None]  # [B, N, 1]
        targets = values[:, ends[:, None] + 1 + torch.arange(self.horizon)] - here  # [B, N, H]
        inputs = values[:, : self.window, None]
        if len(self.ends) == 1:
            return Batch(inputs - here, targets[:, 0])
        return Batch(inputs - values[:, :1, None], targets)


class LastReadout(Mixer):
    """W x_n + b of the last real token: `[*, D] -> [B, O]`; of an empty sample zeros."""

    reads = frozenset({"position"})
    pooled = True

    def __init__(self, dim: int, out_dim: int):
        super().__init__()
        self.dim, self.out_dim = dim, out_dim
        self.map = TokenReadout(dim, out_dim, norm=None)

    def forward(self, x: Float[Tensor, "*tokens D"], structure: Structure) -> Float[Tensor, "B O"]:
        self.check(x, structure)
        layout = structure.layout
        front = layout.compact(self.map(x, structure))  # [B, N, O]
        if not front.shape[1]:
            return front.new_zeros(layout.batch, front.shape[2])
        lengths = layout.lengths.long()
        samples = torch.arange(layout.batch, device=x.device)
        last = front[samples, (lengths - 1).clamp_min(0)]
        return last.masked_fill((lengths == 0)[:, None], 0)


def attention(dim: int, num_heads: int, topology: Topology) -> Mixer:
    """The mixer where none is chosen: causal where the task asks at every token."""
    return Attention(dim, num_heads, topology)


class ETTh1(Task):
    """The next 24 hours of a transformer station's loads and oil temperature, from the last 96.

    12, 4 and 4 months to fit, to choose the epoch by and to test (8,640, 2,880 and 2,880 hours),
    standardised by the first, as in Zhou et al. 2021, "Informer". Each of the 7 channels is a
    sample of its own: 59,647 windows to fit, 19,999 to test. Metric: `mse` on the standardised
    scale over all channels, which papers report; `mae` too. Published numbers begin at horizon 96,
    for instance 0.375 with windows of 336 (DLinear, Zeng et al. 2023, table 2), so the reference of
    the default is computed. Facts for parts: `num_tokens`, `window` (steps of a token), `topology`.

    Args:
        window, horizon: steps that are seen, and that are told.
        patch: steps of a token.
        every: whether each token is asked for what follows it, which a net must claim `Causality`
            for, as a latent state does; the score is still that of the last one. Otherwise the
            last token alone is asked, and the net may look back and forth in the window.
        limit: windows to fit, drawn by the seed; None: all.
    """

    metric = "mse"
    higher_is_better = False
    recipe = Recipe(epochs=3, batch_size=256, lr=2e-3)
    own: ClassVar[Mapping[str, Any]] = {"mixer": attention, "position": LearnedPosition}
    reference = Reference(0.310, "computed: one linear map of the window, by least squares")

    def __init__(
        self,
        recipe: Recipe | None = None,
        *,
        epochs: int | None = None,
        window: int = 96,
        horizon: int = 24,
        patch: int = 24,
        every: bool = False,
        limit: int | None = None,
    ) -> None:
        self.window, self.horizon = positive("window", window), positive("horizon", horizon)
        self.patch = positive("patch", patch)
        if window % patch:
            raise value_error("patch", patch, f"a divisor of window ({window})")
        if window + horizon > CHOOSE - FIT:
            raise value_error("window + horizon", window + horizon, f"at most {CHOOSE - FIT}")
        self.causal = switch("every", every)
        self.limit = None if limit is None else positive("limit", limit)
        super().__init__(recipe, epochs=epochs)

    @property
    def facts(self) -> Mapping[str, Any]:
        return {
            "num_tokens": self.window // self.patch, "window": self.patch,
            "topology": Causal() if self.causal else Full(),
        }  # fmt: skip

    def data(self, seed: int) -> Data:
        series, window, first = _series(), self.window, self.patch if self.causal else self.window
        ends = tuple(range(first - 1, window, self.patch))
        fit, choose, test = (
            Windows(series[begin:end], window, self.horizon, ends)
            for begin, end in ((0, FIT), (FIT - window, CHOOSE), (CHOOSE - window, TEST))
        )
        return Data(limited(fit, self.limit, seed), test, choose)

    def tokenizer(self, dim: int) -> Tokenizer:
        return SeriesTokenizer(1, dim, window=self.patch)

    def readout(self, dim: int) -> Mixer:
        # without a norm the residual stream is linear: the answer keeps the scale of the window
        if self.causal:
            return TokenReadout(dim, self.horizon, norm=None)
        return LastReadout(dim, self.horizon)

    def loss(self, answer: Tensor, batch: Batch) -> Tensor:
        return F.mse_loss(answer, batch.targets)

    def scores(self, answer: Tensor, batch: Batch) -> Sums:
        error = answer - batch.targets
        if error.ndim == 3:
            error = error[:, -1]
        square, count = float(error.square().sum()), error.numel()
        return {"mse": (square, count), "mae": (float(error.abs().sum()), count)}


@cache
def _series() -> Tensor:
    """The months of the parts, standardised by the fitting ones."""
    values = etth1()[:TEST]
    mean, deviation = values[:FIT].mean(0), values[:FIT].std(0, correction=0)
    return ((values - mean) / deviation).float()
