"""Models of PyG as nets: outputs, hidden states, every gradient on ragged graphs; and back."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import assert_misread_is_seen, assert_parity, randomise
from parity_laws import assert_audits_agree, assert_claims_hold
from parity_pyg import CASES, DEGREES, SUMMARIES, pyg
from torch import nn

import tokennet as tn
from tokennet.interop.pyg_models import READERS

draws = settings(max_examples=3, deadline=None)
from_pyg = tn.interop.from_pyg
each = pytest.mark.parametrize("name", CASES)
AUDITED = ("GCN, batch norm, jumping to the last", "GAT", "GPSConv with GATConv, norm over graphs")
MODELS = {"in_channels": 3, "hidden_channels": 4, "num_layers": 2}


def _mlp(dim: int = 3) -> nn.Module:
    return nn.Sequential(nn.Linear(dim, 4), nn.ReLU(), nn.Linear(4, dim))


@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
@each
@draws
@given(seed=st.integers(0, 10_000))
def test_parity(name: str, train: bool, seed: int) -> None:
    for dtype in CASES[name].dtypes:
        assert_parity(CASES[name], seed, dtype, train=train)


@each
def test_a_moved_weight_is_seen(name: str) -> None:
    assert_misread_is_seen(CASES[name])


def test_every_class_has_a_case() -> None:
    assert {type(case.make(0)).__name__ for case in CASES.values()} == set(READERS)


@pytest.mark.parametrize("name", ["GCN, edge weights", "GPSConv without a convolution, layer norm"])
def test_claims(name: str) -> None:
    assert "Permutation" in assert_claims_hold(CASES[name], examples=3)


@pytest.mark.parametrize("name", AUDITED)
def test_audits_agree(name: str) -> None:
    assert_audits_agree(CASES[name])


@each
def test_there_and_back(name: str, tmp_path: Path) -> None:
    """The options are plain values; with them a state dict is enough, and it goes back strictly."""
    case = CASES[name]
    torch.manual_seed(4)
    theirs = randomise(case.make(4)).eval()
    net = case.bring(theirs)
    inputs = case.inputs(4, theirs)
    config = {"kind": net.origin.kind, **json.loads(json.dumps(net.origin.config))}
    again = from_pyg(theirs.state_dict(), config)
    assert not again.training
    expected = case.ours(net, inputs)["output"]
    assert torch.equal(case.ours(again, inputs)["output"], expected)
    tn.interop.save_pretrained(net, tmp_path)
    stored = tn.interop.from_pretrained(tmp_path)
    stored.origin = net.origin
    assert torch.equal(case.ours(stored, inputs)["output"], expected)
    fresh = case.make(4).eval()
    fresh.load_state_dict(tn.interop.export_state(again), strict=True)
    assert torch.equal(case.theirs(fresh, inputs)["output"], case.theirs(theirs, inputs)["output"])


def test_a_batch_of_data() -> None:
    from torch_geometric.data import Batch, Data

    graphs = [Data(x=torch.randn(n, 3), edge_index=torch.randint(n, (2, 2 * n))) for n in (4, 1, 6)]
    batch = Batch.from_data_list(graphs)
    model = randomise(pyg.GraphSAGE(3, 8, 2, 5)).eval()
    y = from_pyg(model)(*tn.Tokens.from_pyg(batch))
    assert (y - model(batch.x, batch.edge_index)).abs().max() < 1e-5


def test_constructor_options_are_enough() -> None:
    """A config in the words of PyG's constructor, names in any of its spellings."""
    model = randomise(pyg.GCN(3, 4, 3, 5, act="LeakyReLU", norm="BatchNorm", bias=False)).eval()
    config = {**MODELS, "num_layers": 3, "out_channels": 5, "act": "leaky_relu", "bias": False}
    net = from_pyg(model.state_dict(), {"kind": "GCN", **config, "norm": "batch_norm"})
    x, index = torch.randn(6, 3), torch.randint(6, (2, 9))
    index = index[:, index[0] != index[1]]
    y = net(x, tn.Structure.packed([6], edges=tn.Edges(index)))
    assert (y - model(x, index)).abs().max() < 1e-5


