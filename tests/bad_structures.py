"""Bad facts and what is said about them: (call, error, words of the message)."""

from types import SimpleNamespace
from typing import Any

import networkx as nx
import numpy as np
import torch
from bad import Bad, T, V

import tokennet as tn


def index(*pairs: tuple[int, int]) -> torch.Tensor:
    return torch.tensor(pairs).T


def packed(*pairs: tuple[int, int], lengths: tuple[int, ...] = (2, 3), **more: Any) -> tn.Structure:
    return tn.Structure.packed(lengths, edges=tn.Edges(index(*pairs), **more))


def pyg(**data: Any) -> tn.Tokens:
    return tn.Tokens.from_pyg(SimpleNamespace(**{"x": torch.randn(3, 2)} | data))


def graph(**attributes: Any) -> nx.Graph:
    found = nx.Graph()
    found.add_node("a", size=1.0)
    found.add_node("b", **attributes)
    found.add_edge("a", "b", cost="cheap")
    return found


ONE = torch.tensor([[0], [1]])
MASK = torch.tensor([[True, False]])
META = torch.device("meta")

STRUCTURES: dict[str, list[Bad]] = {
    "Padded": [
        Bad(
            lambda: tn.Padded(torch.ones(2, 3)), T, r"valid is torch.float32, .*bool.*mask.bool\(\)"
        ),
        Bad(lambda: tn.Padded(torch.ones(2, 3).long()), T, r"valid is torch.int64"),
        Bad(lambda: tn.Padded([[True]]), T, r"valid is list, expected a bool tensor \[B, N\]"),
        Bad(lambda: tn.Padded(MASK[0]), V, r"valid.shape is \(2,\), expected \[B, N\]"),
        Bad(lambda: tn.Padded(MASK[..., None]), V, r"valid.shape is \(1, 2, 1\)"),
        Bad(lambda: tn.Padded(MASK, dense=True), V, r"dense is True, expected False where valid"),
    ],
    "Packed": [
        Bad(
            lambda: tn.Packed([0, 2], 2, 2),
            T,
            r"ptr is list, expected an integer tensor \[B \+ 1\]",
        ),
        Bad(lambda: tn.Packed(torch.tensor([0.0, 2]), 2, 2), T, r"ptr is torch.float32"),
        Bad(lambda: tn.Packed(torch.tensor([[0, 2]]), 2, 2), V, r"ptr is \(1, 2\)"),
        Bad(lambda: tn.Packed(torch.tensor([1, 2]), 1, 1), V, r"ptr is \[1, 2\], expected first"),
        Bad(
            lambda: tn.Packed(torch.tensor([0, 3, 2]), 2, 3),
            V,
            r"ptr\[2\] is 2, expected at least ptr\[1\] = 3; ptr must not decrease",
        ),
        Bad(
            lambda: tn.Packed(torch.tensor([0, 2]), 3, 3),
            V,
            r"num_tokens is 3, expected ptr\[-1\] = 2",
        ),
        Bad(
            lambda: tn.Packed(torch.tensor([0, 2]), 2, 1),
            V,
            r"max_length is 1, expected at least 2",
        ),
        Bad(
            lambda: tn.Packed(torch.tensor([0, 2]), torch.tensor(2), 2), T, r"num_tokens is tensor"
        ),
        Bad(lambda: tn.Packed.of([2, -1]), V, r"lengths\[1\] is -1, expected at least 0"),
        Bad(lambda: tn.Packed.of([2, 1.5]), T, r"lengths\[1\] is 1.5, expected a whole number"),
        Bad(lambda: tn.Packed.of(torch.tensor([2.0])), T, r"lengths\[0\] is 2.0"),
        Bad(lambda: tn.Packed.of([[2]]), T, r"lengths\[0\] is \[2\]"),
        Bad(lambda: tn.Packed.of([True]), T, r"lengths\[0\] is True"),
        Bad(
            lambda: tn.Packed.of(5), T, r"lengths is 5, expected whole numbers, one for each sample"
        ),
        Bad(lambda: tn.Packed.of("12"), T, r"lengths is '12'"),
        Bad(lambda: tn.Packed.of(torch.tensor(5)), T, r"lengths is tensor\(5\)"),
    ],
    "Edges": [
        Bad(lambda: tn.Edges([[0], [1]]), T, r"edges.index is list, expected an integer tensor"),
        Bad(lambda: tn.Edges(np.zeros((2, 1), int)), T, r"edges.index is ndarray"),
        Bad(
            lambda: tn.Edges(ONE.float()), T, r"edges.index is torch.float32, expected torch.int64"
        ),
        Bad(lambda: tn.Edges(ONE.bool()), T, r"edges.index is torch.bool"),
        Bad(
            lambda: tn.Edges(torch.zeros(5, 2, dtype=torch.int64)),
            V,
            r"edges.index.shape is \(5, 2\), expected \[2, E\].*source, target.*index.T",
        ),
        Bad(lambda: tn.Edges(torch.zeros(3, 4).long()), V, r"shape is \(3, 4\), expected \[2, E\]"),
        Bad(lambda: tn.Edges(ONE[0]), V, r"edges.index.shape is \(1,\)"),
        Bad(lambda: tn.Edges(ONE, torch.ones(1).long()), T, r"edges.weight is torch.int64"),
        Bad(
            lambda: tn.Edges(ONE, [1.0]), T, r"edges.weight is list, expected a tensor of floating"
        ),
        Bad(
            lambda: tn.Edges(ONE, torch.ones(2)),
            V,
            r"weight.shape is \(2,\), expected \[1\], one for",
        ),
        Bad(lambda: tn.Edges(ONE, torch.ones(1, 1)), V, r"edges.weight.shape is \(1, 1\), .*\[1\]"),
        Bad(
            lambda: tn.Edges(ONE, attr=torch.ones(1)), V, r"edges.attr.shape is \(1,\), .*\[1, K\]"
        ),
        Bad(
            lambda: tn.Edges(ONE, torch.ones(1, device=META)),
            V,
            r"weight.device is meta, expected cpu",
        ),
    ],
    "Structure": [
        Bad(lambda: tn.Structure([3, 2]), T, r"layout is list, expected Padded or Packed"),
        Bad(lambda: tn.Structure.dense(2, -1), V, r"num_tokens is -1, expected a whole number"),
        Bad(lambda: tn.Structure.dense(2.0, 1), T, r"batch is 2.0, expected a whole number"),
        Bad(lambda: tn.Structure.dense("2", 1), T, r"batch is '2'"),
        Bad(lambda: packed((0, 5)), V, r"edges.index is 5, expected entries from 0 to 4"),
        Bad(lambda: packed((5, 0)), V, r"edges.index is 5"),
        Bad(lambda: packed((0, -1)), V, r"edges.index is -1, expected entries from 0 to 4"),
        Bad(
            lambda: packed((0, 0), lengths=(0,)), V, r"is 0, expected no edge, as there is no token"
        ),
        Bad(
            lambda: packed((0, 1), (1, 2)),
            V,
            r"edges.index\[:, 1\] is \[1, 2\], expected two tokens of one sample; .*first row",
        ),
        Bad(
            lambda: tn.Structure.padded(MASK, edges=tn.Edges(ONE)),
            V,
            r"edges.index\[:, 0\] is \[0, 1\], expected real tokens; one end is padding",
        ),
        Bad(
            lambda: packed((0, 1), weight=torch.tensor([torch.nan])),
            V,
            r"edges.weight is nan somewh",
        ),
        Bad(
            lambda: packed((0, 1), attr=torch.full((1, 2), torch.inf)),
            V,
            r"edges.attr is inf somewh",
        ),
        Bad(
            lambda: tn.Structure.packed([2], edges=[[0], [1]]), T, r"edges is list, expected Edges"
        ),
        Bad(
            lambda: tn.Structure.packed([2], edges=tn.Edges(ONE.to(META))),
            V,
            r"edges.index.device is meta, expected the layout's \(cpu\)",
        ),
        Bad(lambda: tn.Structure.dense(1, 6, grid=6), T, r"grid is 6, expected one or two whole"),
        Bad(lambda: tn.Structure.dense(1, 6, grid="23"), T, r"grid is '23'"),
        Bad(
            lambda: tn.Structure.dense(1, 6, grid=(2.0, 3)), V, r"grid is \(2.0, 3\), expected one"
        ),
        Bad(lambda: tn.Structure.dense(1, 6, grid=(1, 2, 3)), V, r"grid is \(1, 2, 3\)"),
        Bad(lambda: tn.Structure.dense(1, 0, grid=(0,)), V, r"grid is \(0,\)"),
        Bad(
            lambda: tn.Structure.packed([6, 4], grid=(2, 3)),
            V,
            r"grid is \(2, 3\), expected as many cells as every sample has.*have 4, 6 tokens",
        ),
        Bad(
            lambda: tn.Structure.dense(2, 1, memory=torch.randn(3, 4, 5)),
            V,
            r"memory is 3 samples, expected 2 samples; one set of memory tokens for each",
        ),
        Bad(
            lambda: tn.Structure.dense(2, 1, memory=torch.randn(4, 5)),
            T,
            r"memory is \(4, 5\), .*Tokens",
        ),
        Bad(lambda: tn.Structure.dense(2, 1, memory=[1]), T, r"memory is list, expected Tokens"),
        Bad(
            lambda: tn.Structure.dense(2, 1, memory=torch.randn(2, 4, 5, device=META)),
            V,
            r"memory.device is meta, expected the layout's \(cpu\)",
        ),
        Bad(
            lambda: tn.Structure.dense(1, 1).sorted_edges,
            V,
            r"structure.edges is None, .*edges=Edges",
        ),
        Bad(lambda: tn.Structure.from_networkx([1]), T, r"graph is int, expected a networkx graph"),
    ],
    "Tokens": [
        Bad(lambda: tn.Tokens(torch.randn(2, 3), None), T, r"structure is NoneType, .*a Structure"),
        Bad(
            lambda: tn.Tokens(torch.randn(2, 3), tn.Structure.packed([3])),
            V,
            r"x.shape is \(2, 3\), expected \[3, D\]",
        ),
        Bad(
            lambda: tn.Tokens(torch.randn(2, 3), tn.Structure.dense(1, 2)),
            V,
            r"x.shape is \(2, 3\), expected \[1, 2, D\]; the structure is for \[B, N, D\]",
        ),
        Bad(
            lambda: tn.Tokens(torch.randn(3, device=META)[:, None], tn.Structure.packed([3])),
            V,
            r"x.device is meta, expected the structure's \(cpu\)",
        ),
        Bad(
            lambda: tn.Tokens.dense(torch.randn(2, 3)),
            V,
            r"x is \(2, 3\), expected a tensor \[B, N, D",
        ),
        Bad(lambda: tn.Tokens.from_list([]), V, r"samples is an empty list, expected at least one"),
        Bad(
            lambda: tn.Tokens.from_list(torch.randn(2, 3, 4)),
            T,
            r"samples is Tensor, expected a list",
        ),
        Bad(
            lambda: tn.Tokens.from_list([3]), T, r"samples\[0\] is int, expected a tensor \[n, D\]"
        ),
        Bad(lambda: tn.Tokens.from_list([torch.zeros(())]), V, r"samples\[0\].shape is \(\)"),
        Bad(
            lambda: tn.Tokens.from_list([torch.randn(2, 3), torch.randn(2, 4)]),
            V,
            r"samples\[1\].shape is \(2, 4\), expected \[n, 3\]",
        ),
        Bad(
            lambda: tn.Tokens.from_list([torch.randn(2, 3), torch.randn(2, 3).double()]),
            V,
            r"samples\[1\].dtype is torch.float64, expected torch.float32 as samples\[0\]",
        ),
        Bad(
            lambda: tn.Tokens.from_list([torch.ones(2, 3).long()]),
            T,
            r"x is torch.int64, .*floating",
        ),
        Bad(lambda: pyg(x=None), V, r"data.x is None, expected features \[T, D\]; .*degree"),
        Bad(lambda: pyg(x=torch.randn(3)), V, r"data.x is \(3,\), expected a tensor \[T, D\]"),
        Bad(
            lambda: pyg(batch=torch.tensor([0, 1])),
            V,
            r"data.batch.shape is \(2,\), expected \[3\]",
        ),
        Bad(lambda: pyg(batch=torch.tensor([0, -1, 1])), V, r"data.batch is -1"),
        Bad(lambda: pyg(batch=torch.zeros(3)), T, r"data.batch is torch.float32"),
        Bad(lambda: pyg(ptr=torch.tensor([0, 2])), V, r"data.ptr\[-1\] is 2, expected 3"),
        Bad(lambda: pyg(adj_t=object()), T, r"data.adj_t is a sparse matrix, expected edge_index"),
        Bad(lambda: pyg(edge_index=ONE, edge_attr=[1]), T, r"data.edge_attr is list"),
        Bad(
            lambda: pyg(edge_index=index((0, 3))),
            V,
            r"edges.index is 3, expected entries from 0 to 2",
        ),
        Bad(
            lambda: pyg(edge_index=index((0, 3)), batch=torch.tensor([1, 0, 1])),
            V,
            r"edges.index is 3, expected entries from 0 to 2",
        ),
        Bad(
            lambda: pyg(edge_index=index((0, 1)), batch=torch.tensor([0, 1, 1])),
            V,
            r"\[0, 1\], expected two tokens of one sample",
        ),
        Bad(
            lambda: tn.Tokens.from_networkx(graph(), features=["size"]),
            V,
            r"node 'b' is without attribute 'size'",
        ),
        Bad(
            lambda: tn.Tokens.from_networkx(graph(size="large"), features=["size"]),
            T,
            r"'size' of node 'b' is 'large', expected a number or several",
        ),
        Bad(
            lambda: tn.Tokens.from_networkx(graph(size=[1, 2]), features=["size"]),
            V,
            r"node 'b' is 2 numbers, expected 1 as the first node has",
        ),
        Bad(
            lambda: tn.Tokens.from_networkx(graph(size=1), features=["size"], weight="cost"),
            T,
            r"'cost' of edge \('a', 'b'\) is 'cheap', expected a number",
        ),
        Bad(
            lambda: tn.Tokens.from_networkx(graph(), features="size"),
            T,
            r"features is 'size', .*list",
        ),
        Bad(lambda: tn.Tokens.from_networkx(nx.Graph(), features=["s"]), V, r"graph is no nodes"),
    ],
}
