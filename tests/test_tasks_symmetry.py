"""How far from equivariance a net is: nothing for sets and graphs, much for positions."""

import copy

import pytest
import torch
from torch import nn

import tokennet as tn
from tokennet.mixers import Mixer
from tokennet.tasks import permutation_error

DIM, TOKENS = 8, 6


def random(net: tn.TokenNet) -> tn.TokenNet:
    """Weights that do something: codes begin at nearly nothing."""
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.5)
    return net.train()


def net(*mixers: Mixer, readout: Mixer | None = None) -> tn.TokenNet:
    return random(
        tn.TokenNet(tn.FeatureTokenizer(3, DIM), mixers, readout or tn.MeanReadout(DIM, 2))
    )


def ring(count: int) -> torch.Tensor:
    here = torch.arange(count)
    return torch.stack([here, (here + 1) % count])


@pytest.mark.parametrize("readout", [tn.MeanReadout(DIM, 2), tn.TokenReadout(DIM, 2)])
def test_attention_without_positions_is_equivariant_and_with_them_is_not(readout):
    x = torch.randn(4, TOKENS, 3)
    block = tn.Block(DIM, tn.Attention(DIM, 2), dropout=0.5)
    assert permutation_error(net(block, readout=readout), x) < 1e-13
    for mixer in (
        tn.LearnedPosition(TOKENS, DIM), tn.TokenMLP(TOKENS), tn.Attention(DIM, 2, tn.Causal()),
    ):  # fmt: skip
        assert permutation_error(net(mixer, block, readout=readout), x) > 0.01


def test_graphs_are_relabelled_along_and_a_net_that_reads_rows_is_found():
    index = torch.cat([ring(7), ring(5) + 7], 1)
    structure = tn.Structure.packed([7, 5], edges=tn.Edges(index, weight=torch.rand(12) + 0.5))
    x = torch.randn(12, 3)
    readout = tn.TokenReadout(DIM, 2)
    good = net(tn.GraphConvolution(DIM), readout=readout)
    assert permutation_error(good, x, structure) < 1e-13

    class Rows(Mixer):
        """Reads the number of the row, which is no fact."""

        def forward(self, x, structure):
            rows = torch.arange(len(x), dtype=x.dtype)[:, None] / 100
            return torch.cat([x[:, :1] + rows, x[:, 1:]], 1)

    assert permutation_error(net(Rows(), readout=readout), x, structure) > 1e-3


def test_padding_is_left_in_place():
    valid = torch.tensor([[1, 1, 1, 0, 0, 0], [0, 1, 0, 1, 1, 1]]).bool()
    structure, x = tn.Structure.padded(valid), torch.randn(2, TOKENS, 3)
    for readout in (tn.MeanReadout(DIM, 2), tn.TokenReadout(DIM, 2)):
        block = tn.Block(DIM, tn.Attention(DIM, 2))
        assert permutation_error(net(block, readout=readout), x, structure) < 1e-13


def test_the_error_is_that_of_the_worst_channel():
    """A tiny channel that depends on the order does not hide behind a large one that does not."""

    class Two(Mixer):
        def forward(self, x, structure):
            first = x[:, :1] * 1e-6
            return torch.stack([x.sum((1, 2)), first.sum((1, 2))], 1)

        pooled = True
        out_dim = 2

    whole = tn.TokenNet(tn.FeatureTokenizer(3), [], Two())
    assert permutation_error(whole, torch.randn(4, TOKENS, 3)) > 0.01


def test_the_net_stays_as_it_is():
    whole, x = net(tn.Block(DIM, tn.Attention(DIM, 2), dropout=0.5)), torch.randn(4, TOKENS, 3)
    before = copy.deepcopy(whole.state_dict())
    state = torch.random.get_rng_state()
    found = permutation_error(whole, x)
    assert found == permutation_error(whole, x)
    assert whole.training
    assert all(torch.equal(before[name], value) for name, value in whole.state_dict().items())
    assert {p.dtype for p in whole.parameters()} == {torch.float32}
    assert torch.equal(state, torch.random.get_rng_state())


def test_a_module_that_insists_on_its_dtype_is_measured_in_it():
    class Single(Mixer):
        claims = frozenset({tn.Permutation()})

        def __init__(self):
            super().__init__()
            self.weight = torch.randn(DIM, DIM)

        def forward(self, x, structure):
            return x @ self.weight

    found = permutation_error(net(Single()), torch.randn(4, TOKENS, 3))
    assert found < 1e-5


def test_errors_of_the_net_itself_are_raised():
    class Broken(Mixer):
        def forward(self, x, structure):
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        permutation_error(net(Broken()), torch.randn(4, TOKENS, 3))
