"""What simple, well-known models reach on the text tasks: counted n-grams, logistic regression.

    python -m benchmarks.text_references

Shakespeare and Names: n-grams with interpolated Witten-Bell smoothing (Witten and Bell 1991, method
C), which has no number to choose, in nats a character. Sentiment: scikit-learn's logistic
regression as it comes, on the counts of the words that the task has, share of right answers.
Reads `$TOKENNET_DATA`.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import torch

from tokennet.tasks.text import Names, Sentiment, Shakespeare

ORDERS = (1, 2, 3, 4, 5)


class NGrams:
    """P(c | h) = (n(hc) + t(h) P(c | h without its first)) / (n(h) + t(h)); t: kinds after h."""

    def __init__(self, texts: Iterable[Sequence[int]], order: int, symbols: int):
        self.order, self.symbols = order, symbols
        self.after: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        for text in texts:
            for i, c in enumerate(text):
                for known in range(min(order, i + 1)):
                    self.after[tuple(text[i - known : i])][c] += 1

    def chance(self, history: tuple[int, ...], c: int) -> float:
        """P(c | history)."""
        lower = self.chance(history[1:], c) if history else 1 / self.symbols
        found = self.after.get(history)
        if found is None:
            return lower
        total, kinds = found.total(), len(found)
        return (found[c] + kinds * lower) / (total + kinds)

    def loss(self, texts: Iterable[Sequence[int]], first: int) -> float:
        """Mean of -log P over the characters from `first` on."""
        total, count = 0.0, 0
        for text in texts:
            for i in range(first, len(text)):
                history = tuple(text[max(0, i - self.order + 1) : i])
                total -= math.log(self.chance(history, text[i]))
                count += 1
        return total / count


def shakespeare(order: int) -> float:
    """Nats a character of the test part, with all characters before it known."""
    whole = Shakespeare().data(0)
    fit, test = (_running(part) for part in (whole.fit, whole.test))
    return NGrams([fit], order, Shakespeare.symbols).loss([test], 1)


def names(order: int) -> float:
    """Nats a letter of the names to test, their end included."""
    whole = Names().data(0)
    fit, test = (_texts(part) for part in (whole.fit, whole.test))
    return NGrams(fit, order, Names.symbols).loss(test, 1)


def sentiment() -> float:
    """Share of the test sentences that logistic regression gets right."""
    from sklearn.linear_model import LogisticRegression

    task = Sentiment()
    whole, symbols = task.data(0), task.facts["symbols"]
    counts, labels = [], []
    for part in (whole.fit, whole.test):
        counts.append(torch.stack([torch.bincount(x, minlength=symbols) for x in part.inputs]))
        labels.append(part.targets)
    model = LogisticRegression(max_iter=1000).fit(counts[0].numpy(), labels[0].numpy())
    return float(model.score(counts[1].numpy(), labels[1].numpy()))


def _running(part) -> list[int]:
    """The text of windows that lie side by side."""
    return [*part.inputs.flatten().tolist(), int(part.targets[-1, -1])]


def _texts(part) -> list[list[int]]:
    return [[*x.tolist(), int(y[-1])] for x, y in zip(part.inputs, part.targets, strict=True)]


def main() -> None:
    print("| model | Shakespeare, nats | Names, nats |\n|---|---|---|")
    for order in ORDERS:
        print(f"| {order}-grams | {shakespeare(order):.3f} | {names(order):.3f} |")
    print(f"\nSentiment, logistic regression on the counts of words: {sentiment():.3f} right")


if __name__ == "__main__":
    main()
