"""What `ablate` refuses before anything runs, and the words it has for it."""

import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tokennet.ablate import schema
from tokennet.ablate.ablate import ablate
from tokennet.ablate.pool import InlineExecutor
from tokennet.ablate.request import MissingAblateError, require_extras
from tokennet.ablate.schema import StoreError


def good(mixer: str, seed: int) -> dict[str, float]:
    return {"accuracy": 1.0}


def needs_more(mixer: str, width: int, seed: int) -> dict[str, float]:
    return {"accuracy": 1.0}


def misspelt(mixr: str, seed: int) -> dict[str, float]:
    return {"accuracy": 1.0}


def no_seed(mixer: str) -> dict[str, float]:
    return {"accuracy": 1.0}


def takes_all(**choice: Any) -> dict[str, float]:
    return {"accuracy": float(len(choice))}


AXES = {"mixer": ["a", "b"]}
LOCK = threading.Lock()

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"experiment": "train"}, "experiment is str, expected a function of the axes and a seed"),
    ({"experiment": dict}, "experiment is the class dict, expected a function"),
    ({"experiment": misspelt}, r"that takes 'mixer' \(it takes mixr, seed\); is 'mixr' meant\?"),
    ({"experiment": no_seed}, r"that takes 'seed' \(it takes mixer\); add 'seed' to it"),
    ({"experiment": needs_more}, "that needs no 'width': it gets mixer, seed; give it a default"),
    ({"axes": {}}, "axes is {}, expected a dict with at least one axis"),
    ({"axes": {"mixer": ["a"]}}, "design is a, expected at least two choices"),
    ({"maximise": None}, "maximise is None, expected the metric that decides"),
    ({"minimise": "loss"}, "minimise is 'loss', expected None beside maximise"),
    ({"maximise": 3}, "maximise is 3, expected the name of a metric"),
    ({"baseline": {"mixer": "c"}}, r"baseline\['mixer'\] is 'c', expected one of 'a', 'b'"),
    ({"design": "random"}, "design is 'random', expected 'grid', 'one at a time' or a list"),
    ({"design": "one at a time"}, "baseline is None, expected a choice"),
    ({"seeds": 0}, "seeds is 0, expected at least one"),
    ({"seeds": [1, 1]}, "expected every seed once"),
    ({"store": 5}, "store is int, expected the name of a file, or None"),
    ({"name": ""}, "name is '', expected a text that says something, or None"),
    ({"version": 2}, "version is 2, expected a text that says something, or None"),
    ({"retry_failed": "yes"}, "retry_failed is 'yes', expected True or False"),
    ({"progress": 1}, "progress is 1, expected True or False"),
    ({"workers": 1.5, "executor": None}, "workers is 1.5, expected a whole number"),
]


@pytest.mark.usefixtures("no_typecheck")
@pytest.mark.parametrize(("given", "said"), REFUSED)
def test_refused(given: dict[str, Any], said: str, tmp_path: Path) -> None:
    store = tmp_path / "runs.sqlite"
    usual = {
        "experiment": good, "axes": AXES, "seeds": 2, "maximise": "accuracy", "progress": False,
        "store": store, "executor": InlineExecutor(),
    }  # fmt: skip
    with pytest.raises((TypeError, ValueError), match=said):
        ablate(**{**usual, **given})
    assert not store.exists(), "nothing was begun"


def call(experiment: Any, **changes: Any) -> Any:
    given = {"seeds": 1, "maximise": "accuracy", "progress": False, "executor": InlineExecutor()}
    return ablate(experiment, changes.pop("axes", AXES), **{**given, **changes})


@pytest.mark.parametrize(
    ("experiment", "axes", "said"),
    [
        (lambda mixer, seed: {"x": float(LOCK.locked())}, AXES, "experiment is function, expected"),
        (good, {"mixer": {"a": 1, "b": LOCK}}, r"axes\['mixer'\]\['b'\] is lock, expected some.*"),
    ],
)
def test_what_cannot_be_sent(experiment: Any, axes: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said + ".*sent to another process; make it inside"):
        call(experiment, axes=axes, version="1")


def test_everything_that_fits() -> None:
    assert call(takes_all).runs[0].metrics == {"accuracy": 2.0}
    assert call(partial(needs_more, width=3)).complete
    assert call(lambda mixer, seed=1, *, other=3: {"accuracy": seed}, version="1").complete

    class Task:
        metric, higher_is_better, name = "accuracy", False, "the task"

        def __call__(self, mixer: str, seed: int) -> dict[str, float]:
            return {"accuracy": 1.0}

    found = call(Task(), maximise=None, version="1").plan
    assert (found.metric, found.higher_is_better, found.name) == ("accuracy", False, "the task")


def test_a_store_that_cannot_be_used_stops_before_any_run(tmp_path: Path) -> None:
    ran: list[int] = []
    with pytest.raises(StoreError, match="does not exist; make it first"):
        call(lambda mixer, seed: ran.append(1), store=tmp_path / "no" / "s.sqlite", version="1")
    assert not ran


def test_extras_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "loky" else 1)
    with pytest.raises(MissingAblateError, match=r"need loky: pip install 'tokennet\[ablate\]'"):
        require_extras()


@pytest.fixture
def full_after(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Stores that may not grow beyond so many pages, as on a disk that is full."""

    def limit(pages: int) -> None:
        settings = (f"PRAGMA max_page_count = {pages}",)
        monkeypatch.setattr(schema, "SETTINGS", settings)

    return limit


def test_a_full_disk_stops_and_the_same_call_goes_on(tmp_path: Path, full_after: Any) -> None:
    store = tmp_path / "runs.sqlite"

    def curves(mixer: str, seed: int, run: Any) -> dict[str, float]:
        for step in range(300):
            run.log(step, loss=seed)
        return {"accuracy": float(seed)}

    full_after(60)
    with pytest.raises(StoreError, match="the disk is full; make room and call again") as error:
        call(curves, store=store, seeds=10, version="1")
    (said,) = error.value.__notes__
    kept = int(said.split()[1])
    assert 2 <= kept <= 15
    full_after(100_000)
    found = call(curves, store=store, seeds=10, version="1")
    assert found.complete
    assert f"{kept} of 20 runs were in the store before this call" in found.notes
