"""Recurrent networks: torch's with the same weights, step by step, and what they forget.

Axes: B samples, N tokens, L layers, D channels in, H of the state.
"""

import pytest
import torch
from exactness import DTYPES, assert_exact
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import tokennet as tn

each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
draws = settings(max_examples=8, deadline=None)
seeds, sizes = st.integers(0, 10_000), st.integers(1, 6)
PAIRS = [(tn.RNN, nn.RNN), (tn.GRU, nn.GRU), (tn.LSTM, nn.LSTM)]
each_pair = pytest.mark.parametrize(
    ("ours_class", "theirs_class"), PAIRS, ids=["RNN", "GRU", "LSTM"]
)


@each_pair
@each_dtype
@draws
@given(seeds, sizes, sizes, st.integers(1, 2), st.lists(sizes, min_size=1, max_size=4))
def test_as_in_torch(ours_class, theirs_class, dtype, seed, dim, hidden_dim, num_layers, lengths):
    """Packed, and padded with padding anywhere: each sample as torch treats it alone."""
    torch.manual_seed(seed)
    ours = ours_class(dim, hidden_dim, num_layers=num_layers)
    theirs = theirs_class(dim, hidden_dim, num_layers, batch_first=True)
    packed, rows = tn.Structure.packed(lengths), sum(lengths)
    spare = torch.rand(len(lengths), max(lengths) + 3).argsort(1)
    valid = spare < torch.tensor(lengths)[:, None]
    holed = tn.Structure.padded(valid)

    def run_holed(x: Tensor) -> Tensor:
        filled = torch.full((*valid.shape, dim), torch.nan, dtype=dtype)
        return ours(filled.index_put(tuple(valid.nonzero().T), x), holed)[valid]

    def run_theirs(x: Tensor) -> Tensor:
        return torch.cat([theirs(sample[None])[0][0] for sample in x.split(lengths)])

    names = {name: name for name, _ in ours.named_parameters()}
    x = torch.randn(rows, dim, dtype=dtype)
    assert_exact(ours, theirs, names, lambda x: ours(x, packed), run_theirs, [x])
    assert_exact(ours, theirs, names, run_holed, run_theirs, [x])


@each_pair
def test_torch_weights_load_as_they_are(ours_class, theirs_class):
    ours, theirs = ours_class(3, 5, num_layers=2), theirs_class(3, 5, 2, batch_first=True)
    assert {n: p.shape for n, p in ours.named_parameters()} == {
        n: p.shape for n, p in theirs.named_parameters()
    }
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 4, 3)
    assert torch.equal(ours(x, tn.Structure.dense(2, 4)), theirs(x)[0])


STEPPERS = {
    "RNN": lambda: tn.RNN(4, 3, num_layers=2),
    "GRU": lambda: tn.GRU(4, 3, num_layers=2),
    "LSTM": lambda: tn.LSTM(4, 3, num_layers=2),
    "latent state": lambda: tn.LatentState(4, 3),
    "causal convolution": lambda: tn.Convolution(4, tn.Causal() & tn.Window(2)),
    "causal convolution, radius 0": lambda: tn.Convolution(4, tn.Causal() & tn.Window(0)),
    "causal depthwise": lambda: tn.Convolution(4, tn.Causal() & tn.Window(3), groups=4),
    "token gating": lambda: tn.TokenGating(4, 6, 9, tn.Causal()),
    "block": lambda: tn.Block(4, tn.GRU(4), tn.Convolution(4, tn.Causal() & tn.Window(1))),
}


@pytest.mark.parametrize("name", STEPPERS)
@pytest.mark.parametrize("batch", [0, 1, 3])
def test_token_by_token_is_all_at_once(name: str, batch: int) -> None:
    """Also from the middle: a state can be used twice."""
    mixer = STEPPERS[name]().double()
    with torch.no_grad():
        for p in mixer.parameters():
            p.normal_(std=0.5)
    x = torch.randn(batch, 7, 4, dtype=torch.float64)
    whole = mixer(x, tn.Structure.dense(batch, 7))
    state, rows, states = mixer.start(tn.Structure.dense(batch, 1)), [], []
    for token in x.unbind(1):
        states.append(state)
        y, state = mixer.step(token, state)
        rows.append(y)
    torch.testing.assert_close(torch.stack(rows, 1), whole, rtol=1e-12, atol=1e-12)
    assert batch == 0 or whole.std(1).min() > 1e-3
    again, _ = mixer.step(x[:, 4], states[4])
    assert torch.equal(again, rows[4])


