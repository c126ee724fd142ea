"""Bad calls of: tokenizers and vocabularies."""

from collections.abc import Callable
from typing import Any

import networkx as nx
import torch
from bad import Bad, D, T, V, dense, packed

import tokennet as tn

IDS = torch.tensor([[0, 1, 2]])


def letters(**kwargs: Any) -> tn.CharacterVocabulary:
    return tn.CharacterVocabulary("abc", **kwargs)


def text(inputs: Any, structure: Any = None) -> Any:
    return tn.TextTokenizer(letters(), D)(inputs, structure)


def one_hot(inputs: Any, structure: Any = None) -> Any:
    return tn.OneHotTokenizer(3)(inputs, structure)


def series(*shape: int, dtype: torch.dtype = torch.float32, stride: int = 4) -> Any:
    return tn.SeriesTokenizer(2, D, window=4, stride=stride)(torch.ones(shape, dtype=dtype))


def neurons(inputs: Any, structure: Any = None) -> Any:
    return tn.NeuronTokenizer(5)(inputs, structure)


def blurred(*shape: int, dtype: torch.dtype = torch.float32) -> Any:
    return tn.BlurredPatchTokenizer(3, 4, D, blur=3)(torch.ones(shape, dtype=dtype))


def regions(images: Any = None, labels: Any = None, structure: Any = None) -> Any:
    images = torch.ones(1, 3, 2, 2) if images is None else images
    labels = torch.ones(1, 2, 2, dtype=torch.int64) if labels is None else labels
    return tn.RegionTokenizer(3, D)((images, labels), structure)


def atom(order: Any = 1, **facts: Any) -> Any:
    graph = nx.Graph()
    graph.add_node(0, **{"element": "C", **facts})
    graph.add_node(1, element="C")
    graph.add_edge(0, 1, order=order)
    return tn.MoleculeTokenizer(D)([graph])


def _decoding(make: Callable[[], tn.Vocabulary], size: int) -> list[Bad]:
    allowed = rf"expected ids from 0 to {size - 1}"
    return [
        Bad(lambda: make().decode([0, size]), V, rf"ids\[1\] is {size}, {allowed}"),
        Bad(lambda: make().decode([-1]), V, rf"ids\[0\] is -1, {allowed}"),
        Bad(lambda: make().encode(["a"]), T, r"text is list, expected a text \(str\)"),  # type: ignore[arg-type]
        Bad(lambda: make().encode(None), T, r"text is NoneType, expected a text"),  # type: ignore[arg-type]
    ]


