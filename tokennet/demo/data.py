"""The demo's data: scikit-learn's digits, and Zachary's karate club or Cora.

Axes: B images, T tokens, D channels.
"""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

import tokennet as tn

TEST_IMAGES = 597


@dataclass(frozen=True, eq=False)
class Images:
    """8x8 images `[B, 1, 8, 8]`, values from 0 to 1, and labels; one split for all seeds."""

    fit: Tensor
    fit_labels: Tensor
    test: Tensor
    test_labels: Tensor


@cache
def digits() -> Images:
    """The 1,797 handwritten digits: 1,200 to fit, 597 to test, each class in proportion."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    found = load_digits()
    images = torch.tensor(found.images / 16, dtype=torch.float32)[:, None]
    labels = torch.tensor(found.target)
    fit, test = train_test_split(
        range(len(labels)), test_size=TEST_IMAGES, stratify=found.target, random_state=0
    )
    return Images(images[fit], labels[fit], images[test], labels[test])


def shuffle_patches(images: Tensor, seed: int) -> Tensor:
    """Each image with its sixteen 2x2 patches in another order, drawn for each image."""
    rng = torch.Generator().manual_seed(seed)
    patches = images.unflatten(2, (4, 2)).unflatten(4, (4, 2))  # [B, 1, 4, 2, 4, 2]
    patches = patches.transpose(3, 4).flatten(2, 3)  # [B, 1, 16, 2, 2]
    order = torch.rand(len(images), 16, generator=rng).argsort(1)
    patches = patches.gather(2, order[:, None, :, None, None].expand_as(patches))
    return patches.unflatten(2, (4, 4)).transpose(3, 4).flatten(4, 5).flatten(2, 3)


@dataclass(frozen=True, eq=False)
class Graph:
    """One graph: features, structure, labels, and which tokens are for what."""

    x: Tensor
    structure: tn.Structure
    labels: Tensor
    fit: Tensor
    test: Tensor

    @property
    def classes(self) -> int:
        return int(self.labels.max()) + 1


@cache
def karate() -> Graph:
    """Zachary's karate club: which of 34 members follow which leader; the leaders are labelled."""
    import networkx as nx

    graph = nx.karate_club_graph()
    labels = torch.tensor([int(graph.nodes[i]["club"] != "Mr. Hi") for i in graph])
    fit = torch.zeros(len(labels), dtype=torch.bool)
    fit[[0, 33]] = True  # Mr. Hi and the officer
    return Graph(torch.eye(len(labels)), tn.Structure.from_networkx(graph), labels, fit, ~fit)


@cache
def cora() -> Graph:
    """Cora with its public split: 2,708 papers, 140 of them labelled for fitting."""
    from tokennet.data import planetoid

    (x, structure), labels, masks = planetoid("Cora")
    return Graph(x, structure, labels, masks["train"], masks["test"])


GRAPHS = {"karate club": karate, "Cora": cora}


def graph_task() -> str:
    """Cora where the folder `TOKENNET_DATA` holds it, else the karate club of networkx."""
    folder = os.environ.get("TOKENNET_DATA")
    local = bool(folder) and Path(folder or ".", "Planetoid", "Cora", "raw").is_dir()
    return "Cora" if local else "karate club"
