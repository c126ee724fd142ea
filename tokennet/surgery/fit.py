"""Token MLPs fitted to an attention: its mean matrix as a linear map over the tokens.

Axes: S samples, N tokens, H heads, D channels, K pairs of hidden units.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tokennet.mixers import Attention, LinearAttention, Mixer, Parallel, Pointwise, Sequential
from tokennet.mixers import TokenMLP as Tokens
from tokennet.surgery.record import Call

_SWEEPS = 10
_RIDGE = 1e-6  # of the mean square of a feature: tokens after a norm are linearly dependent


@dataclass(frozen=True)
class Fit:
    """Errors on the example, as a share of the size of the attention's output (root mean squares).

    `mean` is that of the mean attention as it is, before any fitting; None where the new part has
    no channel map that the values could go into.
    """

    error: float
    mean: float | None = None


class UnfitError(Exception):
    """Why a part can't be fitted."""


@dataclass(eq=False)
class _Branch:
    """M (x C + c) + b, or (M x + b) C + c with `tokens_first`; without a channel map C = 1."""

    mlp: Tokens
    channels: nn.Linear | None
    tokens_first: bool
    unit: float
    matrix: Tensor
    map: Tensor
    b: Tensor
    c: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        if self.tokens_first:
            return (self.matrix @ x + self.b[:, None]) @ self.map + self.c
        return self.matrix @ (x @ self.map + self.c) + self.b[:, None]

    def fit_tokens(self, x: Tensor, y: Tensor) -> None:
        """The best M, b for this C: of rank K at most, if the hidden units don't allow more."""
        z = x @ self.map + (0 if self.tokens_first else self.c)
        y = y - (self.c if self.tokens_first else 0)
        extra = self.map.sum(0) if self.tokens_first else torch.ones_like(self.c)
        rows, goal = _rows(z), _rows(y)  # [N, S D]
        extra = extra.repeat(len(x))
        found = _solve(torch.cat([rows, extra[None]]).T, goal.T).T
        matrix, rank = found[:, :-1], self.mlp.expand.out_features // 2
        if rank < len(matrix):  # reduced-rank regression: the directions that say most
            heard = matrix @ rows
            top = torch.linalg.eigh(heard @ heard.T).eigenvectors[:, -rank:]
            matrix = top @ (top.T @ matrix)
        self.matrix = matrix
        self.b = (goal - matrix @ rows) @ extra / extra.square().sum().clamp_min(1e-300)

    def fit_channels(self, x: Tensor, y: Tensor) -> None:
        """The best C, c for this M."""
        u = self.matrix @ x + (self.b[:, None] if self.tokens_first else 0)
        y = y - (0 if self.tokens_first else self.b[:, None])
        extra = torch.ones_like(self.b) if self.tokens_first else self.matrix.sum(1)
        extra = extra.expand(len(x), -1)[..., None]
        found = _solve(torch.cat([u, extra], -1).flatten(0, 1), y.flatten(0, 1))
        self.map, self.c = found[:-1], found[-1]

    def write(self) -> None:
        """Puts M into the two layers: act(z) - act(-z) = unit z, so that nothing is lost."""
        expand, contract = self.mlp.expand, self.mlp.contract
        rank = min(expand.out_features // 2, len(self.matrix))
        left, size, right = torch.linalg.svd(self.matrix)
        root = size[:rank].sqrt()
        first, second = root[:, None] * right[:rank], left[:, :rank] * root / self.unit
        contract.weight.zero_()  # hidden units that are left over are silent, and can be trained
        expand.bias.zero_()
        expand.weight[: 2 * rank] = torch.cat([first, -first]).to(expand.weight)
        contract.weight[:, : 2 * rank] = torch.cat([second, -second], 1).to(expand.weight)
        contract.bias.copy_(self.b)
        if self.channels is not None:
            self.channels.weight.copy_(self.map.T)
            if self.channels.bias is not None:
                self.channels.bias.copy_(self.c)


def can_fit(old: Mixer, new: Mixer) -> bool:
    """Whether an attention is to become token MLPs: alone, with a `Pointwise`, or several beside
    each other."""
    if not isinstance(old, (Attention, LinearAttention)):
        return False
    return all(_pieces(part) is not None for part in _beside(new))


@torch.no_grad()
def fit(old: Mixer, new: Mixer, call: Call) -> Fit:
    """Fits M and C of every branch by least squares, in turns, in float64, and writes them.

    The heads are dealt out to the branches: each begins with the mean attention of its heads over
    all samples and with their folded value and output maps. From there the squared error of the
    output falls with every step.

    Raises:
        UnfitError: where the example or the parts don't allow it.
    """
    assert isinstance(old, (Attention, LinearAttention))
    layout = call.structure.layout
    lengths = call.structure.lengths
    if "memory" in old.reads:
        raise UnfitError("memory tokens are no tokens of the MLP")
    if not layout.batch or int(lengths.min()) < layout.max_length:
        raise UnfitError("the samples of the example have different lengths")
    x, y = (layout.pad(t).double() for t in (call.x, call.y))
    branches = _branches(old, new, call)
    start = None
    if all(b.channels is not None for b in branches):
        start = _share(y - sum(b(x) for b in branches), y)
    for _ in range(_SWEEPS):
        for branch in branches:
            rest = y - sum(b(x) for b in branches if b is not branch)
            branch.fit_tokens(x, rest)
            if branch.channels is not None:
                branch.fit_channels(x, rest)
    for branch in branches:
        branch.write()
    return Fit(_share(y - sum(b(x) for b in branches), y), start)


def _share(rest: Tensor, whole: Tensor) -> float:
    return float(rest.norm() / whole.norm().clamp_min(1e-300))


def _rows(t: Tensor) -> Tensor:
    return t.transpose(0, 1).flatten(1)  # [S, N, D] to [N, S D]


def _solve(features: Tensor, goal: Tensor) -> Tensor:
    square = features.T @ features
    ridge = _RIDGE * square.diagonal().mean().clamp_min(1e-300)
    square = square + ridge * torch.eye(len(square), dtype=square.dtype, device=square.device)
    return torch.linalg.solve(square, features.T @ goal)


# -- what there is to fit -------------------------------------------------------------------------


def _beside(new: Mixer) -> list[Mixer]:
    return new.parts if type(new) is Parallel else [new]


def _pieces(part: Mixer) -> tuple[Tokens, nn.Linear | None, bool] | None:
    """The token MLP, the channel map, and whether the MLP comes first."""
    parts = part.parts if type(part) is Sequential else [part]
    mlps = [p for p in parts if type(p) is Tokens]
    maps = [p.map for p in parts if type(p) is Pointwise and isinstance(p.map, nn.Linear)]
    if len(mlps) != 1 or len(mlps) + len(maps) != len(parts) or len(maps) > 1:
        return None
    return mlps[0], maps[0] if maps else None, bool(maps) and parts[0] is mlps[0]


def _unit(activation: nn.Module, like: Tensor) -> float:
    """u, where act(z) - act(-z) = u z: 1 for GELU, SiLU and ReLU, 2 for the identity."""
    z = torch.linspace(-6, 6, 101, dtype=like.dtype, device=like.device)
    odd = activation(z) - activation(-z)
    unit = float((odd @ z) / (z @ z))
    if abs(unit) < 1e-3 or not torch.allclose(odd, unit * z, atol=1e-4):
        name = type(activation).__name__
        raise UnfitError(f"{name}(z) - {name}(-z) is no multiple of z, so it realises no matrix")
    return unit


def _branches(old: Attention | LinearAttention, new: Mixer, call: Call) -> list[_Branch]:
    count, tokens = len(_beside(new)), call.structure.layout.max_length
    weights, maps, shift = _heads(old, call)
    found = []
    for i, part in enumerate(_beside(new)):
        pieces = _pieces(part)
        assert pieces is not None  # `can_fit` has seen to it
        mlp, channels, first = pieces
        if mlp.num_tokens != tokens:
            raise UnfitError(f"the example has {tokens} tokens a sample, TokenMLP {mlp.num_tokens}")
        if channels is not None and tuple(channels.weight.shape) != tuple(maps[0].T.shape):
            raise UnfitError("the channel map is of another size than value and output maps")
        own = [h for h in range(len(weights)) if h * count // len(weights) == i]
        matrix = sum((weights[h] for h in own), torch.zeros_like(weights[0])) / max(len(own), 1)
        change = sum((maps[h] for h in own), torch.zeros_like(maps[0]))
        add = shift if i == 0 else torch.zeros_like(shift)
        if not own or channels is None:  # a token map of its own, found from what is left
            change = torch.eye(*change.shape, dtype=change.dtype, device=change.device)
            add = torch.zeros_like(shift)
        unit = _unit(mlp.activation, mlp.expand.weight)
        b = matrix.new_zeros(tokens)
        found.append(_Branch(mlp, channels, first, unit, matrix, change, b, add))
    return found


def _heads(old: Attention | LinearAttention, call: Call) -> tuple[Tensor, Tensor, Tensor]:
    """Mean attention `[H, N, N]`, x to the output through each head `[H, D, D]`, the shift."""
    heads, layout = old.heads, call.structure.layout
    count, tokens = heads.num_heads, layout.max_length
    found = old.weights(call.x, call.structure)
    if isinstance(found, tuple):
        index, each = found
        rows = each.new_zeros(layout.rows * tokens, count, dtype=torch.float64)
        at = index[1] * tokens + index[0] % tokens  # all samples have as many tokens
        rows = rows.index_add(0, at, each.double())
        mean = rows.view(layout.batch, tokens, tokens, count).mean(0).permute(2, 0, 1)
    else:
        mean = found.double().mean(0)
    maps = (old.value, old.output)
    if not all(isinstance(m, (nn.Linear, nn.Identity)) for m in maps):
        raise UnfitError("value and output maps are not linear")
    size, dim = heads.inner_dim, old.dim or 0
    value, shift_v = _matrix(old.value, dim)
    output, shift_o = _matrix(old.output, size)
    value = heads.shared(value.unflatten(1, (-1, heads.head_dim or 0)))  # [D, H, D of a head]
    shift_v = heads.shared(shift_v.unflatten(0, (-1, heads.head_dim or 0))).flatten()
    each_out = output.unflatten(0, (count, -1))
    maps_of_heads = torch.einsum("dhe,heo->hdo", value, each_out)
    return mean, maps_of_heads, shift_v @ output + shift_o


def _matrix(module: nn.Module, dim: int) -> tuple[Tensor, Tensor]:
    """x W + w of a linear module."""
    if not isinstance(module, nn.Linear):
        return torch.eye(dim, dtype=torch.float64), torch.zeros(dim, dtype=torch.float64)
    weight = module.weight.T.double()
    shift = weight.new_zeros(weight.shape[1]) if module.bias is None else module.bias.double()
    return weight, shift
