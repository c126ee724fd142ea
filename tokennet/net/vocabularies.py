"""Text to ids and back: characters, bytes, words, byte pairs. No tensors here."""

import os
import re
import tempfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokennet.checks import kind_of, positive, type_error, value_error


class Vocabulary(ABC):
    """Turns a text into ids from 0 to `len(vocabulary) - 1`, and ids into text."""

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """The ids of a text."""

    @abstractmethod
    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; a tensor's `.tolist()`."""

    @abstractmethod
    def __len__(self) -> int:
        """How many ids there are."""


def checked_text(name: str, text: Any) -> str:
    """`text`, if it is one."""
    if not isinstance(text, str):
        raise type_error(name, kind_of(text), "a text (str)")
    return text


def checked_texts(name: str, texts: Any) -> list[str]:
    """`texts`, if it is a list of them: one text alone would be read as its characters."""
    if isinstance(texts, (str, bytes)) or not isinstance(texts, Iterable):
        raise type_error(name, kind_of(texts), "a list of texts", "put one text into a list")
    return [checked_text(f"{name}[{i}]", text) for i, text in enumerate(texts)]


def _checked_ids(ids: Iterable[int], size: int) -> list[int]:
    ids = [int(i) for i in ids]
    for place, i in enumerate(ids):
        if not 0 <= i < size:
            raise value_error(f"ids[{place}]", i, f"ids from 0 to {size - 1}")
    return ids


class CharacterVocabulary(Vocabulary):
    """One id for each different character of `text`, in the order of their code points.

    `text` is a corpus or an alphabet, such as the twenty amino acids. A character that is not in
    it is an error, or gets the id of the symbol `unknown`, which is what decoding writes for it.
    """

    def __init__(self, text: str, *, unknown: str | None = None):
        self.symbols = sorted(set(checked_text("text", text)))
        self.unknown = unknown if unknown is None else checked_text("unknown", unknown)
        if unknown is not None and unknown not in self.symbols:
            self.symbols.append(unknown)
        if not self.symbols:
            raise value_error("text", "empty", "at least one character")
        self._ids = {symbol: i for i, symbol in enumerate(self.symbols)}

    def encode(self, text: str) -> list[int]:
        ids, other = self._ids, self._ids.get(self.unknown or "")
        found = [ids.get(c, other) for c in checked_text("text", text)]
        if None in found:
            place = found.index(None)
            raise value_error(
                f"text[{place}]", repr(text[place]), f"one of {len(self)} characters",
                "build the vocabulary with unknown='?', or from a text that has it",
            )  # fmt: skip
        return [i for i in found if i is not None]

    def decode(self, ids: Iterable[int]) -> str:
        return "".join(self.symbols[i] for i in _checked_ids(ids, len(self)))

    def __len__(self) -> int:
        return len(self.symbols)


