"""Regions of images and molecules: tokens of any number, and who touches whom."""

import csv
import os
from pathlib import Path

import networkx as nx
import pytest
import torch
from exactness import DTYPES
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from sklearn.datasets import load_digits
from torch import Tensor

import tokennet as tn

each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
draws = settings(max_examples=8, deadline=None)


def _edges(structure: tn.Structure) -> dict[tuple[int, int], float]:
    edges = structure.edges
    ends = [tuple(e) for e in edges.index.T.tolist()]
    assert len(set(ends)) == len(ends)
    return dict(zip(ends, edges.weight.tolist(), strict=True))


# -- regions ---------------------------------------------------------------------------------------


@each_dtype
def test_regions_by_hand(dtype):
    """Two pictures of two and three regions; any whole numbers name them."""
    labels = torch.tensor([[[9, 9, 9], [9, 4, 4]], [[-1, 3, 3], [7, 7, 3]]], dtype=torch.int32)
    images = torch.rand(2, 2, 2, 3, dtype=dtype)
    tokenizer = tn.RegionTokenizer(2, 5).to(dtype)
    tokenizer.map.weight.data = torch.eye(5, dtype=dtype)
    tokenizer.map.bias.data.zero_()
    x, structure = tokenizer((images, labels))
    assert x.dtype == structure.edges.weight.dtype == dtype
    assert structure.lengths.tolist() == [2, 3]
    for row, (image, label) in enumerate([(0, 4), (0, 9), (1, -1), (1, 3), (1, 7)]):
        inside = labels[image] == label
        where = inside.nonzero().to(dtype)
        torch.testing.assert_close(x[row, :2], images[image, :, inside].mean(1))
        centre = (where.mean(0) + 0.5) / torch.tensor([2, 3], dtype=dtype)
        torch.testing.assert_close(x[row, 2:4], centre)
        torch.testing.assert_close(x[row, 4], inside.sum().to(dtype) / 6)
    one_way = {(0, 1): 3, (2, 3): 1, (2, 4): 1, (3, 4): 2}
    assert _edges(structure) == one_way | {(b, a): n for (a, b), n in one_way.items()}


@draws
@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(1, 5), st.integers(1, 5))
def test_regions_of_one_pixel_are_the_pixels(seed, batch, height, width):
    """Then colours are pixels, and the edges those of a grid graph."""
    torch.manual_seed(seed)
    images = torch.randn(batch, 2, height, width)
    labels = torch.arange(height * width).view(height, width).expand(batch, -1, -1)
    regions, pixels = tn.RegionTokenizer(2, 4), tn.PatchTokenizer(2, 1, 4)
    with torch.no_grad():
        regions.map.weight[:, 2:] = 0  # neither place nor size
        regions.map.weight[:, :2] = pixels.map.weight[:, :, 0, 0]
        regions.map.bias.copy_(pixels.map.bias)
    x, structure = regions((images, labels))
    torch.testing.assert_close(x, pixels(images)[0].flatten(0, 1))
    grid = nx.convert_node_labels_to_integers(nx.grid_2d_graph(height, width))
    found = _edges(structure)
    assert set(found.values()) <= {1.0}
    one = {e for e in found if max(e) < height * width}
    assert one == set(grid.to_directed().edges)
    assert len(found) == batch * len(one)


@draws
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 6), st.integers(1, 6))
def test_border_lengths_are_counted_by_a_second_way(seed, kinds, height, width):
    torch.manual_seed(seed)
    labels = torch.randint(-kinds, kinds, (1, height, width))
    x, structure = tn.RegionTokenizer(1, 3)((torch.randn(1, 1, height, width), labels))
    names = sorted(set(labels.flatten().tolist()))
    assert len(x) == len(names)
    expected: dict[tuple[int, int], int] = {}
    picture = labels[0].tolist()
    for r in range(height):
        for c in range(width):
            for s, d in ((r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)):
                if 0 <= s < height and 0 <= d < width and picture[r][c] != picture[s][d]:
                    pair = (names.index(picture[r][c]), names.index(picture[s][d]))
                    expected[pair] = expected.get(pair, 0) + 1
    assert _edges(structure) == expected
    moved = tn.RegionTokenizer(1, 3)
    order = moved((torch.zeros(1, 1, height, width), labels * 1000 + 7))[1]
    assert _edges(order) == expected, "only the order of the labels matters"


