"""Tokens up to the one that ends a text, and the answer at the last token."""

from typing import Any

import pytest
import torch

import tokennet as tn
from tokennet.net.ending import EndedTokenizer, LastReadout

IDS = torch.tensor([[1, 4, 2, 4, 3], [1, 2, 3, 1, 4], [4, 1, 1, 5, 5], [1, 1, 1, 1, 1]])


def lengths(end: int | None, structure: Any = None) -> list[int]:
    _, found = EndedTokenizer(tn.EmbeddingTokenizer(6, 3), end)(IDS, structure)
    return found.lengths.tolist()


def test_a_sample_ends_at_the_first_end() -> None:
    assert lengths(4) == [2, 5, 1, 5]
    assert lengths(None) == [2, 5, 4, 1]
    valid = torch.ones(4, 5, dtype=torch.bool)
    valid[0, 1] = valid[1, 4] = False  # ends among the padding are none
    assert lengths(4, tn.Structure.padded(valid)) == [3, 4, 1, 5]
    assert lengths(None, tn.Structure.padded(valid)) == [3, 3, 4, 1]


@pytest.mark.parametrize("end", [4, None])
def test_packed_is_as_padded(end: int | None) -> None:
    net = EndedTokenizer(tn.EmbeddingTokenizer(6, 3), end)
    x, one = net(IDS)
    y, two = net(IDS.flatten(), tn.Structure.packed([5, 5, 5, 5]))
    assert one.lengths.tolist() == two.lengths.tolist()
    assert torch.equal(x[one.layout.valid], y)


def test_errors() -> None:
    edges = tn.Edges(torch.tensor([[0], [1]]))
    net = EndedTokenizer(tn.EmbeddingTokenizer(6, 3), 4)
    with pytest.raises(ValueError, match=r"^structure\.edges is given, expected None"):
        net(IDS, tn.Structure.dense(4, 5, edges=edges))
    with pytest.raises(TypeError, match=r"^tokenizer is .*, expected a Tokenizer"):
        EndedTokenizer(torch.nn.Embedding(6, 3), 4)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^end is -1"):
        EndedTokenizer(tn.EmbeddingTokenizer(6, 3), -1)
    pixels = EndedTokenizer(tn.PatchTokenizer(1, 2, 3), 4)
    with pytest.raises(ValueError, match=r"^tokenizer is PatchTokenizer, expected one that makes"):
        pixels(torch.randn(1, 1, 4, 4))


def test_the_last_token_is_read() -> None:
    readout = LastReadout(3, 2)
    x = torch.randn(3, 4, 3)
    valid = torch.tensor([[1, 1, 0, 1], [0, 1, 1, 0], [0, 0, 0, 0]]).bool()
    y = readout(x, tn.Structure.padded(valid))
    last = torch.stack([x[0, 3], x[1, 2], torch.zeros(3)])
    torch.testing.assert_close(y, readout.map(readout.norm(last)))
    packed = readout(x[valid], tn.Structure.packed([3, 2, 0]))
    torch.testing.assert_close(y, packed)
    assert readout(x[:0], tn.Structure.dense(0, 4)).shape == (0, 2)
    assert not readout.claims
    tn.verify(readout, examples=10).raise_if_broken()
