"""Rings, grids and bases: what should not depend on where they begin or how they are signed.

Axes: B samples, N tokens, H rows, W columns, K eigenvectors, D channels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from corpus.demonstrations import built, call, difference
from corpus.entry import Shows, planted
from corpus.parts import Readout
from corpus.tasks import CYCLIC, DIM, GRID, OBLONG, SIGNED, features


def shifted(tokens: int) -> Shows:
    """The ring turned by one token gives more than the output turned by one."""

    def shows(make) -> float:
        module, x = built(make), features(2, tokens)
        return difference(call(module, x).roll(1, 1), call(module, x.roll(1, 1)))

    return shows


def rolled(rows: int, columns: int, axis: int) -> Shows:
    """The torus turned by one row or column gives more than the output turned alike."""

    def turn(x: Tensor) -> Tensor:
        return x.unflatten(1, (rows, columns)).roll(1, axis).flatten(1, 2)

    def shows(make) -> float:
        module, x = built(make), features(2, rows * columns)
        return difference(turn(call(module, x)), call(module, turn(x)))

    return shows


def flipped(signs: tuple[float, ...]) -> Shows:
    """Eigenvectors of the other sign give another output."""

    def shows(make) -> float:
        module, (x, vectors) = built(make), SIGNED.example()
        turned = vectors * torch.tensor(signs)
        return difference(call(module, x, vectors), call(module, x, turned))

    return shows


@planted(
    "fourier-mixing-filled-up",
    CYCLIC,
    broken=("CyclicShift",),
    difficulty="size",
    echo="a fast Fourier transform over the next power of two",
    shows=shifted(7),
)
class Fourier(nn.Module):
    """Filters the ring of N tokens; with N filled up to a power of two it's no longer a ring."""

    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.readout = Readout(DIM)

    def forward(self, x: Tensor) -> Tensor:
        n = x.shape[1]
        long = 1 << (n - 1).bit_length() if self.bug else n
        wide = torch.float64 if x.dtype == torch.float64 else torch.float32
        spectrum = torch.fft.rfft(x.to(wide), long, dim=1)
        low = torch.arange(spectrum.shape[1], device=x.device) / long
        smooth = torch.fft.irfft(spectrum * torch.exp(-3 * low)[:, None], long, dim=1)
        return self.readout(smooth[:, :n].to(x.dtype))


@planted(
    "ring-closed-with-zeros",
    CYCLIC,
    broken=("CyclicShift",),
    difficulty="always",
    echo="a convolution on a ring with the default padding mode",
    shows=shifted(8),
)
class Ring(nn.Module):
    """Zeros stand where the ring should close."""

    def __init__(self, bug: bool):
        super().__init__()
        mode = "zeros" if bug else "circular"
        self.convolution = nn.Conv1d(DIM, DIM, 3, padding=1, padding_mode=mode)
        self.readout = Readout(DIM)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] < 2:  # torch's circular padding needs as many tokens as it copies
            return self.readout(x)
        return self.readout(self.convolution(x.mT).mT)


@planted(
    "every-second-token",
    CYCLIC,
    broken=("CyclicShift",),
    difficulty="always",
    echo="strided pooling and repeating: only even shifts commute",
    shows=shifted(8),
)
class EverySecond(nn.Module):
    """A context of every second token; the twin takes all."""

    def __init__(self, bug: bool):
        super().__init__()
        self.stride = 2 if bug else 1
        self.readout = Readout(DIM)

    def forward(self, x: Tensor) -> Tensor:
        held = x[:, :: self.stride].repeat_interleave(self.stride, 1)[:, : x.shape[1]]
        return self.readout(x + held.roll(1, 1))


class Torus(nn.Module):
    """A convolution of 3 x 3 on a torus of tokens."""

    rows, columns = 4, 4

    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.convolution, self.readout = nn.Conv2d(DIM, DIM, 3), Readout(DIM)

    def image(self, x: Tensor) -> Tensor:
        return x.mT.unflatten(2, (self.rows, self.columns))

    def tokens(self, image: Tensor) -> Tensor:
        return self.readout(image.flatten(2).mT)


@planted(
    "torus-closed-with-zeros",
    GRID,
    broken=("GridShift",),
    difficulty="always",
    echo="https://github.com/NVIDIA/physicsnemo/issues/1599",
    shows=rolled(4, 4, 1),
    domain={"num_tokens": (16, 16)},
)
class ZeroBorder(Torus):
    """Columns go around, as longitudes do; rows should too, and meet zeros."""

    def forward(self, x: Tensor) -> Tensor:
        image = F.pad(self.image(x), (1, 1, 0, 0), mode="circular")
        image = F.pad(image, (0, 0, 1, 1), mode="constant" if self.bug else "circular")
        return self.tokens(self.convolution(image))


