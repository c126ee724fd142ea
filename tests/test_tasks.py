"""Tasks on images, molecules and series: parts as documented, nets that train, honest scores."""

import math
import os
from pathlib import Path

import pytest
import torch
from torch import nn

import tokennet as tn
from tokennet.structure import Structure
from tokennet.tasks import CIFAR, ESOL, MNIST, TASKS, Digits, ETTh1, LastReadout, Task, Windows
from tokennet.tasks.samples import Arrays, Batch, Chosen, limited
from tokennet.tasks.series import CHOOSE, FIT, TEST

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # PyG's import

FILES = {
    "MNIST": "MNIST/raw/t10k-images-idx3-ubyte.gz", "CIFAR": "CIFAR10/cifar6000.tar",
    "ESOL": "molnet/delaney-processed.csv", "ETTh1": "ETT/ETTh1.csv",
}  # fmt: skip
SIZES = {  # to fit, to choose by, to test
    "Digits": (1200, None, 597), "MNIST": (8000, None, 2000), "CIFAR": (5000, None, 1000),
    "ESOL": (902, 113, 113), "ETTh1": (59647, 19999, 19999),
}  # fmt: skip
TINY = {  # seconds each
    "Digits": lambda: Digits(epochs=1, limit=128, patch=4),
    "MNIST": lambda: MNIST(epochs=1, limit=64, patch=14),
    "CIFAR": lambda: CIFAR(epochs=1, limit=64, patch=16),
    "ESOL": lambda: ESOL(epochs=1, limit=64),
    "ETTh1": lambda: ETTh1(epochs=1, limit=256, patch=48),
}
OTHERS = {  # a mixer besides the task's own
    "ESOL": lambda dim: tn.GINConvolution(dim),
    "ETTh1": lambda dim, n: tn.TokenMLP(n),
}


def needs(name: str) -> None:
    root = os.environ.get("TOKENNET_DATA")
    if name in FILES and not (root and Path(root, FILES[name]).exists()):
        pytest.skip(f"{FILES[name]} is not in TOKENNET_DATA")
    if name == "ESOL":
        pytest.importorskip("rdkit")


def everything(samples) -> Batch:
    return samples.batch(torch.arange(len(samples)))


@pytest.mark.parametrize("name", SIZES)
def test_sizes_are_as_documented(name):
    needs(name)
    data = TASKS[name]().data(0)
    found = (len(data.fit), data.choose and len(data.choose), len(data.test))
    assert found == SIZES[name]
    said = " ".join((TASKS[name].__doc__ or "").split())
    for size in found:
        assert size is None or f"{size:,}" in said


@pytest.mark.parametrize("name", ["Digits", "MNIST", "CIFAR"])
def test_images_are_split_by_class_and_none_is_in_both_parts(name):
    needs(name)
    data = TASKS[name]().data(0)
    fit, test = everything(data.fit), everything(data.test)
    rows = [{x.numpy().tobytes() for x in part.inputs} for part in (fit, test)]
    assert not rows[0] & rows[1]
    shares = [
        torch.bincount(part.targets, minlength=10) / len(part.targets) for part in (fit, test)
    ]
    assert float((shares[0] - shares[1]).abs().max()) < 0.002
    assert TASKS[name]().data(1).test is data.test, "one test part for all seeds"
    size, channels = TASKS[name].size, TASKS[name].channels
    assert fit.inputs.shape[1:] == (channels, size, size)


def test_molecules_are_drawn_by_the_seed_and_none_is_in_two_parts():
    needs("ESOL")
    data, other = ESOL().data(0), ESOL().data(1)
    parts = [{id(m) for m in part.molecules} for part in (data.fit, data.choose, data.test)]
    assert len(set.union(*parts)) == sum(map(len, parts)) == 1128
    assert {id(m) for m in other.test.molecules} != parts[2]


def test_the_months_of_the_series():
    needs("ETTh1")
    task = ETTh1(window=48, horizon=12)
    data = task.data(0)
    whole = torch.cat([data.fit.series, data.choose.series[48:], data.test.series[48:]])
    assert len(whole) == TEST == 14400
    assert (FIT, CHOOSE) == (8640, 11520)
    assert torch.equal(data.choose.series, whole[FIT - 48 : CHOOSE])
    assert torch.equal(data.test.series, whole[CHOOSE - 48 :])
    torch.testing.assert_close(whole[:FIT].mean(0), torch.zeros(7), atol=1e-4, rtol=0)
    torch.testing.assert_close(whole[:FIT].std(0), torch.ones(7), atol=1e-3, rtol=0)


def test_windows_hold_what_comes_next():
    """On t^2 + 1000 c every number is known; inputs tell nothing later than the first end."""
    steps, channels = torch.arange(9.0), torch.arange(2.0)
    series = steps[:, None] ** 2 + 1000 * channels
    direct, every = (Windows(series, 4, 2, ends) for ends in ((3,), (1, 3)))
    assert len(direct) == len(every) == 4 * 2
    batch = direct.batch(torch.tensor([5, 0]))  # from step 2, channel 1; from step 0
    assert batch.inputs.squeeze(2).tolist() == [[4 - 25, 9 - 25, 16 - 25, 0], [-9, -8, -5, 0]]
    assert batch.targets.tolist() == [[36 - 25, 49 - 25], [16 - 9, 25 - 9]]
    batch = every.batch(torch.tensor([5]))
    assert batch.inputs.squeeze(2).tolist() == [[0, 5, 12, 21]]
    assert batch.targets.tolist() == [[[16 - 9, 25 - 9], [36 - 25, 49 - 25]]]


