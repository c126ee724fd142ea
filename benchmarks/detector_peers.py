"""Other packages that test modules, as judges of the same entries: those that are installed.

Each is given the example and runs its own checks of the promised properties, with its own
tolerances. Only an AssertionError of a check, or its report of a failure, counts as found; where a
package takes one tensor, the mask is joined to the features as one more channel.

`pip install pytest-torch torchtest2 neural-net-checklist`

Axes: B samples, N tokens, D channels.
"""

import contextlib
import copy
import importlib
import importlib.metadata
import importlib.util
import io
from collections.abc import Callable
from typing import Any

import torch
from corpus import Entry
from detector import Tool
from torch import Tensor, nn

Check = Callable[[], object]


def installed() -> list[Tool]:
    found = []
    for package, module, tool in (
        ("pytest-torch", "pytest_torch", pytest_torch),
        ("torchtest2", "torchtest2", torchtest2),
        ("neural-net-checklist", "neural_net_checklist", checklist),
    ):
        if importlib.util.find_spec(module) is not None:
            found.append(tool(f"{package} {importlib.metadata.version(package)}"))
    return found


def failing(checks: dict[str, Check], promised: tuple[str, ...]) -> tuple[str, ...]:
    """The promised properties whose check fails; what a check can't be asked is not found."""
    broken = []
    for name, check in checks.items():
        if name.split(":")[0] not in promised:
            continue
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                check()
        except AssertionError:
            broken.append(name.split(":")[0])
        except Exception:
            continue
    return tuple(dict.fromkeys(broken))


def is_dense(entry: Entry) -> bool:
    """Whether samples are the first axis of the arguments."""
    return not {"edges", "batch"} & set(entry.arguments)


def by_name(entry: Entry) -> dict[str, Tensor]:
    module = entry.make(False)
    names = module.forward.__code__.co_varnames[1:]
    return dict(zip(names, entry.example(), strict=False))


def pytest_torch(title: str) -> Tool:
    library: Any = importlib.import_module("pytest_torch")
    invariance: Any = importlib.import_module("pytest_torch.invariance")

    def judge(entry: Entry, bug: bool) -> tuple[str, ...]:
        module, given = entry.make(bug).eval(), by_name(entry)
        roles = {"ids_key": entry.arguments["tokens"], "mask_key": entry.arguments.get("mask", "")}

        def contract(*names: str) -> None:
            args = copy.deepcopy(given)
            library.check_inference_contract(module, args, checks=names)

        checks: dict[str, Check] = {
            "Repeatability": lambda: contract("deterministic"),
            "NoState": lambda: contract("deterministic"),
            "Purity": lambda: contract("no_state_mutation"),
            "Finite": lambda: contract("finite_outputs"),
            "MemoryLayout": lambda: invariance.assert_layout_invariant(module, given),
        }
        if is_dense(entry):
            checks["Permutation"] = lambda: library.assert_permutation_equivariant(module, given)
            checks["BatchIndependence"] = lambda: library.assert_batch_invariant(module, given)
        elif "edges" not in entry.arguments:
            checks["Interleaving"] = lambda: library.assert_permutation_equivariant(
                module, given, dim=0
            )
        if entry.arguments.get("mask") == "mask":  # it fills masks with zeros: "not a token"
            checks["Padding"] = lambda: library.assert_padding_invariant(module, given, **roles)
            checks["Padding:content"] = lambda: library.assert_mask_invariant(
                module, given, **roles
            )
            checks["LeftPadding"] = lambda: library.assert_padding_invariant(
                module, given, side="left", **roles
            )
        if "cache" in entry.arguments:
            stateful: Any = importlib.import_module("pytest_torch.stateful")
            step = getattr(module, entry.arguments["cache"])
            checks["Cache"] = lambda: stateful.assert_streaming_equivalent(
                module, step, entry.example()[0], chunk_sizes=[1], init_state=lambda: None
            )
        return failing(checks, entry.promises)

    knows = "Repeatability NoState Purity Finite MemoryLayout Permutation BatchIndependence"
    knows += " Interleaving Padding LeftPadding Cache"
    return Tool(title, judge, frozenset(knows.split()))


def torchtest2(title: str) -> Tool:
    library: Any = importlib.import_module("torchtest2")
    names = {
        "output_finite": "Finite",
        "eval_determinism": "Repeatability",
        "batch_independence": "BatchIndependence",
    }

    def judge(entry: Entry, bug: bool) -> tuple[str, ...]:
        axis = 0 if is_dense(entry) else None
        report = library.check_model(
            entry.make(bug), entry.example(), overfit_steps=0, batch_dim=axis
        )
        failed = [names[r.name] for r in report.failures if r.name in names]
        return tuple(name for name in failed if name in entry.promises)

    return Tool(title, judge, frozenset(names.values()))


class Joined(nn.Module):
    """A module of features and a mask, which stands in one more channel."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, joined: Tensor) -> Tensor:
        return self.module(joined[..., :-1], joined[..., -1] > 0.5)


def checklist(title: str) -> Tool:
    library: Any = importlib.import_module("neural_net_checklist.torch_diagnostics")

    def judge(entry: Entry, bug: bool) -> tuple[str, ...]:
        args = entry.example()
        joined = "mask" in entry.arguments and args[0].is_floating_point()
        if not is_dense(entry) or len(args) > 1 + joined:
            return ()

        def make() -> nn.Module:
            module = entry.make(bug)
            return module if len(args) == 1 else Joined(module)

        inputs = args[0]
        if len(args) == 2:
            inputs = torch.cat([inputs, args[1][..., None].to(inputs)], -1)
        batch = inputs, torch.zeros(len(inputs))
        checks: dict[str, Check] = {
            "BatchIndependence": lambda: library.assert_forward_batch_independence(make, batch),
            "Causality": lambda: library.assert_forward_causal_property(make, batch),
            "GradientOf(BatchIndependence)": lambda: library.assert_backward_batch_independence(
                make, batch
            ),
            "GradientOf(Causality)": lambda: library.assert_backward_causal_property(make, batch),
        }
        promised = entry.promises
        if "BatchIndependence" in promised:
            promised = (*promised, "GradientOf(BatchIndependence)")
        return failing(checks, promised)

    names = {"BatchIndependence", "Causality", "GradientOf(BatchIndependence)"}
    return Tool(title, judge, frozenset({*names, "GradientOf(Causality)"}))
