"""Vocabularies and texts: exact round trips, order, unknown symbols."""

import re
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tokennet as tn

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
CORPUS = ["the cat sat, the cat ran.", "the dog sat.", "a cat and a dog"]


@pytest.fixture(scope="module")
def bpe() -> tn.BPEVocabulary:
    pytest.importorskip("tokenizers")
    return tn.BPEVocabulary.train(CORPUS, 270)


@given(st.text())
def test_bytes_come_back_exactly(text: str):
    vocabulary = tn.ByteVocabulary()
    ids = vocabulary.encode(text)
    assert len(vocabulary) == 256
    assert ids == list(text.encode())
    assert vocabulary.decode(ids) == text


@given(st.binary(), st.text(st.characters(categories=["Cs", "Ll"])))
def test_bytes_that_are_no_text_come_back_too(raw: bytes, halves: str):
    vocabulary = tn.ByteVocabulary()
    assert vocabulary.decode_bytes(vocabulary.encode(raw)) == raw
    assert isinstance(vocabulary.decode(raw), str)  # a model may write any bytes
    assert vocabulary.decode(vocabulary.encode(halves)) == halves


@given(text=st.text())
def test_byte_pairs_come_back_exactly(bpe, text: str):
    ids = bpe.encode(text)
    assert bpe.decode(ids) == text
    assert len(ids) <= len(text.encode())


def test_byte_pairs_join_what_is_frequent(bpe, tmp_path: Path):
    assert len(bpe) == 270
    assert len(bpe.encode("the cat")) < len("the cat") / 2
    assert len(bpe.encode("xyzzy")) == 5
    again = tn.BPEVocabulary.train(CORPUS, 270)
    assert again.encode(" ".join(CORPUS)) == bpe.encode(" ".join(CORPUS))
    path = tmp_path / "bpe.json"
    for _ in range(2):  # the second replaces the first
        bpe.save(path)
    assert list(tmp_path.iterdir()) == [path], "no part of a file stays behind"
    loaded = tn.BPEVocabulary.load(path)
    assert loaded.encode(CORPUS[0]) == bpe.encode(CORPUS[0])
    assert loaded.decode(bpe.encode(CORPUS[0])) == CORPUS[0]


def test_a_save_that_fails_leaves_the_old_file(bpe, tmp_path: Path, monkeypatch):
    path = tmp_path / "bpe.json"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="disk full"):
        bpe.save(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("library", "call"),
    [
        ("tokenizers", lambda: tn.BPEVocabulary.train(CORPUS, 270)),
        ("rdkit", lambda: tn.MoleculeTokenizer(4)(["CO"])),
    ],
)
def test_a_missing_library_is_named(library, call, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, library, None)
    extra = {"tokenizers": "text", "rdkit": "molecules"}[library]
    with pytest.raises(ImportError, match=rf"pip install 'tokennet\[{extra}\]'"):
        call()


@given(st.text(min_size=1), st.data())
def test_characters_come_back_exactly(corpus: str, data: st.DataObject):
    vocabulary = tn.CharacterVocabulary(corpus)
    assert len(vocabulary) == len(set(corpus))
    assert tn.CharacterVocabulary(corpus[::-1]).symbols == vocabulary.symbols == sorted(set(corpus))
    text = data.draw(st.text(st.sampled_from(vocabulary.symbols)))
    ids = vocabulary.encode(text)
    assert vocabulary.decode(ids) == text
    assert all(0 <= i < len(vocabulary) for i in ids)


def test_unknown_characters():
    allowed = re.escape("text[2] is 'B', expected one of 20 characters; build")
    with pytest.raises(ValueError, match=allowed):
        tn.CharacterVocabulary(AMINO_ACIDS).encode("ACBD")
    vocabulary = tn.CharacterVocabulary(AMINO_ACIDS, unknown="?")
    assert len(vocabulary) == 21
    assert vocabulary.encode("B") == [20]
    assert vocabulary.decode(vocabulary.encode("ACBD")) == "AC?D"
    inside = tn.CharacterVocabulary("abc", unknown="a")  # one of its own: no id more
    assert (len(inside), inside.encode("xb")) == (3, [0, 1])


def test_words_in_the_order_of_their_frequency():
    vocabulary = tn.WordVocabulary(CORPUS)
    # three cats and thes, then twos in the order of code points, then single ones
    assert vocabulary.symbols == [
        "<unknown>",
        "cat",
        "the",
        ".",
        "a",
        "dog",
        "sat",
        ",",
        "and",
        "ran",
    ]
    assert tn.WordVocabulary(CORPUS[::-1]).symbols == vocabulary.symbols
    assert vocabulary.encode("the bird, a cat") == [2, 0, 7, 4, 1]
    assert vocabulary.decode([2, 0, 7]) == "the <unknown> ,"
    assert tn.WordVocabulary(CORPUS, max_size=3).symbols == ["<unknown>", "cat", "the"]
    assert tn.WordVocabulary(CORPUS, min_count=3).symbols == ["<unknown>", "cat", "the"]
    assert tn.WordVocabulary(["it's"], pattern=r"[\w']+").symbols == ["<unknown>", "it's"]
    assert tn.WordVocabulary(["<unknown> a"], pattern=r"\S+").symbols == ["<unknown>", "a"]
    assert tn.WordVocabulary([]).encode("any word") == [0, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_texts_become_packed_tokens(dtype):
    tokenizer = tn.TextTokenizer(tn.CharacterVocabulary(AMINO_ACIDS), 6).to(dtype)
    proteins = ["MKV", "", "ACDKV"]
    x, structure = tokenizer(proteins)
    assert x.dtype == dtype
    assert structure.lengths.tolist() == [3, 0, 5]
    torch.testing.assert_close(x[1:3], x[6:8], rtol=0, atol=0)  # KV and KV: no position code yet
    assert not torch.equal(x[0], x[1])
    again, _ = tokenizer(proteins, structure)
    assert torch.equal(x, again)

    ids, packed = tokenizer.ids(proteins)
    padded, valid = tokenizer.padded_ids(proteins)
    assert padded.shape == (3, 5)
    assert torch.equal(padded[valid.layout.valid], ids)
    assert valid.lengths.tolist() == packed.lengths.tolist()
    embed = tokenizer.tokens
    torch.testing.assert_close(embed(padded, valid)[0][valid.layout.valid], x, rtol=0, atol=0)


def test_no_text_is_no_token():
    tokenizer = tn.TextTokenizer(tn.ByteVocabulary(), 6)
    for inputs, batch in (([], 0), ([""], 1)):
        x, structure = tokenizer(inputs)
        assert x.shape == (0, 6)
        assert structure.batch == batch
        assert tokenizer.padded_ids(inputs)[0].shape == (batch, 0)


def test_a_causal_net_reads_texts_from_left_to_right():
    """The order of the tokens is the order of the text: later letters change no earlier token."""
    net = tn.TokenNet(
        tn.TextTokenizer(tn.ByteVocabulary(), 8),
        [tn.SinusoidalPosition(8), tn.Block(8, tn.Attention(8, 2, tn.Causal()))],
        tn.TokenReadout(8, 256),
    )
    a, b = net(["hear the sea"]), net(["hear the sky"])
    torch.testing.assert_close(a[:10], b[:10], rtol=0, atol=1e-6)
    assert (a[10:] - b[10:]).abs().max() > 1e-3
