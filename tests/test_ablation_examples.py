"""The ablations of `examples/` run, and a quick run shows what it can show."""

import os
import runpy
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

import tokennet as tn

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
EXAMPLES = Path(__file__).parents[1] / "examples"


def load(name: str) -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="example")


def quick(name: str, folder: Path) -> Any:
    """A quick run in this process; it draws its picture, and nothing else is written."""
    picture = folder / "picture.png"
    with ThreadPoolExecutor(1) as executor:
        found = load(name)["main"](True, str(picture), executor=executor, progress=False)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert list(folder.iterdir()) == [picture]
    return found


def means(result: tn.Ablation) -> dict[tuple[str, ...], float]:
    """The mean of every choice, by its labels; every run has to be done."""
    assert result.complete, [run.outcome and run.outcome.error for run in result.failed]
    return {tuple(c.labels.values()): c.mean for c in result.analysis.cells if c.mean is not None}


def others(result: tn.Ablation, name: str) -> dict[str, float]:
    """The mean of another metric, by the names of the choices."""
    return {cell.name: cell.others[name][0] for cell in result.analysis.cells}


def test_positions(tmp_path: Path) -> None:
    """A position code matters to attention, and hardly to a token MLP."""
    found = means(quick("ablation_positions", tmp_path))
    gain = {m: found[m, "learned"] - found[m, "none"] for m in ("attention", "1x1", "token MLP")}
    assert gain["attention"] > 0.1
    assert abs(gain["token MLP"]) < 0.05 < found["token MLP", "none"] - found["attention", "none"]


def test_graph_mixers_on_the_mean_of_neighbours() -> None:
    """Who hears all but not along edges has the error of knowing the mean; who hears nobody 1."""
    module = load("ablation_graph_mixers")
    names = ["GCN", "SAGE", "full attention", "1x1"]
    with ThreadPoolExecutor(1) as executor:
        task = module["make_tasks"](True)[1]
        result = module["compare"](task, names, 1, executor=executor, progress=False)
    error = {name: value for (name,), value in means(result).items()}
    assert error["SAGE"] < 0.05 < error["GCN"] < 0.5 < error["full attention"] < 0.95
    assert error["1x1"] > 0.95


@pytest.mark.skipif("TOKENNET_DATA" not in os.environ, reason="Cora: TOKENNET_DATA is not set")
def test_graph_mixers(tmp_path: Path) -> None:
    cora, mean = quick("ablation_graph_mixers", tmp_path)
    assert set(means(cora)) == set(means(mean))


def test_depth(tmp_path: Path) -> None:
    """Without residual the tokens of a deep net are all alike, and it stays at chance."""
    shallow, deep = quick("ablation_depth", tmp_path)
    found = means(shallow) | means(deep)
    difference = others(deep, "difference")
    assert found["f(norm(x))", "2"] > 0.4
    assert found["f(norm(x))", "16"] < 0.2 < 0.4 < found["x + f(norm(x))", "16"]
    assert difference["f(norm(x)), 16"] < 1e-5 < 0.05 < difference["x + f(norm(x)), 16"]


def test_patches(tmp_path: Path) -> None:
    """A blur makes the tokens move less with a shift, and large patches ask less."""
    result = quick("ablation_patches", tmp_path)
    means(result)
    change, pairs = others(result, "shift_error"), others(result, "pairs")
    assert change["patch 4, blur 5"] < 0.7 * change["patch 4"]
    assert pairs == {"patch 3": 256, "patch 12": 1, "patch 4": 81, "patch 4, blur 5": 81}


def test_scores(tmp_path: Path) -> None:
    """Recall needs a score of the content."""
    digits, recall = quick("ablation_scores", tmp_path)
    assert set(means(digits)) == set(means(recall))
    found = means(recall)
    assert found[("location",)] < 0.2 < 0.3 < found[("dot / √d",)]


def test_gradient_of_the_softmax() -> None:
    """Not divided it goes out, divided by d it shrinks, by the root of d it stays."""
    module = load("ablation_scores")
    makes = {name: make for name, (make, _) in module["SCORES"].items()}
    size = {
        (name, dim): float(module["gradients"](make, dim).median())
        for name, make in makes.items()
        for dim in (4, 256)
    }
    assert size["dot", 256] < 0.2 * size["dot", 4]
    assert size["dot / d", 256] < 0.3 * size["dot / d", 4]
    assert 0.5 < size["dot / √d", 256] / size["dot / √d", 4] < 2


def test_heads(tmp_path: Path) -> None:
    """One head blends the answers about two keys, four do not; no parameter is added."""
    (result,) = quick("ablation_heads", tmp_path).values()
    found = means(result)
    assert found["1",] + 0.1 < found["4",]
    assert len({cell.parameters for cell in result.analysis.cells}) == 1


def test_two_keys() -> None:
    """The answer is about the pairs that are asked for, and both answers are as frequent."""
    task = load("ablation_heads")["TwoKeys"](samples=500)
    batch = task.data(0).fit.first(500)
    keys, values = batch.inputs[:, :-1, : task.keys], batch.inputs[:, :-1, -task.values :]
    value = values.argmax(-1)
    first, second = (
        value[(keys * batch.inputs[:, -1:, start : start + task.keys]).sum(-1).bool()]
        for start in (0, task.keys)
    )
    assert torch.equal((first > second).long(), batch.targets[:, -1])
    assert 0.4 < batch.targets[:, -1].float().mean() < 0.6


def test_tokens_and_attention(tmp_path: Path) -> None:
    """The MLP learns from neurons as from tokens, attention hardly; budgets are equal."""
    result = quick("ablation_tokens_attention", tmp_path)
    found = means(result)
    assert found["neurons", "attention"] < 0.3 < 0.5 < found["neurons", "MLP"]
    assert found["tokens", "MLP"] > 0.5
    sizes = [cell.parameters for cell in result.analysis.cells]
    assert max(sizes) / min(sizes) < 1.04


def test_data_size(tmp_path: Path) -> None:
    """With few pictures the convolution is ahead, and the gap closes with more of them."""
    found = means(quick("ablation_data_size", tmp_path))
    few, many = (found["convolution", n] - found["attention", n] for n in ("40", "1200"))
    assert few > 0.1
    assert many < 0.75 * few


@pytest.mark.skipif("TOKENNET_DATA" not in os.environ, reason="ETTh1: TOKENNET_DATA is not set")
def test_latent_state(tmp_path: Path) -> None:
    """Through the state of an RNN the gradient vanishes, a token MLP hears every hour."""
    result = quick("ablation_latent_state", tmp_path)
    means(result)
    for run in result.runs:
        assert run.outcome is not None
        shares = [share for _, share in run.outcome.curves["untrained"]]
        assert sum(shares) == pytest.approx(1)
        far = shares[-1] / shares[0]
        assert far < 1e-6 if run.labels["mixer"] == "RNN" else far > 1e-3


def test_latent_state_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOKENNET_DATA", raising=False)
    tn.tasks.series._series.cache_clear()
    with pytest.raises(FileNotFoundError, match=r"ETTh1\.csv"):
        load("ablation_latent_state")["main"](True)
