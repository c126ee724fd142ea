"""The kinds of modules in the corpus: example, roles of the arguments, what each kind promises.

Axes: B samples, N tokens, T tokens of all samples, E edges, D channels.
"""

import torch
from torch import Tensor

from corpus.entry import Task

DIM = 6
WORDS = 11  # ids run from 0 to WORDS - 1

COMMON = (
    "BatchIndependence",
    "TrainEval",
    "MemoryLayout",
    "Repeatability",
    "NoState",
    "Purity",
)
CAUSALITY = ("Causality", "Prefix", "GradientOf(Causality)")
PADDING = ("Padding", "NaNPadding", "LeftPadding", "GradientOf(Padding)")
GRAPH = ("Permutation", "EdgeOrder", "Locality")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def features(batch: int = 3, tokens: int = 7, dim: int = DIM, seed: int = 0) -> Tensor:
    return torch.randn(batch, tokens, dim, generator=generator(seed))


def words(batch: int = 3, tokens: int = 7, seed: int = 0) -> Tensor:
    return torch.randint(1, WORDS, (batch, tokens), generator=generator(seed))


def right_padded(lengths: tuple[int, ...] = (7, 4, 2), tokens: int = 7) -> Tensor:
    """`[B, N]`, True at a real token."""
    return torch.arange(tokens)[None] < torch.tensor(lengths)[:, None]


def ring(tokens: int = 6, first: int = 0) -> Tensor:
    """A directed ring with two chords: `[2, E]`, rows source and target."""
    i = torch.arange(tokens)
    edges = torch.stack([i, (i + 1) % tokens])
    chords = torch.tensor([[0, 3], [2, 1]])
    return torch.cat([edges, chords], 1) + first


def _tokens() -> tuple[Tensor, ...]:
    return (features(),)


def _masked() -> tuple[Tensor, ...]:
    return features(), right_padded()


def _ignored() -> tuple[Tensor, ...]:
    return features(), ~right_padded()


def _words() -> tuple[Tensor, ...]:
    return (words(),)


def _masked_words() -> tuple[Tensor, ...]:
    return words(), right_padded()


def _graph() -> tuple[Tensor, ...]:
    return features()[0, :6], ring()


def _weighted() -> tuple[Tensor, ...]:
    x, edges = _graph()
    return x, edges, torch.rand(edges.shape[1], generator=generator(1)) + 0.5


def _attributed() -> tuple[Tensor, ...]:
    x, edges = _graph()
    return x, edges, torch.randn(edges.shape[1], 3, generator=generator(1))


def _packed() -> tuple[Tensor, ...]:
    return features().flatten(0, 1)[:11], torch.tensor([0] * 5 + [1] * 4 + [2] * 2)


def _graphs() -> tuple[Tensor, ...]:
    edges = torch.cat([ring(6), ring(5, first=6)], 1)
    return features().flatten(0, 1)[:11], edges, torch.tensor([0] * 6 + [1] * 5)


def _square() -> tuple[Tensor, ...]:
    return (features(tokens=16),)


def _oblong() -> tuple[Tensor, ...]:
    return (features(tokens=15),)


def _eigenvectors() -> tuple[Tensor, ...]:
    vectors = torch.linalg.qr(features(dim=7)).Q[..., :3]
    return features(), vectors


def _remembered() -> tuple[Tensor, ...]:
    return features(), features(tokens=5, seed=1)


TOKENS = Task(_tokens, {"tokens": "x"}, COMMON)
SET = TOKENS.also("Permutation")
CAUSAL = TOKENS.also(*CAUSALITY)
CACHED = CAUSAL.also("Cache").given(cache="step")
MASKED = Task(_masked, {"tokens": "x", "mask": "mask"}, (*COMMON, *PADDING))
MASKED_SET = MASKED.also("Permutation")
MASKED_CAUSAL = MASKED.also(*CAUSALITY)
IGNORED = Task(
    _ignored, {"tokens": "x", "mask": "key_padding_mask"}, (*COMMON, "Padding", "LeftPadding")
)
IDS = Task(_words, {"tokens": "ids"}, COMMON)
MASKED_IDS = Task(_masked_words, {"tokens": "ids", "mask": "mask"}, (*COMMON, "Padding"))
SINGLE = tuple(p for p in COMMON if p != "BatchIndependence")
ON_GRAPH = Task(_graph, {"tokens": "x", "edges": "edge_index"}, (*SINGLE, *GRAPH))
ON_WEIGHTED = Task(
    _weighted,
    {"tokens": "x", "edges": "edge_index", "edge_weight": "edge_weight"},
    (*SINGLE, *GRAPH),
)
ON_ATTRIBUTED = Task(
    _attributed,
    {"tokens": "x", "edges": "edge_index", "edge_attr": "edge_attr"},
    (*SINGLE, *GRAPH),
)
PACKED = Task(_packed, {"tokens": "x", "batch": "batch"}, (*COMMON, "Permutation", "Interleaving"))
ON_GRAPHS = Task(
    _graphs,
    {"tokens": "x", "edges": "edge_index", "batch": "batch"},
    (*COMMON, "Permutation", "EdgeOrder", "Interleaving"),
)
CYCLIC = TOKENS.also("CyclicShift")
GRID = Task(_square, {"tokens": "x", "grid": (4, 4)}, (*COMMON, "GridShift"))
OBLONG = Task(_oblong, {"tokens": "x", "grid": (3, 5)}, (*COMMON, "GridShift"))
SIGNED = Task(
    _eigenvectors,
    {"tokens": "x", "codes": "vectors"},
    (*COMMON, "Permutation", "SignBasis"),
)
WITH_MEMORY = Task(
    _remembered,
    {"tokens": "x", "memory": "memory"},
    (*COMMON, "Permutation", "MemoryPermutation"),
)