def test_channels_that_the_first_call_tells() -> None:
    model = pyg.GraphSAGE(-1, 4, 2)
    with pytest.raises(ValueError, match=r"^hooks of convs\.0\.lin_l is there"):
        from_pyg(model)
    x, index = torch.randn(6, 3), torch.randint(6, (2, 9))
    expected = model(x, index)
    net = from_pyg(model)
    assert net.dim == 3
    y = net(x, tn.Structure.packed([6], edges=tn.Edges(index)))
    assert (y - expected).abs().max() < 1e-5


def test_dropout_comes_along() -> None:
    net = from_pyg(pyg.GAT(**MODELS, dropout=0.3))
    assert [m.p for m in net.modules() if isinstance(m, nn.Dropout)] == [0.3]
    assert [m.dropout for m in net.mixers if isinstance(m, tn.GraphAttention)] == [0.3, 0.3]
    gps = from_pyg(pyg.GPSConv(4, None, dropout=0.2, attn_kwargs={"dropout": 0.1}))
    assert [m.p for m in gps.modules() if isinstance(m, nn.Dropout)] == [0.2] * 3
    assert [m.dropout for m in gps.modules() if isinstance(m, tn.Attention)] == [0.1]


def test_batch_statistics_move_alike() -> None:
    model = pyg.GCN(**MODELS, norm="batch_norm").train()
    net = from_pyg(model)
    assert net.training
    x, index = torch.randn(6, 3), torch.randint(5, (2, 9))
    index = index[:, index[0] != index[1]]
    for _ in range(3):
        net(x, tn.Structure.packed([6], edges=tn.Edges(index)))
        model(x, index)
    back = tn.interop.export_state(net)
    for name in ("running_mean", "running_var"):
        theirs = model.state_dict()[f"norms.0.module.{name}"]
        assert (back[f"norms.0.module.{name}"] - theirs).abs().max() < 1e-5


def _pna(**other: Any) -> nn.Module:
    options = {"aggregators": SUMMARIES[0], "scalers": SUMMARIES[1], "deg": DEGREES, **other}
    return pyg.PNAConv(4, 4, **options)


REFUSED = {
    "GCNConv.improved": lambda: pyg.GCNConv(3, 4, improved=True),
    "GCNConv.cached": lambda: pyg.GCNConv(3, 4, cached=True),
    "GCNConv.normalize": lambda: pyg.GCNConv(3, 4, normalize=False),
    "GCNConv.aggr": lambda: pyg.GCNConv(3, 4, aggr="max"),
    "GCNConv.flow": lambda: pyg.GCNConv(3, 4, flow="target_to_source"),
    "GATConv.in_channels": lambda: pyg.GATConv((3, 4), 4),
    "GATConv.edge_dim": lambda: pyg.GATConv(3, 4, edge_dim=2),
    "GATv2Conv.bias": lambda: pyg.GATv2Conv(3, 4, bias=False),
    "the weights of lin_r.weight": lambda: pyg.GATv2Conv(3, 4, share_weights=True),
    "TransformerConv.beta": lambda: pyg.TransformerConv(3, 4, beta=True),
    "TransformerConv.concat": lambda: pyg.TransformerConv(3, 4, 2, concat=False),
    "SAGEConv.aggr": lambda: pyg.SAGEConv(3, 4, aggr="median"),
    "SAGEConv.root_weight": lambda: pyg.SAGEConv(3, 4, root_weight=False),
    "SAGEConv.project": lambda: pyg.SAGEConv(3, 4, project=True),
    "GINConv.aggr": lambda: pyg.GINConv(_mlp(), aggr="mean"),
    "GINConv.nn": lambda: pyg.GINConv(nn.PReLU()),
    "GINEConv.edge_dim": lambda: pyg.GINEConv(_mlp()),
    "PNAConv.towers": lambda: _pna(towers=2),
    "PNAConv.pre_layers": lambda: _pna(pre_layers=2),
    "PNAConv.scalers": lambda: _pna(scalers=["linear"]),
    "PNAConv.aggregators": lambda: _pna(aggregators=["mean", "sum"]),
    "PNAConv.train_norm": lambda: _pna(train_norm=True),
    "GPSConv.attn_type": lambda: pyg.GPSConv(4, None, attn_type="performer"),
    "GPSConv.attn_kwargs.add_zero_attn": lambda: pyg.GPSConv(
        4, None, attn_kwargs={"add_zero_attn": True}
    ),
    "GPSConv.norm1": lambda: pyg.GPSConv(4, None, norm="pair_norm"),
    "GPSConv.conv.GCNConv.improved": lambda: pyg.GPSConv(4, pyg.GCNConv(4, 4, improved=True)),
    "GPSConv.norm_kwargs.BatchNorm.momentum": lambda: pyg.GPSConv(
        4, None, norm_kwargs={"momentum": None}
    ),
    "GCN.jk": lambda: pyg.GCN(**MODELS, jk="lstm"),
    "GCN.act": lambda: pyg.GCN(**MODELS, act=torch.sin),
    "GCN.norms.0": lambda: pyg.GCN(**MODELS, norm="pair_norm"),
    "GCN.norm_kwargs.BatchNorm.allow_single_element": lambda: pyg.GCN(
        **MODELS, norm="batch_norm", norm_kwargs={"allow_single_element": True}
    ),
    "GIN.convs.0.GINConv.nn.MLP.norm_kwargs.LayerNorm": lambda: pyg.GIN(
        **MODELS, norm="layer_norm"
    ),
    "GINConv.nn.Sequential.1.GraphNorm": lambda: pyg.GINConv(
        nn.Sequential(nn.Linear(3, 4), pyg.GraphNorm(4))
    ),
    "GCN.convs.0.GCNConv.improved": lambda: pyg.GCN(**MODELS, improved=True),
    "PNA.convs.0.PNAConv.towers": lambda: pyg.PNA(
        **MODELS, aggregators=SUMMARIES[0], scalers=SUMMARIES[1], deg=DEGREES, towers=2
    ),
    "Stack.1": lambda: [pyg.GCNConv(3, 4), nn.Softmax(1)],
    "the weights of 1.bias": lambda: [(conv := pyg.GCNConv(3, 3)), conv],
    "the model's class in pyg": lambda: pyg.EdgeCNN(**MODELS),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_options_are_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name.replace('.', '[.]')} is .*, expected "):
        from_pyg(REFUSED[name]())


