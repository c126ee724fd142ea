"""The freedom of eigenvectors: their signs, and their basis where eigenvalues repeat."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from tokennet.laws.law import Case, Law
from tokennet.laws.rows import pick, real_rows, rows_of_samples
from tokennet.structure import Tokens

SAME = 1e-6  # eigenvalues nearer than this are one


@dataclass(frozen=True)
class SignBasis(Law):
    """Signs of eigenvector codes do not matter, nor the basis of an eigenspace.

    The codes are the channels `first` to `last` (not included) of the tokens.
    """

    statement: ClassVar[str] = "f(x, codes Q) = f(x, codes) for Q that keeps each eigenspace"
    first: int = 0
    last: int = 0

    def case(self, tokens: Tokens, rng: torch.Generator) -> Case | None:
        layout = tokens.structure.layout
        flat = layout.flat(tokens.x).clone()
        turn, moved = pick(rng, 0, 1) == 1, False
        for rows in rows_of_samples(tokens):
            codes = flat[rows, self.first : self.last].double()
            if not codes.numel():
                continue
            new = self._turned(tokens, rows, codes, rng) if turn else None
            if new is None:
                signs = torch.randint(0, 2, (codes.shape[1],), generator=rng) * 2 - 1
                signs[pick(rng, 0, len(signs) - 1)] = -1
                new, turn = codes * signs, False
            moved |= not torch.equal(new, codes)
            flat[rows, self.first : self.last] = new.to(flat)
        if not moved:
            return None
        real, everyone = real_rows(tokens), torch.arange(tokens.structure.batch)
        name = "eigenspaces in another basis" if turn else "eigenvectors with other signs"
        new_tokens = Tokens(layout.unflat(flat), tokens.structure)
        # The gradient with respect to the codes turns along with them: outputs only.
        return Case(new_tokens, real, real, name, everyone, everyone, gradients=False)

    def _turned(
        self, tokens: Tokens, rows: Tensor, codes: Tensor, rng: torch.Generator
    ) -> Tensor | None:
        """The codes of one sample with each eigenspace of several columns in another basis."""
        if tokens.structure.edges is None:
            return None
        laplacian = laplacian_of(tokens, rows)
        image = laplacian @ codes
        norms = codes.square().sum(0).clamp_min(1e-300)
        values = (codes * image).sum(0) / norms
        exact = (image - codes * values).abs().amax(0) < SAME
        new, found = codes.clone(), False
        for value in values[exact]:
            group = (exact & ((values - value).abs() < SAME) & (norms > SAME)).nonzero().squeeze(1)
            if len(group) > 1:
                q, _ = torch.linalg.qr(
                    torch.randn(len(group), len(group), generator=rng, dtype=torch.float64)
                )
                new[:, group] = codes[:, group] @ q
                found = True
        return new if found else None


def laplacian_of(tokens: Tokens, rows: Tensor) -> Tensor:
    """L = D - A of one sample, edges taken in both directions and once, without loops."""
    assert tokens.structure.edges is not None
    place = torch.full((tokens.structure.layout.rows,), -1)
    place[rows] = torch.arange(len(rows))
    source, target = place[tokens.structure.edges.index.long()]
    own = (source >= 0) & (target >= 0) & (source != target)
    adjacency = torch.zeros(len(rows), len(rows), dtype=torch.float64)
    adjacency[source[own], target[own]] = 1
    adjacency = torch.maximum(adjacency, adjacency.T)
    return torch.diag(adjacency.sum(1)) - adjacency