class ByteVocabulary(Vocabulary):
    """The 256 bytes of UTF-8: every text comes back exactly, and no character is unknown.

    Bytes that are no text (a model may write any) decode to U+FFFD; `decode_bytes` gives them back
    exactly.
    """

    def encode(self, text: str | bytes) -> list[int]:
        if isinstance(text, (bytes, bytearray)):
            return list(text)
        # half of a pair of surrogates is a legal str; plain UTF-8 would refuse it
        return list(checked_text("text", text).encode("utf-8", "surrogatepass"))

    def decode(self, ids: Iterable[int]) -> str:
        raw = self.decode_bytes(ids)
        try:
            return raw.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return raw.decode("utf-8", "replace")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes themselves."""
        return bytes(_checked_ids(ids, 256))

    def __len__(self) -> int:
        return 256


class WordVocabulary(Vocabulary):
    """Words and punctuation marks, the most frequent of `texts` first, ties in code point order.

    Id 0 is any other word, decoded as `unknown`. `max_size` ids at most, id 0 among them, of words
    that occur `min_count` times or more. `pattern` cuts a text into words; what lies between them
    (white space) is lost: decoding puts one space between two words.
    """

    def __init__(
        self,
        texts: Iterable[str],
        *,
        max_size: int | None = None,
        min_count: int = 1,
        unknown: str = "<unknown>",
        pattern: str = r"\w+|[^\w\s]",
    ):
        self.unknown = checked_text("unknown", unknown)
        try:
            self._split = re.compile(checked_text("pattern", pattern)).findall
        except re.error as error:
            allowed = f"a regular expression ({error})"
            raise value_error("pattern", repr(pattern), allowed) from error
        positive("min_count", min_count)
        if max_size is not None:
            positive("max_size", max_size)
        counts = Counter(w for text in checked_texts("texts", texts) for w in self._split(text))
        counts.pop(unknown, None)  # the symbol itself is id 0
        words = sorted((w for w in counts if counts[w] >= min_count), key=lambda w: (-counts[w], w))
        self.symbols = [unknown, *words][:max_size]
        self._ids = {word: i for i, word in enumerate(self.symbols)}

    def encode(self, text: str) -> list[int]:
        return [self._ids.get(word, 0) for word in self._split(checked_text("text", text))]

    def decode(self, ids: Iterable[int]) -> str:
        return " ".join(self.symbols[i] for i in _checked_ids(ids, len(self)))

    def __len__(self) -> int:
        return len(self.symbols)


class BPEVocabulary(Vocabulary):
    """Byte-pair encoding: frequent neighbours become one symbol, from the 256 bytes upwards.

    Sennrich, Haddow and Birch 2016, algorithm 1, on bytes as in GPT-2 (Radford et al. 2019): every
    text comes back exactly. The `tokenizers` library does the work: `pip install 'tokennet[text]'`.
    `train` and `load` make one; the constructor takes a `tokenizers.Tokenizer` of your own.
    """

    def __init__(self, tokenizer: Any):
        if not isinstance(tokenizer, _library().Tokenizer):
            hint = "or use BPEVocabulary.train, .load"
            raise type_error("tokenizer", kind_of(tokenizer), "a tokenizers.Tokenizer", hint)
        self._tokenizer = tokenizer

    @staticmethod
    def train(texts: Iterable[str], size: int) -> "BPEVocabulary":
        """Up to `size` symbols (at least the 256 bytes), learned from the texts."""
        positive("size", size, minimum=256)
        texts, lib = checked_texts("texts", texts), _library()
        tokenizer = lib.Tokenizer(lib.models.BPE())
        tokenizer.pre_tokenizer = lib.pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = lib.decoders.ByteLevel()
        alphabet = sorted(lib.pre_tokenizers.ByteLevel.alphabet())
        tokenizer.train_from_iterator(
            texts,
            lib.trainers.BpeTrainer(
                vocab_size=size, initial_alphabet=alphabet, show_progress=False
            ),
        )
        return BPEVocabulary(tokenizer)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> "BPEVocabulary":
        """A vocabulary that `save` wrote, or another `tokenizer.json`."""
        return BPEVocabulary(_library().Tokenizer.from_str(Path(path).read_text("utf-8")))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a `tokenizer.json`: wholly or not at all."""
        path = Path(path)
        handle, part = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        try:
            with open(handle, "w", encoding="utf-8") as file:
                file.write(self._tokenizer.to_str(pretty=True))
            os.replace(part, path)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise

    def encode(self, text: str) -> list[int]:
        try:
            checked_text("text", text).encode("utf-8")
        except UnicodeEncodeError as error:
            i = error.start
            raise value_error(f"text[{i}]", repr(text[i]), "a character, no half of one") from error
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Iterable[int]) -> str:
        found = _checked_ids(ids, len(self))
        return self._tokenizer.decode(found, skip_special_tokens=False)

    def __len__(self) -> int:
        return self._tokenizer.get_vocab_size()


def _library() -> Any:
    try:
        import tokenizers
        import tokenizers.decoders
        import tokenizers.models
        import tokenizers.pre_tokenizers
        import tokenizers.trainers
    except ImportError as error:
        hint = "BPEVocabulary needs the tokenizers library: pip install 'tokennet[text]'"
        raise ImportError(hint) from error
    return tokenizers
