"""What a convolution knows beforehand is worth data: accuracy on digits against the number of them.

One net, two operators. A convolution shares its weights by offset and looks near by; attention has
to learn where to look. With few pictures that counts, with many less so.

python examples/data_size.py
"""

import argparse
import statistics
from collections.abc import Callable

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits

import tokennet as tn

DIM = 32
MIXERS: dict[str, Callable[[], tn.Mixer]] = {
    "convolution": lambda: tn.Convolution(DIM, tn.Neighborhood(1)),
    "attention": lambda: tn.Attention(DIM, 4),
}


def image_net(mixer: Callable[[], tn.Mixer]) -> tn.TokenNet:
    layers = [tn.LearnedPosition(16, DIM), *(tn.Block(DIM, mixer()) for _ in range(2))]
    return tn.TokenNet(tn.PatchTokenizer(1, 2, DIM), layers, tn.MeanReadout(DIM, 10))


def digits(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """1,797 pictures `[1, 8, 8]` in random order, and which digit each shows."""
    data = load_digits()
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(seed))
    images = torch.tensor(data.images, dtype=torch.float32)[:, None] / 16
    return images[order], torch.tensor(data.target)[order]


def accuracy(name: str, count: int, seed: int, steps: int) -> float:
    """Trained on `count` pictures, tested on 500 others."""
    images, labels = digits(seed)
    test, train = (images[:500], labels[:500]), (images[500:][:count], labels[500:][:count])
    torch.manual_seed(seed)
    net = image_net(MIXERS[name])
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=0.05)
    for _ in range(steps):
        pick = torch.randint(len(train[0]), (64,))
        loss = F.cross_entropy(net(train[0][pick]), train[1][pick])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return float((net(test[0]).argmax(-1) == test[1]).float().mean())


def main(
    counts: tuple[int, ...] = (40, 160, 1200), seeds: int = 5, steps: int = 200
) -> dict[tuple[str, int], list[float]]:
    found = {}
    for count in counts:
        for name in MIXERS:
            runs = [accuracy(name, count, seed, steps) for seed in range(seeds)]
            spread = statistics.stdev(runs) if seeds > 1 else 0.0
            print(f"{count:5} pictures, {name:11}: {statistics.mean(runs):.1%} ± {spread:.1%}")
            found[name, count] = runs
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one seed, few pictures, few steps")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.quick:
        main(counts=(40, 160), seeds=1, steps=60)
    else:
        main(seeds=options.seeds)
