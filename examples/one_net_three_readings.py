"""The same weights as a transformer, as a graph network on the complete graph, and on packed sets.

python examples/one_net_three_readings.py
"""

import torch

import tokennet as tn

LENGTHS = [5, 9, 4]
DIM = 16


def net(topology: tn.Topology) -> tn.TokenNet:
    layers = [tn.Block(DIM, tn.Attention(DIM, 4, topology)) for _ in range(2)]
    return tn.TokenNet(tn.FeatureTokenizer(DIM), layers, tn.MeanReadout(DIM, 3)).double()


def complete(lengths: list[int]) -> torch.Tensor:
    """All pairs (source, target) inside each sample, loops included."""
    starts = torch.tensor([0, *lengths]).cumsum(0)
    parts = [torch.cartesian_prod(torch.arange(n), torch.arange(n)).T for n in lengths]
    return torch.cat([p + s for p, s in zip(parts, starts, strict=False)], 1)


def main() -> dict[str, float]:
    torch.manual_seed(0)
    transformer, graph = net(tn.Full()), net(tn.EdgeList())
    graph.load_state_dict(transformer.state_dict())
    packed = tn.Tokens(
        torch.randn(sum(LENGTHS), DIM, dtype=torch.float64),
        tn.Structure.packed(LENGTHS, edges=complete(LENGTHS)),
    )
    answers = {
        "transformer, padded": transformer(*packed.padded()),
        "transformer, packed sets": transformer(*packed),
        "graph network on the complete graph": graph(*packed),
    }
    first = answers["transformer, padded"]
    apart = {name: float((y - first).abs().max().detach()) for name, y in answers.items()}
    for name, difference in apart.items():
        print(f"{name:38} largest difference {difference:.1e}")
    return apart


if __name__ == "__main__":
    main()
