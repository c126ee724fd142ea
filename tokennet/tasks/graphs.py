"""Tasks on graphs: the class of every token of a graph, and the class of a graph.

Axes: T tokens, D channels.
"""

import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import positive
from tokennet.data import planetoid, tu_dataset
from tokennet.data.split import complement, stratified_folds
from tokennet.mixers import GINConvolution, GraphConvolution, Mixer, TokenWise
from tokennet.net import FeatureTokenizer, NoResidual, SumReadout, Tokenizer
from tokennet.structure import Structure
from tokennet.tasks.base import Data, Reference, Task
from tokennet.tasks.samples import Graphs, OneGraph, limited
from tokennet.tasks.training import Recipe


class SparseFeatures(Tokenizer):
    """W dropout(x) of features that are a sparse CSR matrix `[T, in_dim]`, as 99 % are zeros."""

    def __init__(self, in_dim: int, dim: int, dropout: float):
        super().__init__()
        self.dim = dim
        self.dropout = nn.Dropout(dropout)
        self.features = FeatureTokenizer(in_dim, dim, bias=False)
        nn.init.xavier_uniform_(self.features.map.weight)  # type: ignore[arg-type]

    def forward(
        self, inputs: Float[Tensor, "T D"], structure: Structure | None = None
    ) -> tuple[Tensor, Structure]:
        kept = self.dropout(inputs.values())  # zeros stay zeros anyway
        where = inputs.crow_indices(), inputs.col_indices()
        x = torch.sparse_csr_tensor(*where, kept, inputs.shape, check_invariants=False)
        return self.features(x, structure)


def rectified() -> Mixer:
    """What stands between two graph convolutions, in place of a channel MLP."""
    return TokenWise(nn.ReLU())


def bare(dim: int, mixer: Mixer, *, dropout: float = 0.0) -> Mixer:
    """f(x): no norm and no skip connection; what the ReLU gives is dropped, and that alone."""
    last = isinstance(mixer, TokenWise)
    return NoResidual(dim, mixer, norm=nn.Identity, dropout=dropout if last else 0.0)


class Citations(Task):
    """Papers that cite each other: the field of each, from its words and a few labelled others.

    The graph of `planetoid` with its public split: 20 tokens of each class to fit, 500 to choose
    the epoch by, 1,000 to test; the whole graph is one sample. As in the paper the last layer is a
    graph convolution whatever the mixers are; `readout=lambda dim, classes: tn.TokenReadout(dim,
    classes)` leaves all the talking to them. Metric: accuracy. Facts for parts: `num_tokens`,
    `classes`.
    """

    tokens: int
    features: int
    classes: int
    recipe = Recipe(
        epochs=200, batch_size=1, lr=0.01, weight_decay=2.0, warmup=0.005, schedule=False
    )
    own: ClassVar[Mapping[str, Any]] = {
        "mixer": GraphConvolution, "mlp": rectified, "residual": bare, "dim": 128, "depth": 1,
        "dropout": 0.5,
    }  # fmt: skip

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"num_tokens": self.tokens, "classes": self.classes}

    def data(self, seed: int) -> Data:
        return _citations(self.name)

    def tokenizer(self, dim: int) -> Tokenizer:
        return SparseFeatures(self.features, dim, 0.5)

    def readout(self, dim: int) -> Mixer:
        return GraphConvolution(dim, out_dim=self.classes)


class Cora(Citations):
    """2,708 papers on machine learning, 1,433 words, 7 fields; see `Citations`."""

    tokens, features, classes = 2708, 1433, 7
    reference = Reference(0.815, "GCN, Kipf and Welling 2017, table 2")


class CiteSeer(Citations):
    """3,327 papers on computer science, 3,703 words, 6 fields; see `Citations`.

    The common net, with one linear map more than the paper's, stays at 0.66 (seeds 100 to 102).
    """

    tokens, features, classes = 3327, 3703, 6
    reference = Reference(0.703, "GCN, Kipf and Welling 2017, table 2")


@cache
def _citations(name: str) -> Data:
    (x, structure), labels, masks = planetoid(name)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        x = x.to_sparse_csr()
    fit, choose, test = (
        OneGraph(x, structure, labels, masks[part]) for part in ("train", "validation", "test")
    )
    return Data(fit, test, choose)


class GraphClasses(Task):
    """The class of a graph, ten-fold as is usual: seed k tests on fold k mod 10.

    The folds are stratified, those of the k-th ten seeds are dealt out by another shuffle; nine
    folds to fit, one to test, no epoch is chosen. The runs of different seeds share most of their
    fitting samples, so they are not independent; those of one seed share the fold, and are
    compared in pairs. Metric: accuracy. Facts for parts: `num_tokens` (None), `features`.

    Args:
        limit: graphs to fit, drawn by the seed; None: all.
    """

    features: int
    classes = 2
    own: ClassVar[Mapping[str, Any]] = {"mixer": GINConvolution, "depth": 3}

    def __init__(
        self,
        recipe: Recipe | None = None,
        *,
        epochs: int | None = None,
        limit: int | None = None,
    ) -> None:
        super().__init__(recipe, epochs=epochs)
        self.limit = None if limit is None else positive("limit", limit)

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"num_tokens": None, "features": self.features}

    def data(self, seed: int) -> Data:
        graphs, labels = _graphs(self.name)
        test = stratified_folds(labels, 10, seed // 10)[seed % 10]
        parts = complement(test, len(labels)), test
        fit, last = (Graphs([graphs[i] for i in part.tolist()], labels[part]) for part in parts)
        return Data(limited(fit, self.limit, seed), last)

    def tokenizer(self, dim: int) -> Tokenizer:
        return FeatureTokenizer(self.features, dim)

    def readout(self, dim: int) -> Mixer:
        return SumReadout(dim, self.classes)


class MUTAG(GraphClasses):
    """188 molecules, atoms of 7 kinds: does it change the genes of a bacterium; see `GraphClasses`.

    The reference chose its epoch by the test folds, which flatters.
    """

    features = 7
    recipe = Recipe(epochs=150, batch_size=32, lr=3e-3)
    reference = Reference(0.894, "GIN-0, Xu et al. 2019, table 1", 0.056)


class PROTEINS(GraphClasses):
    """1,113 proteins, pieces of 3 kinds: is it an enzyme; see `GraphClasses`.

    The reference chose its epoch by the test folds, which flatters.
    """

    features = 3
    recipe = Recipe(epochs=20, batch_size=32, lr=2e-3)
    reference = Reference(0.762, "GIN-0, Xu et al. 2019, table 1", 0.028)


_graphs = cache(tu_dataset)