def test_unknown_options_are_refused_by_name() -> None:
    model = pyg.GCN(**MODELS)
    for kind, options, message in (
        ("GCN", {**MODELS, "colour": 1}, r"GCN\.colour is 1, expected an option that tokennet"),
        ("GCN", {**MODELS, "act": "sine"}, r"GCN\.act is 'sine', expected one of CELU"),
        ("GCN", {**MODELS, "norm": "instance_norm"}, r"GCN\.norm is .*, expected None, batch"),
        ("GCN", {**MODELS, "act_kwargs": {"p": 1}}, r"GCN\.act_kwargs\.p is 1, expected an opt"),
        ("GAT", {**MODELS, "heads": 3}, r"GAT\.heads is 3, expected a divisor of 4"),
        ("GAT", {**MODELS, "v2": True, "share_weights": True}, r"GAT.*GATv2Conv\.share_weights is"),
    ):
        with pytest.raises(ValueError, match=f"^{message}"):
            from_pyg(model.state_dict(), {"kind": kind, **options})


def test_parts_put_there_later_are_refused() -> None:
    changed = pyg.GCN(**MODELS)
    changed.convs[1] = pyg.GCNConv(4, 4, add_self_loops=False)
    with pytest.raises(ValueError, match=r"^GCN\.convs\.1\.add_self_loops is False, expec"):
        from_pyg(changed)
    hooked = pyg.GCN(**MODELS)
    hooked.convs[0].register_message_forward_hook(lambda *call: call[-1])
    with pytest.raises(ValueError, match=r"^hooks of GCN\.convs\.0 is there, expected none"):
        from_pyg(hooked)
    mixed = pyg.GPSConv(4, None)
    mixed.norm2 = pyg.LayerNorm(4)
    with pytest.raises(ValueError, match=r"^GPSConv\.norm1 is of another kind, expected"):
        from_pyg(mixed)

    class Mine(pyg.GCNConv):
        """Might compute something else."""

    for other in (Mine(3, 4), nn.Linear(3, 4)):
        with pytest.raises(
            TypeError, match=r"^source is .*expected a class of torch_geometric\.nn"
        ):
            from_pyg(other)