TOKENIZERS: dict[str, list[Bad]] = {
    "Vocabulary": [Bad(tn.Vocabulary, T, r"abstract")],
    "CharacterVocabulary": [
        *_decoding(letters, 3),
        Bad(lambda: tn.CharacterVocabulary(""), V, r"text is empty, expected at least one char"),
        Bad(lambda: tn.CharacterVocabulary(["a"]), T, r"text is list, expected a text"),
        Bad(lambda: letters(unknown=0), T, r"unknown is int, expected a text"),
        Bad(
            lambda: letters().encode("abx"),
            V,
            r"text\[2\] is 'x', expected one of 3 characters; .*unknown='\?'",
        ),
    ],
    "ByteVocabulary": [
        *_decoding(tn.ByteVocabulary, 256),
        Bad(lambda: tn.ByteVocabulary().decode_bytes([256]), V, r"ids\[0\] is 256, .*to 255"),
    ],
    "WordVocabulary": [
        *_decoding(lambda: tn.WordVocabulary(["a b"]), 3),
        Bad(lambda: tn.WordVocabulary("a b"), T, r"texts is str, expected a list of texts; put"),
        Bad(lambda: tn.WordVocabulary([b"a"]), T, r"texts\[0\] is bytes, expected a text"),
        Bad(lambda: tn.WordVocabulary(["a"], max_size=0), V, r"max_size is 0, expected at least 1"),
        Bad(lambda: tn.WordVocabulary(["a"], min_count=0), V, r"min_count is 0"),
        Bad(lambda: tn.WordVocabulary(["a"], pattern="("), V, r"pattern is '\(', .*regular expres"),
    ],
    "BPEVocabulary": [
        Bad(lambda: tn.BPEVocabulary.train(["a"], 255), V, r"size is 255, expected at least 256"),
        Bad(lambda: tn.BPEVocabulary.train("a", 300), T, r"texts is str, expected a list of texts"),
        Bad(lambda: tn.BPEVocabulary.train([1], 300), T, r"texts\[0\] is int, expected a text"),
    ],
    "TextTokenizer": [
        Bad(lambda: tn.TextTokenizer(["a"], D), T, r"vocabulary is list, expected a Vocabulary"),
        Bad(lambda: tn.TextTokenizer(letters(), 0), V, r"dim is 0"),
        Bad(lambda: text("abc"), T, r"inputs is str, expected a list of texts; put one text into"),
        Bad(lambda: text(["a", 3]), T, r"inputs\[1\] is int, expected a text"),
        Bad(lambda: text(["a", "ax"]), V, r"text\[1\] is 'x'"),
        Bad(lambda: text(["abc"], "packed"), T, r"structure is str, expected a Structure"),
        Bad(
            lambda: text(["abc"], dense()), V, r"structure is for tokens \[1, 6\], .*one for \[3\]"
        ),
        Bad(lambda: text(["a", "bc"], packed(2, 1)), V, r"structure.lengths is \[2, 1\], .*\[1, 2"),
    ],
    "OneHotTokenizer": [
        Bad(lambda: tn.OneHotTokenizer(0), V, r"num_embeddings is 0"),
        Bad(lambda: one_hot(IDS + 1), V, r"inputs is 3, expected ids from 0 to 2"),
        Bad(lambda: one_hot(IDS - 1), V, r"inputs is -1, expected ids from 0 to 2"),
        Bad(lambda: one_hot(IDS.float()), T, r"inputs is torch.float32, expected whole numbers"),
        Bad(lambda: one_hot(IDS[None]), V, r"inputs.shape is \(1, 1, 3\), expected \[B, N\]"),
        Bad(lambda: one_hot(IDS[0]), V, r"structure is None, expected a structure for packed"),
        Bad(lambda: one_hot(IDS.to("meta")), V, r"inputs.device is meta, expected cpu as the par"),
    ],
    "NeuronTokenizer": [
        Bad(lambda: tn.NeuronTokenizer(0), V, r"num_neurons is 0"),
        Bad(lambda: neurons(torch.ones(2, 4)), V, r"inputs.shape is \(2, 4\), expected \[B, 5\]"),
        Bad(lambda: neurons(torch.ones(5)), V, r"inputs.shape is \(5,\), expected \[B, 5\]"),
        Bad(lambda: neurons(torch.ones(2, 5).long()), T, r"inputs is torch.int64, .*vectors of fl"),
        Bad(lambda: neurons(torch.ones(2, 5), packed(10)), V, r"structure is for tokens \[10\]"),
    ],
    "SeriesTokenizer": [
        Bad(lambda: series(1, 8, 2, stride=5), V, r"stride is 5, expected at most window \(4\)"),
        Bad(lambda: tn.SeriesTokenizer(2, D, window=0), V, r"window is 0"),
        Bad(lambda: tn.SeriesTokenizer(0, D), V, r"channels is 0"),
        Bad(lambda: series(1, 2, 8), V, r"inputs.shape is \(1, 2, 8\), expected \[B, S, 2\]"),
        Bad(lambda: series(8, 2), V, r"inputs.shape is \(8, 2\), expected \[B, S, 2\]"),
        Bad(lambda: series(1, 9, 2), V, r"number of steps is 9, .*\(4 \+ k \* 4\); pad or cut"),
        Bad(lambda: series(1, 3, 2), V, r"number of steps is 3"),
        Bad(lambda: series(1, 8, 2, dtype=torch.int64), T, r"inputs is torch.int64, .*series of"),
        Bad(lambda: series(1, 8, 2, dtype=torch.float64), T, r"inputs.dtype is torch.float64"),
    ],
    "BlurredPatchTokenizer": [
        Bad(
            lambda: tn.BlurredPatchTokenizer(3, 4, D, blur=4),
            V,
            r"blur is 4, expected an odd number of taps",
        ),
        Bad(lambda: tn.BlurredPatchTokenizer(3, 4, D, blur=0), V, r"blur is 0"),
        Bad(lambda: tn.BlurredPatchTokenizer(3, 4, D, blur=3, stride=5), V, r"stride is 5"),
        Bad(lambda: blurred(1, 2, 8, 8), V, r"inputs.shape is \(1, 2, 8, 8\), .*\[B, 3, H, W\]"),
        Bad(lambda: blurred(1, 3, 9, 8), V, r"image height is 9"),
        Bad(lambda: blurred(1, 3, 8, 8, dtype=torch.uint8), T, r"inputs is torch.uint8, .*255"),
        Bad(lambda: blurred(1, 3, 8, 8, dtype=torch.float64), T, r"inputs.dtype is torch.float64"),
    ],
    "RegionTokenizer": [
        Bad(lambda: tn.RegionTokenizer(0, D), V, r"channels is 0"),
        Bad(
            lambda: tn.RegionTokenizer(3, D)(torch.ones(1, 3, 2, 2)),
            T,
            r"inputs is Tensor, expected a pair \(images, labels\)",
        ),
        Bad(
            lambda: regions(torch.ones(1, 2, 2, 2)), V, r"images.shape is \(1, 2, 2, 2\), .*\[B, 3"
        ),
        Bad(lambda: regions(torch.ones(1, 3, 2, 2).byte()), T, r"images is torch.uint8, .*/ 255"),
        Bad(lambda: regions(torch.ones(1, 3, 2, 2).double()), T, r"images.dtype is torch.float64"),
        Bad(lambda: regions(labels=torch.ones(1, 2, 2)), T, r"labels is torch.float32, .*whole nu"),
        Bad(lambda: regions(labels=IDS), V, r"labels.shape is \(1, 3\), expected \[1, 2, 2\] as"),
        Bad(
            lambda: regions(labels=torch.ones(1, 2, 2, dtype=torch.int64, device="meta")),
            V,
            r"labels.device is meta, expected cpu as the images",
        ),
        Bad(lambda: regions(structure=packed(2)), V, r"structure is for tokens \[2\], .*\[1\]"),
    ],
    "MoleculeTokenizer": [
        Bad(lambda: tn.MoleculeTokenizer(0), V, r"dim is 0"),
        Bad(lambda: tn.MoleculeTokenizer(D)("CO"), T, r"inputs is str, .*put one molecule into a"),
        Bad(lambda: tn.MoleculeTokenizer(D)([7]), T, r"inputs\[0\] is int, expected a SMILES or a"),
        Bad(lambda: atom(element="Zz"), V, r"inputs\[0\]\[0\].element is Zz, .*chemical symbol"),
        Bad(lambda: atom(charge=9), V, r"inputs\[0\]\[0\].charge is 9, .*from -8 to 8"),
        Bad(lambda: atom(hcount=-1), V, r"inputs\[0\]\[0\].hydrogens is -1, .*from 0 to 8"),
        Bad(lambda: atom(hcount=None), V, r"hydrogens is None, expected a whole number"),
        Bad(lambda: atom(order=4), V, r"inputs\[0\].order is 4, expected a bond order of 0, 1"),
    ],
}
