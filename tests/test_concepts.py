"""What token nets are said to be, each statement shown once on the parts.

Axes: B samples, N tokens, H heads, D channels.
"""

import pytest
import torch
from torch import Tensor, nn

import tokennet as tn

D = 8


def dense(x: Tensor, **facts: object) -> tn.Structure:
    return tn.Structure.dense(x.shape[0], x.shape[1], **facts)


def set_maps(attention: tn.Attention, **weights: Tensor) -> None:
    """Puts weights in, and biases out."""
    with torch.no_grad():
        for name in ("query", "key", "value", "output"):
            linear = getattr(attention, name)
            if isinstance(linear, nn.Linear):
                nn.init.zeros_(linear.bias)
                linear.weight.copy_(weights.get(name, torch.eye(*linear.weight.shape)))


def test_any_data_becomes_tokens_for_one_block() -> None:
    """Texts, one-hot ids, images, regions, series, molecules, neurons: the same weights on all."""
    block = tn.Block(D, tn.Attention(D, 2))
    words = tn.CharacterVocabulary("ACDEFGHIKLMNPQRSTVWY")  # amino acids
    image, labels = torch.rand(2, 1, 8, 8), torch.randint(3, (2, 8, 8))
    sources = {
        "protein": (tn.TextTokenizer(words, D), ["MKV", "GATTA"]),
        "text": (tn.TextTokenizer(tn.ByteVocabulary(), D), ["ánh sáng", "light"]),
        "ids": (tn.OneHotTokenizer(D), torch.randint(D, (2, 5))),
        "patches": (tn.PatchTokenizer(1, 4, D), image),
        "blurred patches": (tn.BlurredPatchTokenizer(1, 4, D, blur=3), image),
        "regions": (tn.RegionTokenizer(1, D), (image, labels)),
        "series": (tn.SeriesTokenizer(3, D, window=4), torch.randn(2, 12, 3)),
        "features": (tn.FeatureTokenizer(3, D), torch.randn(2, 4, 3)),
    }
    for name, (tokenizer, data) in sources.items():
        x, structure = tokenizer(data)
        assert isinstance(tokenizer, tn.Tokenizer)
        assert x.shape[-1] == D, name
        assert structure.batch == 2
        assert block(x, structure).isfinite().all()


@pytest.mark.parametrize("tokens", ["neurons", "vectors"])
@pytest.mark.parametrize("mixer", ["attention", "MLP"])
def test_tokens_and_attention_are_two_choices(tokens: str, mixer: str) -> None:
    """Attention over neurons, an MLP over tokens, and the other two: all four run."""
    net = tn.TokenNet(
        tn.NeuronTokenizer(6) if tokens == "neurons" else tn.FeatureTokenizer(D),
        [tn.BasicAttention() if mixer == "attention" else tn.TokenMLP(6)],
        tn.MeanReadout(1 if tokens == "neurons" else D, 3, norm=None),  # of one channel: zeros
    )
    data = torch.randn(2, 6) if tokens == "neurons" else torch.randn(2, 6, D)
    assert net(data).shape == (2, 3)
    assert tn.verify(net, examples=10).ok


def mixing(mixer: tn.Mixer, x: Tensor) -> Tensor:
    """The Jacobian of the outputs by the inputs."""
    return torch.autograd.functional.jacobian(lambda z: mixer(z, dense(z)), x)


@pytest.mark.parametrize(
    ("make", "depends"),
    [
        (lambda: tn.Attention(D, 2), True),
        (lambda: tn.TokenMLP(5, activation=nn.Identity), False),
        (lambda: tn.Convolution(D, tn.Window(1)), False),
        (lambda: tn.Pooling(), False),
    ],
    ids=["attention", "linear", "convolution", "pooling"],
)
def test_fast_and_slow_weights(make, depends: bool) -> None:
    """Attention's mixing matrix is made from the data, the others' is learned and stays."""
    mixer = make().double()
    one, two = torch.randn(2, 1, 5, D, dtype=torch.float64)
    change = (mixing(mixer, one) - mixing(mixer, two)).abs().max()
    assert (change > 1e-2) if depends else (change < 1e-12)


def test_a_token_means_something_else_in_other_company() -> None:
    """The same vector in two contexts: two outputs with attention, one without."""
    x, y = torch.randn(1, 4, D), torch.randn(1, 4, D)
    y[:, 0] = x[:, 0]
    attention, alone = tn.Attention(D, 2), tn.Pointwise(D, 16)
    assert (attention(x, dense(x)) - attention(y, dense(y)))[:, 0].abs().max() > 1e-2
    assert torch.equal(alone(x, dense(x))[:, 0], alone(y, dense(y))[:, 0])