def _segmented_digits() -> tuple[Tensor, Tensor]:
    """Connected areas of four grey levels, by scipy."""
    pictures = load_digits().images[:20]
    labels = []
    for picture in pictures:
        areas, total = 0, 0
        for level in range(4):
            found, number = ndimage.label((picture // 4.25).astype(int) == level)
            areas = areas + found + total * (found > 0)
            total += number
        labels.append(torch.as_tensor(areas, dtype=torch.int64))
    images = torch.tensor(pictures, dtype=torch.float32)[:, None] / 16
    return images, torch.stack(labels)


def test_a_graph_net_reads_segmented_digits():
    images, labels = _segmented_digits()
    tokenizer = tn.RegionTokenizer(1, 8)
    net = tn.TokenNet(tokenizer, [tn.GraphConvolution(8)], tn.MeanReadout(8, 10))
    inputs = images.requires_grad_(), labels
    x, structure = tokenizer(inputs)
    assert structure.lengths.tolist() == [len(p.unique()) for p in labels]
    assert structure.lengths.unique().numel() > 3, "samples of many sizes"
    assert structure.edges.num_edges > 2 * len(x) * 0.9
    y = net(inputs)
    assert y.shape == (20, 10)
    y.sum().backward()
    assert (images.grad != 0).all(), "every pixel belongs to a region"
    alone = net((images[3:4], labels[3:4]))
    torch.testing.assert_close(alone[0], y[3], rtol=1e-5, atol=1e-5)


def test_sums_over_a_large_region_stay_exact_in_bfloat16():
    images = torch.full((1, 1, 64, 64), 0.5, dtype=torch.bfloat16)
    tokenizer = tn.RegionTokenizer(1, 4).bfloat16()
    tokenizer.map.weight.data = torch.eye(4, dtype=torch.bfloat16)
    tokenizer.map.bias.data.zero_()
    x, _ = tokenizer((images, torch.zeros(1, 64, 64, dtype=torch.int64)))
    assert x.tolist() == [[0.5, 0.5, 0.5, 1.0]]


def test_no_picture_and_no_molecule_are_no_token():
    labels = torch.zeros(0, 4, 4, dtype=torch.int64)
    x, structure = tn.RegionTokenizer(2, 3)((torch.zeros(0, 2, 4, 4), labels))
    assert (x.shape, structure.batch, structure.edges.num_edges) == ((0, 3), 0, 0)
    for inputs, batch in (([], 0), ([nx.Graph()], 1)):
        x, structure = tn.MoleculeTokenizer(3)(inputs)
        assert (x.shape, structure.batch, structure.edges.num_edges) == ((0, 3), batch, 0)
        assert structure.edges.attr.shape == (0, 4)


# -- molecules -------------------------------------------------------------------------------------


def _acetate() -> nx.Graph:
    graph = nx.Graph()
    graph.add_node("methyl", element="C", hcount=3)
    graph.add_node("carbon", element="C")
    graph.add_node("oxo", element="O")
    graph.add_node("oxide", element="O", charge=-1)
    graph.add_node("sodium", element="Na", charge=1)
    graph.add_edge("methyl", "carbon")
    graph.add_edge("carbon", "oxo", order=2)
    graph.add_edge("carbon", "oxide", order=1)
    graph.add_edge("oxide", "sodium", order=0)  # the salt's dot is no bond
    return graph


@each_dtype
def test_a_smiles_and_its_graph_are_the_same_molecule(dtype):
    pytest.importorskip("rdkit")
    tokenizer = tn.MoleculeTokenizer(6).to(dtype)
    x, structure = tokenizer(["CC(=O)[O-].[Na+]", _acetate(), "c1ccccc1"])
    assert x.dtype == structure.edges.attr.dtype == dtype
    assert structure.lengths.tolist() == [5, 5, 6]
    assert torch.equal(x[:5], x[5:10])
    assert torch.equal(x[10:11].expand(6, -1), x[10:]), "the atoms of benzene are alike"
    assert len({tuple(row) for row in x[:5].tolist()}) == 5
    edges = {
        tuple(e): a
        for e, a in zip(
            structure.edges.index.T.tolist(), structure.edges.attr.tolist(), strict=True
        )
    }
    single, aromatic, double = [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]
    both = {(0, 1): single, (1, 2): double, (1, 3): single}
    both |= {(b, a): kind for (a, b), kind in both.items()}
    both |= {(a + 5, b + 5): kind for (a, b), kind in both.items()}
    assert {e: a for e, a in edges.items() if max(e) < 10} == both
    assert [a for e, a in edges.items() if min(e) >= 10] == [aromatic] * 12
    embed = tokenizer
    oxide = embed.element.weight[8] + embed.charge.weight[8 - 1]
    torch.testing.assert_close(x[3], oxide + embed.hydrogens.weight[0] + embed.aromatic.weight[0])


def test_a_graph_net_reads_molecules_whole():
    net = tn.TokenNet(
        tn.MoleculeTokenizer(8),
        [tn.GraphConvolution(8), tn.GraphConvolution(8)],
        tn.MeanReadout(8, 1),
    )
    graphs = [_acetate(), nx.Graph(), _acetate().subgraph(["methyl", "carbon"])]
    y = net(graphs)
    assert y.shape == (3, 1)
    for graph, one in zip(graphs, y, strict=True):
        torch.testing.assert_close(net([graph])[0], one)
    shuffled = nx.Graph()
    shuffled.add_nodes_from(reversed(list(_acetate().nodes(data=True))))
    shuffled.add_edges_from(_acetate().edges(data=True))
    torch.testing.assert_close(net([shuffled])[0], y[0])  # the numbering does not matter


def test_given_facts_stay():
    tokenizer, graph = tn.MoleculeTokenizer(4), _acetate()
    mine = tn.Structure.packed([5], edges=tn.Edges(torch.tensor([[0], [1]])))
    assert tokenizer([graph], mine)[1] is mine
    memory = tn.Structure.packed([5], memory=torch.ones(1, 2, 4))
    structure = tokenizer([graph], memory)[1]
    assert structure.edges.num_edges == 6
    assert structure.memory is not None
    with pytest.raises(
        ValueError, match=r"structure.lengths is \[2, 3\], expected \[5\] as the in"
    ):
        tokenizer([graph], tn.Structure.packed([2, 3]))


def test_every_molecule_of_esol_is_read():
    """Delaney's 1,128 solubilities, MoleculeNet's file."""
    pytest.importorskip("rdkit")
    path = Path(os.environ.get("TOKENNET_DATA", ""), "molnet", "delaney-processed.csv")
    if not path.is_file():
        pytest.skip("molnet/delaney-processed.csv is not in TOKENNET_DATA")
    with path.open() as file:
        smiles = [row["smiles"] for row in csv.DictReader(file)]
    x, structure = tn.MoleculeTokenizer(4)(smiles)
    assert structure.batch == len(smiles) == 1128
    assert structure.lengths.min() == 1
    assert x.isfinite().all()
    assert len(x) == 14991
    assert structure.edges.num_edges == 30856


@pytest.mark.parametrize("smiles", ["C(", "xx", "c1cccc1", "C1CC"])
def test_what_is_no_smiles_is_refused(smiles, capfd):
    pytest.importorskip("rdkit")
    with pytest.raises(ValueError, match=r"inputs\[1\] is '.*', expected a valid SMILES; RDKit"):
        tn.MoleculeTokenizer(4)(["CO", smiles])
    assert capfd.readouterr().err == "", "said once"