@pytest.mark.parametrize("name", TINY)
def test_nets_train_and_the_same_seed_gives_the_same(name):
    needs(name)
    task: Task = TINY[name]()
    found = task(seed=3)
    assert found == task(seed=3)
    other = OTHERS.get(name, lambda dim, n: tn.TokenMLP(n))
    for metrics in (found, task(seed=3, mixer=other)):
        assert all(map(math.isfinite, metrics.values()))
        assert 0 <= metrics[task.metric] <= (1 if task.metric == "accuracy" else 100)
    assert metrics != found
    assert task(seed=4) != found
    assert metrics["equivariance_error"] < 1e-12 if name == "ESOL" else (
        metrics["equivariance_error"] > 1e-6
    )  # fmt: skip


def test_digits_are_learned():
    assert Digits(epochs=4)(seed=0)["accuracy"] > 0.6


@pytest.mark.parametrize("name", TINY)
def test_samples_of_a_batch_stand_for_themselves(name):
    needs(name)
    task = TINY[name]()
    net = task.net().double().eval()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.3)

    def answer(*index: int) -> torch.Tensor:
        inputs = task.data(0).test.batch(torch.tensor(index)).inputs
        return net(inputs.double() if isinstance(inputs, torch.Tensor) else inputs)

    both = answer(0, 5)
    torch.testing.assert_close(both, torch.cat([answer(0), answer(5)]))
    assert not torch.allclose(both[0], both[1])


def test_limits_are_nested_and_checked():
    samples = Arrays(torch.arange(10.0)[:, None], torch.arange(10))
    few, more = (limited(samples, k, seed=1) for k in (3, 6))
    assert len(few) == 3
    assert isinstance(few, Chosen)
    first, second = (set(everything(part).targets.tolist()) for part in (few, more))
    assert first < second
    assert torch.equal(everything(few).inputs[:, 0].long(), everything(few).targets)
    assert limited(samples, None, 0) is samples
    assert set(everything(limited(samples, 3, 2)).targets.tolist()) != first
    with pytest.raises(ValueError, match="limit is 11, expected at most 10"):
        limited(samples, 11, 0)
    assert len(Digits(limit=100).data(0).fit) == 100


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Digits(patch=3), r"patch is 3, expected a divisor of the image's side \(8\)"),
        (lambda: MNIST(limit=0), "limit is 0, expected at least 1"),
        (lambda: ETTh1(patch=7), r"patch is 7, expected a divisor of window \(96\)"),
        (lambda: ETTh1(window=2880), r"window \+ horizon is 2904, expected at most 2880"),
        (lambda: Digits(epochs=0), "epochs is 0, expected at least 1"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
    with pytest.raises(TypeError, match="every is 1, expected True or False"):
        ETTh1(every=1)


def test_nets_that_look_ahead_are_refused_where_every_token_is_asked():
    task = ETTh1(every=True, epochs=1, limit=256, patch=24)
    with pytest.raises(ValueError, match="claims Causality for ETTh1"):
        task(seed=0, mixer=lambda dim: tn.Attention(dim, 4))
    needs("ETTh1")
    own = task(seed=0)
    state = task(seed=0, mixer=lambda dim: tn.LatentState(dim, 8))
    assert own["mse"] != state["mse"]
    assert all(0 < found["mse"] < 20 for found in (own, state))


def test_every_token_is_asked_and_the_last_is_scored():
    task = ETTh1(every=True, patch=24)
    targets = torch.randn(5, 4, 24)
    batch = Batch(torch.zeros(5, 96, 1), targets)
    answer = torch.zeros(5, 4, 24)
    answer[:, -1] = targets[:, -1] + 2
    scores = task.scores(answer, batch)
    assert scores["mse"] == pytest.approx((4.0 * 5 * 24, 5 * 24))
    assert scores["mae"] == pytest.approx((2.0 * 5 * 24, 5 * 24))
    wanted = (targets[:, :-1].square().sum() + 4.0 * 5 * 24) / targets.numel()
    torch.testing.assert_close(task.loss(answer, batch), wanted)


def test_errors_of_solubility_are_in_the_units_of_the_data():
    task, targets = ESOL(), torch.tensor([-3.0, -5.0, 1.0])
    batch = Batch([], targets)
    right = ((targets + 3) / 2)[:, None]
    assert float(task.loss(right, batch)) == 0
    total, count = task.scores(right + 0.5, batch)["rmse"]  # one log mol per litre too much
    assert task.metrics({"rmse": total / count, "mae": 1.0}) == {"rmse": 1.0, "mae": 1.0}


def test_last_readout_reads_the_last_real_token():
    readout = LastReadout(3, 2)
    x = torch.randn(3, 4, 3)
    valid = torch.tensor([[1, 1, 1, 1], [0, 1, 1, 0], [0, 0, 0, 0]]).bool()
    found = readout(x, Structure.padded(valid))
    token = readout.map(x, Structure.padded(valid))
    torch.testing.assert_close(found, torch.stack([token[0, 3], token[1, 2], torch.zeros(2)]))
    packed = readout(torch.cat([x[0], x[1, 1:3]]), Structure.packed([4, 2, 0]))
    torch.testing.assert_close(packed, found)