def test_where_to_look_and_what_to_take() -> None:
    """Queries and keys make the weights, values what is taken by them: neither knows the other."""
    x = torch.randn(1, 5, D)
    attention = tn.Attention(D, 2)
    where, taken = attention.weights(x, dense(x)), attention(x, dense(x))
    with torch.no_grad():
        attention.value.weight.mul_(-2)
    assert torch.equal(attention.weights(x, dense(x)), where)
    assert (attention(x, dense(x)) - taken).abs().max() > 1e-2
    v = attention.value(x)
    with torch.no_grad():
        attention.query.weight.mul_(-2)
    assert torch.equal(attention.value(x), v)
    assert (attention.weights(x, dense(x)) - where).abs().max() > 1e-2


def test_heads_look_for_different_things() -> None:
    """One head for colour, one for shape: each listens to those that share its own aspect."""
    colour, shape = torch.tensor([0, 0, 1, 1, 2]), torch.tensor([0, 1, 0, 1, 1])
    x = torch.cat([nn.functional.one_hot(t, 4) for t in (colour, shape)], -1)[None].float()
    attention = tn.Attention(D, 2)
    set_maps(attention, query=20 * torch.eye(D))
    weights = attention.weights(x, dense(x))[0]
    for head, aspect in enumerate((colour, shape)):
        same = (aspect[:, None] == aspect).float()
        expected = same / same.sum(-1, keepdim=True)
        assert (weights[head] - expected).abs().max() < 1e-3


def test_a_question_chooses_the_patch() -> None:
    """Queries come from another branch: "what colour is the head, the ground?" looks elsewhere."""
    parts = {"head": 0, "wing": 1, "ground": 2}
    colours = torch.eye(4)[[3, 1, 2]]  # what there is to see in each patch
    patches = torch.cat([torch.eye(4)[:3], colours], -1)[None]  # which part, which colour
    attention = tn.Attention(D, 1, tn.Memory())
    pick = torch.diag(torch.tensor([1.0] * 4 + [0.0] * 4))
    set_maps(attention, query=50 * pick, key=pick, value=torch.eye(D) - pick)
    for part, patch in parts.items():
        question = torch.zeros(1, 1, D)
        question[..., patch] = 1
        structure = dense(question, memory=patches)
        assert attention.weights(question, structure).argmax() == patch, part
        answer = attention(question, structure)[0, 0, 4:]
        assert (answer - colours[patch]).abs().max() < 1e-3


def test_self_attention_is_cross_attention_to_oneself() -> None:
    """One operator: with the tokens as their own memory the two agree, output and gradient."""
    own = tn.Attention(D, 2).double()
    cross = tn.Attention(D, 2, tn.Memory()).double()
    cross.load_state_dict(own.state_dict())
    x = torch.randn(2, 5, D, dtype=torch.float64, requires_grad=True)
    y, z = own(x, dense(x)), cross(x, dense(x, memory=x))
    torch.testing.assert_close(y, z)
    grads = [torch.autograd.grad(t.square().sum(), x, retain_graph=True)[0] for t in (y, z)]
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize("length", [1, 2, 9])
def test_as_many_outputs_as_inputs(length: int) -> None:
    """Whatever mixes: one row out for each token in."""
    x = torch.randn(3, length, D)
    for mixer in (tn.Attention(D, 2), tn.TokenMLP(9), tn.Block(D, tn.Pooling()), tn.LSTM(D)):
        assert mixer(x, dense(x)).shape == x.shape


def test_a_net_of_linear_maps_and_sigmoids() -> None:
    """A linear map and a pointwise nonlinearity in turn, token by token: the plainest token net."""
    net = tn.Sequential(
        tn.Pointwise(D, out_dim=16), tn.TokenWise(nn.Sigmoid()), tn.Pointwise(16, out_dim=D)
    )
    short = tn.Pointwise(D, 16, activation=nn.Sigmoid)
    with torch.no_grad():
        for theirs, own in zip(short.parameters(), net.parameters(), strict=True):
            theirs.copy_(own)
    x = torch.randn(2, 5, D)
    torch.testing.assert_close(net(x, dense(x)), short(x, dense(x)))
    assert tn.influence(net, x, dense(x)).fill_diagonal_(0).abs().max() == 0


def test_the_width_of_the_channel_mlp_is_free() -> None:
    """Four times the channels by default, any other by `mlp=`; parameters follow."""
    sizes = {}
    for ratio in (1, 4, 8):
        block = tn.Block(D, tn.Attention(D, 2), mlp=tn.Pointwise(D, ratio * D))
        sizes[ratio] = sum(p.numel() for p in block.parameters())
    default = sum(p.numel() for p in tn.Block(D, tn.Attention(D, 2)).parameters())
    assert sizes[4] == default
    assert sizes[8] - sizes[4] == 4 * (2 * D * D + D)
