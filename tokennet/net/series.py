"""Time series to tokens.

Axes: B samples, S steps, C channels of a series, N tokens, D channels of a token.
"""

from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import positive, value_error
from tokennet.mixers.base import check_place
from tokennet.net.tokenizers import Tokenizer, check_floats, on_grid, structure_for
from tokennet.structure import Structure


class SeriesTokenizer(Tokenizer):
    """Windows of a time series, each flattened and mapped linearly: a convolution with that stride.

    PatchTST (Nie et al. 2023, section 3.1) on all channels together. `[B, S, C] -> [B, N, dim]` in
    the order of time: token n reads the steps `n stride` to `n stride + window - 1` and nothing
    later, so a causal mixer stays causal. The structure gets `grid = (N,)`. `window=1` makes every
    step a token. The series must hold whole windows.
    """

    def __init__(self, channels: int, dim: int, *, window: int = 1, stride: int | None = None):
        super().__init__()
        self.channels = positive("channels", channels)
        self.dim = positive("dim", dim)
        self.window = positive("window", window)
        self.stride = positive("stride", window if stride is None else stride)
        if self.stride > window:
            raise value_error("stride", stride, f"at most window ({window})", "steps would be lost")
        self.map = nn.Conv1d(channels, dim, window, self.stride)

    def forward(
        self, inputs: Float[Tensor, "B S C"], structure: Structure | None = None
    ) -> tuple[Float[Tensor, "B N D"], Structure]:
        check_floats(inputs, "series")
        if inputs.ndim != 3 or inputs.shape[2] != self.channels:
            raise value_error("inputs.shape", tuple(inputs.shape), f"[B, S, {self.channels}]")
        steps = inputs.shape[1]
        if steps < self.window or (steps - self.window) % self.stride:
            raise value_error(
                "number of steps", steps,
                f"window + a multiple of stride ({self.window} + k * {self.stride})",
                "pad or cut the series",
            )  # fmt: skip
        check_place("inputs", inputs, self)
        x = self.map(inputs.transpose(1, 2)).transpose(1, 2)
        structure = structure_for(tuple(x.shape[:2]), inputs.device, structure)
        return x, on_grid(structure, (x.shape[1],))
