"""The search for a group of permutations that are too many to try one by one.

Where all tokens are equal but one or two, what the module answers is a colour of the pair (i, j):
whatever commutes with the module keeps these colours. So only automorphisms of the coloured
complete graph are candidates, found by refining colours and backtracking (McKay 1981), and each is
tried on the module. A coset in which every candidate failed holds no member: if all are exhausted,
the group is the whole one.

Axes: N tokens, F output numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tokennet.audit.symmetry.elements import Permutation, orbits, swap
from tokennet.audit.symmetry.module import Subject

LEAVES, ALL_LEAVES = 200, 3000  # candidates tried for each coset, and in all
STEPS = 20_000  # refinements in all
NEAR = 1e-9  # relative to the largest: colours closer than this count as equal


@dataclass
class Found:
    """What a search has found: generators, and whether nothing can be missing."""

    generators: list[Permutation]
    complete: bool


@dataclass
class _Search:
    """Looks for all permutations that keep the colours of pairs and that `commutes` accepts."""

    colours: Tensor
    commutes: Callable[[Permutation], bool]
    generators: list[Permutation] = field(default_factory=list)
    complete: bool = True
    leaves: int = 0
    all_leaves: int = 0
    steps: int = 0

    @property
    def num_tokens(self) -> int:
        return len(self.colours)

    def run(self) -> Found:
        """Coset by coset, the one that fixes most tokens first: so orbits prune the others."""
        pair = torch.zeros(2, self.num_tokens, dtype=torch.int64)
        start = self.refined(pair)
        assert start is not None  # a colouring fits itself
        chain: list[tuple[Tensor, int]] = []
        cell = _first_cell(start[0])
        while cell is not None:
            chain.append((start, cell[0]))
            start = self.marked(start, cell[0], cell[0])
            assert start is not None
            cell = _first_cell(start[0])
        self._twins()
        fixed = [token for _, token in chain]
        for level in reversed(range(len(chain))):
            self._level(chain[level][0], fixed[: level + 1])
        return Found(self.generators, self.complete)

    def _twins(self) -> None:
        """Swaps of two tokens, tried first: they prune most where all tokens are alike."""
        last: list[int] = []  # of each class of tokens that can be swapped, the last
        for j in range(self.num_tokens):
            for k, i in enumerate(last):
                p = swap(self.num_tokens, i, j)
                order = torch.tensor(p)
                kept = torch.equal(self.colours[order][:, order], self.colours)
                if kept and self.commutes(p):
                    self.generators.append(p)
                    last[k] = j
                    break
            else:
                last.append(j)

    def _level(self, pair: Tensor, base: list[int]) -> None:
        """Members that keep all of `base` but its last token, one for each new place of that."""
        token, tried = base[-1], set[int]()
        cell = (pair[1] == pair[0, token]).nonzero().squeeze(1).tolist()
        parts = self._orbits(base[:-1])
        for other in cell:
            if other in parts[token] or any(t in tried for t in parts[other]):
                continue
            self.leaves = 0
            found = self._match(self.marked(pair, token, other))
            if found is None:
                tried.add(other)
            else:
                self.generators.append(found)
                parts = self._orbits(base[:-1])

    def _orbits(self, base: list[int]) -> dict[int, tuple[int, ...]]:
        """The orbit of each token under the generators that keep all of `base`."""
        stay = [g for g in self.generators if all(g[b] == b for b in base)]
        return {t: part for part in orbits(stay, self.num_tokens) for t in part}

    def _match(self, pair: Tensor | None) -> Permutation | None:
        """A member that takes the left colouring to the right one, None if none was found."""
        if pair is None:
            return None
        spent = self.leaves >= LEAVES or self.all_leaves >= ALL_LEAVES or self.steps >= STEPS
        if spent:
            self.complete = False
            return None
        cell = _first_cell(pair[0])
        if cell is None:
            return self._leaf(pair)
        right = (pair[1] == pair[0, cell[0]]).nonzero().squeeze(1).tolist()
        for other in right:
            found = self._match(self.marked(pair, cell[0], other))
            if found is not None:
                return found
        return None

    def _leaf(self, pair: Tensor) -> Permutation | None:
        left, right = pair.argsort(1)
        p = torch.empty_like(left)
        p[left] = right  # token left[k] goes where right[k] is
        if not torch.equal(self.colours[p][:, p], self.colours):
            return None
        self.leaves, self.all_leaves = self.leaves + 1, self.all_leaves + 1
        member = tuple(p.tolist())
        return member if self.commutes(member) else None

    def marked(self, pair: Tensor, left: int, right: int) -> Tensor | None:
        """The colourings with one token of each side singled out, refined; None: they differ."""
        new = pair * 2
        new[0, left] += 1
        new[1, right] += 1
        return self.refined(new)

    def refined(self, pair: Tensor) -> Tensor | None:
        """Tokens told apart by the colours that they see, until nothing new is seen."""
        self.steps += 1
        count = 0
        while True:
            seen = self.colours * (int(pair.max()) + 1) + pair[:, None, :]  # [2, N, N]
            key = torch.cat([pair[..., None], seen.sort(-1).values], -1).flatten(0, 1)
            _, label = key.unique(dim=0, return_inverse=True)
            pair = label.view(2, -1)
            if not torch.equal(*pair.sort(1).values):
                return None
            if int(label.max()) + 1 == count:
                return pair
            count = int(label.max()) + 1


def _first_cell(colour: Tensor) -> list[int] | None:
    """The tokens of the smallest cell of several tokens; None where all are told apart."""
    cells, counts = colour.unique(return_counts=True)
    several = counts > 1
    if not bool(several.any()):
        return None
    best = cells[several][counts[several].argmin()]
    return (colour == best).nonzero().squeeze(1).tolist()


def automorphisms(
    colours: Tensor, commutes: Callable[[Permutation], bool] = lambda p: True
) -> Found:
    """The permutations that keep the colours `[N, N]` of ordered pairs and that are accepted."""
    both = torch.stack([colours, colours.T], -1).flatten(0, 1)
    _, label = both.unique(dim=0, return_inverse=True)
    return _Search(label.view_as(colours), commutes).run()


def pair_colours(subject: Subject, floor: float, rng: torch.Generator) -> Tensor | None:
    """Colours `[N, N]` of pairs that every symmetry of the module keeps; None: not to be had.

    Not to be had of a module that jumps where tokens are equal (it breaks ties by their order).
    """
    shape, n = subject.setting.shape, subject.setting.num_tokens
    dtype = next((p.dtype for p in subject.module.parameters()), torch.float64)
    draw = lambda: torch.randn(*shape[:-2], 1, shape[-1], generator=rng, dtype=torch.float64)  # noqa: E731
    base, one, two, both = (draw().to(dtype) for _ in range(4))
    plain = base.expand(shape)
    eye = torch.eye(n, dtype=dtype)
    at = lambda mark: mark.view(-1, *[1] * (len(shape) - 2), n, 1)  # noqa: E731
    if subject.pooled:
        left, right = eye.repeat_interleave(n, 0), eye.repeat(n, 1)  # pair (i, j) is row i N + j
        same = left * right
        xs = plain + at(left - same) * one + at(right - same) * two + at(same) * both
    else:
        xs = plain + at(eye) * one
    near = xs + 1e-6 * torch.randn(xs.shape, generator=rng, dtype=torch.float64).to(dtype)
    y, moved = subject(xs), subject(near)
    scale = y.abs().flatten(0, 1).amax(0)
    scale = scale.maximum(1e-6 * scale.max()).clamp_min(1e-300)
    if not bool(((y - moved).abs() / scale < 1e-2).all()):
        return None
    y = (y / scale).view(n, n, -1)  # [source, target, F], or [one, two, F]
    look = torch.randn(y.shape[-1], 3, generator=rng, dtype=torch.float64).to(dtype)
    tolerance = max(NEAR, 1e3 * floor)
    labels = torch.stack([_clusters(v, tolerance) for v in (y @ look).flatten(0, 1).T], 1)
    return labels.unique(dim=0, return_inverse=True)[1].view(n, n)


def _clusters(values: Tensor, tolerance: float) -> Tensor:
    """Numbers of groups of values between which there are gaps."""
    order = values.argsort()
    step = values[order].diff() > tolerance * values.abs().max().clamp_min(1e-300)
    label = torch.zeros(len(values), dtype=torch.int64)
    label[order[1:]] = step.cumsum(0)
    return label


def usual_suspects(n: int) -> list[Permutation]:
    """Swaps, turns, reversals, and shifts and exchanges of equal blocks: tried in any case."""
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n) if n <= 24 or j == i + 1]
    found = [swap(n, i, j) for i, j in pairs]
    found += [(*range(1, n), 0), tuple(reversed(range(n)))]
    for a in range(2, n // 2 + 1):
        if n % a:
            continue
        cells = torch.arange(n).view(a, n // a)
        found += [tuple(cells.roll(1, axis).flatten().tolist()) for axis in (0, 1)]
        found += [tuple(cells.flip(axis).flatten().tolist()) for axis in (0, 1)]
        found += [tuple(cells.T.flatten().tolist())] if 2 * a == n or a * a == n else []
    return list(dict.fromkeys(found))
