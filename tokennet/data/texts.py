"""Texts as their files hold them; no tensors here."""

from tokennet.checks import value_error
from tokennet.data.files import required

SCAN = ("simple", "length")
SENTIMENT = ("imdb", "yelp", "amazon_cells")


def shakespeare() -> str:
    """Tiny Shakespeare: 1,115,394 characters of his plays, 65 different ones.

    Karpathy 2015, "The unreasonable effectiveness of recurrent neural networks". Reads
    `$TOKENNET_DATA/tinyshakespeare/input.txt`.

    Raises:
        FileNotFoundError: where the file is not there.
    """
    path = required(
        "tinyshakespeare", "input.txt",
        what="tiny Shakespeare",
        source="github.com/karpathy/char-rnn (data/tinyshakespeare/input.txt)",
    )  # fmt: skip
    return path.read_text("utf-8")


def names() -> list[str]:
    """29,494 different first names of lower-case letters, in the order of the file.

    The 32,033 lines of makemore's file with each name once. Reads
    `$TOKENNET_DATA/names/names.txt`.

    Raises:
        FileNotFoundError: where the file is not there.
    """
    path = required(
        "names", "names.txt",
        what="the list of names",
        source="github.com/karpathy/makemore (names.txt)",
    )  # fmt: skip
    return list(dict.fromkeys(path.read_text("utf-8").split()))


def scan(split: str, part: str) -> list[tuple[list[str], list[str]]]:
    """SCAN: commands and the actions that they stand for, both as words.

    Lake and Baroni 2018, "Generalization without systematicity". `split` is one of `SCAN`, `part`
    "train" or "test". "simple": 16,728 and 4,182 pairs at random. "length": 16,990 pairs of up to
    22 actions, and 3,920 of 24 to 48. Reads `$TOKENNET_DATA/SCAN/tasks_<part>_<split>.txt`.

    Raises:
        ValueError: for another split or part.
        FileNotFoundError: where the file is not there.
    """
    if split not in SCAN:
        raise value_error("split", repr(split), f"one of {', '.join(map(repr, SCAN))}")
    if part not in ("train", "test"):
        raise value_error("part", repr(part), "'train' or 'test'")
    path = required(
        "SCAN", f"tasks_{part}_{split}.txt",
        what=f"SCAN's {split} split",
        source="github.com/brendenlake/SCAN",
    )  # fmt: skip
    pairs = []
    for line in path.read_text("utf-8").splitlines():
        command, actions = line.removeprefix("IN: ").split(" OUT: ")
        pairs.append((command.split(), actions.split()))
    return pairs


def sentiment() -> list[tuple[str, int, str]]:
    """2,979 sentences of reviews, each with 1 for praise or 0, and where it is from.

    Kotzias et al. 2015, "From group to individual labels using deep features": 1,000 each of the
    sites in `SENTIMENT`; the 21 that come again, apart from upper case, are left out. Reads
    `$TOKENNET_DATA/uci-sentiment/<site>_labelled.txt`.

    Raises:
        FileNotFoundError: where a file is not there.
    """
    found: dict[str, tuple[str, int, str]] = {}
    for site in SENTIMENT:
        path = required(
            "uci-sentiment", f"{site}_labelled.txt",
            what="the labelled sentences",
            source="archive.ics.uci.edu (Sentiment Labelled Sentences)",
        )  # fmt: skip
        for line in path.read_text("utf-8").split("\n"):  # a line may hold other line ends
            if line.strip():
                text, label = line.rsplit("\t", 1)
                found.setdefault(text.strip().lower(), (text.strip(), int(label), site))
    return list(found.values())