@planted(
    "rows-taken-for-columns",
    OBLONG,
    broken=("GridShift",),
    difficulty="size",
    echo="height and width exchanged, which square images never show",
    shows=rolled(3, 5, 1),
    domain={"num_tokens": (15, 15)},
)
class Exchanged(Torus):
    """The tokens are laid out in five rows of three instead of three rows of five."""

    def __init__(self, bug: bool):
        super().__init__(bug)
        self.rows, self.columns = (5, 3) if bug else (3, 5)

    def forward(self, x: Tensor) -> Tensor:
        image = F.pad(self.image(x), (1, 1, 1, 1), mode="circular")
        return self.tokens(self.convolution(image))


@planted(
    "columns-run-into-the-next-row",
    GRID,
    broken=("GridShift",),
    difficulty="always",
    echo="neighbours on a grid found by shifting the flattened tokens",
    shows=rolled(4, 4, 2),
    domain={"num_tokens": (16, 16)},
)
class Flattened(Torus):
    """The right neighbour of a row's last token is the next row's first."""

    def forward(self, x: Tensor) -> Tensor:
        image = self.image(x)
        right = image.flatten(2).roll(-1, 2).unflatten(2, (4, 4)) if self.bug else image.roll(-1, 3)
        return self.tokens(image + 0.5 * right.tanh() + 0.3 * image.roll(1, 2))


class Codes(nn.Module):
    """Tokens with codes of their eigenvectors added."""

    def __init__(self, bug: bool):
        super().__init__()
        self.bug = bug
        self.code, self.mix, self.readout = Readout(1, 4), Readout(4, DIM), Readout(DIM)

    def forward(self, x: Tensor, vectors: Tensor) -> Tensor:
        return self.readout(x + self.mix(self.codes(vectors[..., None]).sum(2)))

    def codes(self, vectors: Tensor) -> Tensor:
        return self.code(vectors) + self.code(-vectors)  # [B, N, K, 4]


@planted(
    "eigenvectors-taken-as-they-come",
    SIGNED,
    broken=("SignBasis",),
    difficulty="always",
    echo="https://github.com/akensert/molgraph/issues/12",
    shows=flipped((-1, 1, 1)),
)
class AsTheyCome(Codes):
    """The sign that the solver happened to choose is an input."""

    def codes(self, vectors: Tensor) -> Tensor:
        return self.code(vectors) if self.bug else super().codes(vectors)


@planted(
    "signs-flipped-together-only",
    SIGNED,
    broken=("SignBasis",),
    difficulty="always",
    echo="a sign-invariant net over all eigenvectors at once",
    shows=flipped((-1, 1, 1)),
)
class Together(Codes):
    """Invariant when all eigenvectors change sign at once, not one by one."""

    def codes(self, vectors: Tensor) -> Tensor:
        if self.bug:
            vectors = vectors.sum(2, keepdim=True)
        return super().codes(vectors)


@planted(
    "signs-of-large-entries",
    SIGNED,
    broken=("SignBasis",),
    difficulty="value",
    echo="clipping on one side only: eigenvectors that sit on one token keep their sign",
    shows=lambda make: localised(make),
)
class LargeEntries(Codes):
    """Entries beyond 0.9 lose their invariance; short samples have such eigenvectors."""

    def codes(self, vectors: Tensor) -> Tensor:
        even = super().codes(vectors)
        return even + (vectors > 0.9) * self.code(vectors) if self.bug else even


def localised(make) -> float:
    """Eigenvectors that are one at a token each."""
    module, x = built(make), features(tokens=3)
    vectors = torch.eye(3).expand(3, 3, 3)
    return difference(call(module, x, vectors), call(module, x, -vectors))


@planted(
    "sign-fixed-by-the-first-token",
    SIGNED,
    broken=("Permutation",),
    difficulty="always",
    echo="eigenvectors made unique by the sign of their first entry",
    shows=lambda make: renamed(make),
)
class FirstToken(Codes):
    """Unique signs, but by the order of the tokens."""

    def codes(self, vectors: Tensor) -> Tensor:
        return self.code(vectors * vectors[:, :1].sign()) if self.bug else super().codes(vectors)


def renamed(make) -> float:
    module, (x, vectors) = built(make), SIGNED.example()
    order = torch.tensor([3, 1, 2, 0, 4, 6, 5])
    return difference(
        call(module, x, vectors)[:, order], call(module, x[:, order], vectors[:, order])
    )
