"""`symmetry_group`: which permutations of the tokens commute with a module.

Axes: P permutations, N tokens, D channels.
"""

from functools import partial

import torch
from torch import Tensor, nn

from tokennet.audit.symmetry.elements import Group
from tokennet.audit.symmetry.find import Judge, exhaustive, searched
from tokennet.audit.symmetry.module import (
    Setting,
    Subject,
    Trial,
    ready,
    says_pooled,
    working_dtype,
)
from tokennet.audit.symmetry.names import name_of
from tokennet.audit.symmetry.result import SymmetryGroup
from tokennet.audit.symmetry.search import automorphisms
from tokennet.audit.symmetry.setting import setting_of
from tokennet.checks import type_error, value_error
from tokennet.structure import Edges, Tokens
from tokennet.verify.check import relative_error

__all__ = ["SymmetryGroup", "symmetry_group"]

ALL_TRIED = 6  # tokens up to which all permutations are tried
SCALES = (1.0, 4.0, 0.25)  # of the inputs, one for each set of weights
ROUNDS = 8  # of other inputs, until the generators stand


def symmetry_group(
    module: nn.Module,
    *,
    num_tokens: int | None = None,
    dim: int | None = None,
    example: Tensor | Tokens | None = None,
    edges: Tensor | Edges | None = None,
    pooled: bool | None = None,
    randomise: bool = True,
    seed: int = 0,
) -> SymmetryGroup:
    """Which permutations of the tokens commute with a module, found by trying them.

    A mixer or a `TokenNet` is called with a structure (a net: its mixers and readout). Any other
    module is called as `module(x)`, with `edges` as `module(x, edge_index)`; the first tensor of
    its output counts. Edges, grid and memory stay where they are while tokens move: on a graph,
    attention over its edges commutes with the automorphisms of the graph. Decided in float64, in
    eval mode, for three sets of random weights and inputs. Up to 6 tokens all permutations are
    tried; beyond, those that can't be ruled out, and `complete` says whether that was all.

    Args:
        num_tokens: 5, if neither the example, the edges nor the module say otherwise.
        dim: channels, for a module that does not say.
        example: gives the shape of x, tokens on the last axis but one; for a mixer also one sample
            as `Tokens`, whose structure (grid, edges, memory) is used.
        edges: `edge_index [2, E]`, or `Edges` for a mixer.
        pooled: whether the output is one answer and has no row for each token; None: by its shape.
        randomise: False takes the weights as they are.
        seed: of weights and inputs.

    Raises:
        TypeError, ValueError: what can't be called or told; an output that is not finite, or that
            is another at each call.
    """
    if not isinstance(module, nn.Module):
        raise type_error("module", type(module).__name__, "an nn.Module")
    setting = setting_of(module, num_tokens, dim, example, edges)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        trials = _trials(module, setting, pooled, randomise, seed)
        vacuous = not any(t.answers for t in trials)
        judge = Judge([t for t in trials if t.answers] or trials)
        n = setting.num_tokens
        for trial in judge.trials:
            trial.subject.try_together(trial.turned(24), trial.tolerance)
        find = exhaustive if n <= ALL_TRIED else partial(searched, seed=seed)
        group, complete = find(judge)
        for _ in range(ROUNDS):
            if not judge.harder(group.generators, seed):
                break
            group, complete = find(judge)
        else:
            complete = False
    matches = None if vacuous else _matches_edges(group, setting)
    name = name_of(group)
    if matches and name.startswith("order"):
        name = f"Aut(edges), {name}"
    if vacuous:
        name = "vacuous: the output does not answer to the tokens"
    return SymmetryGroup(
        type(module).__name__,
        name,
        group.order,
        group.generators,
        n,
        complete,
        vacuous,
        trials[0].subject.pooled,
        matches,
        judge.error,
        judge.gap,
        max(t.floor for t in judge.trials),
        group,
    )


def _trials(
    module: nn.Module, setting: Setting, pooled: bool | None, randomise: bool, seed: int
) -> list[Trial]:
    """Sets of weights, and an input for each."""
    ones = torch.ones(1, *setting.shape, dtype=torch.float64)
    dtype = working_dtype(module, lambda copy, to: setting.call(copy, ones.to(to)))
    found = []
    for k, scale in enumerate(SCALES):
        rng = torch.Generator().manual_seed(7919 * (len(SCALES) * seed + k) + 1)
        copy = ready(module, len(SCALES) * seed + k, dtype, randomise)
        x, other = (
            scale * torch.randn(setting.shape, generator=rng, dtype=torch.float64).to(dtype)
            for _ in range(2)
        )
        with torch.no_grad():
            raw = setting.call(copy, x[None])[0]
        if setting.tokens is None:
            pooled = says_pooled(raw, setting.shape, pooled)
        else:
            pooled = bool(getattr(module, "pooled", False)) if pooled is None else pooled
        subject = Subject(copy, setting, pooled)
        y, again, answer = (subject(part[None])[0] for part in (x, x, other))
        if not bool(y.isfinite().all()):
            raise value_error("output", "not finite", "finite numbers for random features")
        floor = subject.floor(x, y)
        if relative_error(y, again, by_channel=True) > 1000 * torch.finfo(dtype).eps:
            hint = "make it deterministic in eval mode"
            raise value_error("output", "another at each call", "the same for the same input", hint)
        response = relative_error(y, answer, by_channel=True)
        found.append(Trial(subject, x, y, floor, response))
    return found


def _matches_edges(group: Group, setting: Setting) -> bool | None:
    """Whether the group is that of the automorphisms of the edges, weights and features apart."""
    if setting.tokens is not None:
        edges = setting.tokens.structure.edges
        index = None if edges is None else edges.index.long()
    else:
        index = setting.index
    if index is None:
        return None
    n = setting.num_tokens
    counts = torch.zeros(n, n, dtype=torch.int64)
    counts.index_put_((index[0], index[1]), torch.ones(index.shape[1], dtype=torch.int64), True)
    own = automorphisms(counts)
    if not own.complete:
        return None
    return group.order == Group(own.generators, n).order and all(
        group.contains(p) for p in own.generators
    )