def test_states_have_a_fixed_size() -> None:
    """What is kept does not grow with the tokens: the difference to attention."""
    structure = tn.Structure.dense(2, 1)
    for make, shapes in (
        (lambda: tn.GRU(4, 3, num_layers=2), [(2, 2, 3)]),
        (lambda: tn.LSTM(4, 3), [(2, 1, 3), (2, 1, 3)]),
        (lambda: tn.LatentState(4, 5), [(2, 5)]),
        (lambda: tn.Convolution(4, tn.Causal() & tn.Window(3)), [(2, 3, 4)]),
    ):
        mixer = make()
        state = mixer.start(structure)
        for _ in range(5):
            _, state = mixer.step(torch.randn(2, 4), state)
        states = state if isinstance(state, tuple) else (state,)
        assert [tuple(s.shape) for s in states] == shapes


def test_latent_state_by_hand() -> None:
    """h = f([h, x]) from zeros and y = g(h), with f and g of one's own."""
    f, g = nn.Sequential(nn.Linear(5, 3), nn.ReLU()), nn.Linear(3, 2)
    mixer = tn.LatentState(2, 3, transition=f, output=g)
    x, h, rows = torch.randn(4, 2), torch.zeros(3), []
    for token in x:
        h = f(torch.cat([h, token]))
        rows.append(g(h))
    torch.testing.assert_close(mixer(x, tn.Structure.packed([4])), torch.stack(rows))


def influence(mixer: tn.Mixer, num_tokens: int) -> Tensor:
    """|d y_last / d x_i| by the distance of i from the last token: nearest first."""
    x = torch.randn(8, num_tokens, 16, requires_grad=True)
    y = mixer(x, tn.Structure.dense(8, num_tokens))[:, -1]
    (grad,) = torch.autograd.grad((y * torch.randn_like(y)).sum(), x)
    return grad.norm(dim=-1).mean(0).flip(0)


def test_gradients_vanish_with_distance_in_an_rnn_and_not_in_attention() -> None:
    """Bengio et al. 1994: exponentially in the distance; attention is one step from everywhere."""
    rnn = influence(tn.RNN(16), 40)
    attention = influence(tn.Attention(16, 2, tn.Causal()), 40)
    logs = rnn.log()
    slope = (logs[30] - logs[5]) / 25
    line = logs[5] + slope * torch.arange(26)
    assert slope < -0.2, "each token further back loses at least a fifth"
    assert (logs[5:31] - line).abs().max() < 0.15 * (logs[5] - logs[30]), "a straight line of logs"
    assert rnn[39] < 1e-6 * rnn[0]
    far, near = attention[30:].mean(), attention[1:11].mean()  # 0 is the token itself
    assert 0.5 < far / near < 2


def test_an_lstm_that_does_not_forget_remembers_further() -> None:
    """The forget gate's bias keeps the gradient: what an LSTM is for."""
    lstm = tn.LSTM(16)
    with torch.no_grad():
        lstm.get_parameter("bias_ih_l0")[16:32] = 5.0
    kept, lost = influence(lstm, 40), influence(tn.RNN(16), 40)
    assert kept[30] / kept[0] > 1e3 * lost[30] / lost[0]


@pytest.mark.parametrize(("make", "gates"), [(tn.RNN, 1), (tn.GRU, 3), (tn.LSTM, 4)])
def test_flops_are_counted_in_fused_kernels_too(make, gates: int) -> None:
    """torch's counter does not see into them; two products a token and layer are known."""
    mixer = make(6, 5, num_layers=2)
    net = tn.TokenNet(tn.FeatureTokenizer(6), [mixer], tn.TokenReadout(5, 1))
    row = net.summary(torch.randn(2, 9, 6)).rows[1]
    assert row.flops == 2 * 2 * 9 * gates * 5 * (6 + 5 + 5 + 5)


def test_flops_of_fourier_mixing_are_those_of_the_transform() -> None:
    """5 n log2(n) of the n values of a sample; four products where lengths differ."""
    net = tn.TokenNet(tn.FeatureTokenizer(4), [tn.FourierMixing()], tn.TokenReadout(4, 1))
    assert net.summary(torch.randn(3, 8, 4)).rows[1].flops == 3 * 5 * 32 * 5
    ragged = tn.Structure.packed([8, 6])
    by_matrices = net.summary(torch.randn(14, 4), ragged).rows[1].flops
    assert by_matrices == 2 * 2 * (2 * 8 * 4 * 4 + 2 * 8 * 8 * 4)
