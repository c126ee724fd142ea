"""Bad calls of ablations, and what is said of them."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bad import Bad, T, V
from torch import nn

import tokennet as tn

AXES = {"kind": ["a", "b"]}


def experiment(kind: str, seed: int) -> dict[str, float]:
    return {"score": float(seed)}


def ablate(axes: Any = AXES, function: Any = experiment, **given: Any) -> tn.Ablation:
    """Nothing of it may run: the error comes first."""
    return tn.ablate(function, axes, **{"maximise": "score", "progress": False, **given})


def narrow(kind: str) -> dict[str, float]:
    return {}


ABLATIONS = {
    "ablate": [
        Bad(lambda: ablate(function=3), T, "experiment is int, expected a function"),
        Bad(lambda: ablate(function=narrow), V, "experiment is narrow.*takes 'seed'"),
        Bad(lambda: ablate({"knd": ["a", "b"]}), V, "is 'kind' meant"),
        Bad(lambda: ablate({}), T, "axes is {}, expected a dict"),
        Bad(lambda: ablate({"kind": ["a"]}), V, "design is a, expected at least two choices"),
        Bad(lambda: ablate(seeds=0), V, "seeds is 0, expected at least one"),
        Bad(lambda: ablate(seeds="ten"), T, "seeds is 'ten', expected how many, or a list"),
        Bad(lambda: ablate(minimise="loss"), V, "minimise is 'loss', expected None"),
        Bad(lambda: ablate(maximise=None), V, "maximise is None, expected the metric that decides"),
        Bad(lambda: ablate(baseline={"kind": "c"}), V, r"baseline\['kind'\] is 'c', expected one"),
        Bad(lambda: ablate(design="all"), V, "design is 'all', expected 'grid', 'one at a time'"),
        Bad(lambda: ablate(design="one at a time"), V, "baseline is None, expected a choice"),
        Bad(lambda: ablate(fixed={"kind": "a"}), V, "a key of fixed is 'kind', expected no axis"),
        Bad(lambda: ablate(fixed=[1]), T, r"fixed is \[1\], expected a dict"),
        Bad(lambda: ablate(match="params"), V, "match is 'params', expected 'parameters'"),
        Bad(lambda: ablate(match="flops"), V, "match is flops, expected a Budget with build="),
        Bad(lambda: ablate(store=3), T, "store is int, expected the name of a file"),
        Bad(lambda: ablate(workers=0), V, "workers is 0, expected at least 1"),
        Bad(lambda: ablate(timeout=-1), V, "timeout is -1"),
        Bad(lambda: ablate(executor=3), T, "executor is int"),
        Bad(
            lambda: ablate(executor=ThreadPoolExecutor(2)),
            V,
            "executor is a ThreadPoolExecutor of 2",
        ),
        Bad(lambda: ablate(devices="gpu"), T, "devices is 'gpu'"),
        Bad(lambda: ablate(progress="yes"), T, "progress is 'yes', expected True or False"),
        Bad(lambda: ablate(name=" "), T, "name is ' ', expected a text"),
    ],
    "Run": [
        Bad(lambda: tn.Run(0).log("a", loss=1.0), T, "step is str, expected a number"),
        Bad(lambda: tn.Run(0).log(1, loss="low"), T, "loss is str, expected a number"),
        Bad(lambda: tn.Run(0).log(1, solved=True), T, "solved is bool, expected a number"),
        Bad(lambda: tn.Run(0).log(1, loss="3"), T, "loss is str, expected a number"),
        Bad(lambda: tn.Run(0).describe(3), T, "net is int, expected an nn.Module"),  # type: ignore
    ],
    "Budget": [
        Bad(lambda: tn.Budget("time"), V, "of is 'time', expected 'parameters' or 'flops'"),
        Bad(lambda: tn.Budget(step=0), V, "step is 0, expected at least 1"),
        Bad(lambda: tn.Budget(within=2), V, "within is 2, expected a share"),
        Bad(lambda: tn.Budget(build=nn.Linear(1, 1)), T, "build is Linear, expected a function"),
    ],
    "load_ablation": [
        Bad(lambda: tn.load_ablation(3), T, "store is int"),  # type: ignore[arg-type]
    ],
}
