"""What the presets share: whose `forward` a module runs, its widths, small examples.

Axes: B samples, N tokens of a sample, D channels.
"""

import inspect
from typing import Any

import torch
from torch import Tensor, nn

SAMPLES, TOKENS, READ = 2, 5, 4  # of each example; READ is the number of memory tokens
# what a pure function of its arguments has, whatever it computes
ALWAYS = ("MemoryLayout", "Repeatability", "NoState", "Purity", "Finite")
ORDERLESS = ("Permutation", "EdgeOrder")
POINTWISE = ("Permutation", "CyclicShift", "Causality", "Prefix", "BatchIndependence")


def origin(module: nn.Module) -> type:
    """The class that wrote the `forward` in use: a subclass that writes its own is another kind."""
    return next(c for c in type(module).__mro__ if "forward" in vars(c))


def known_as(module: nn.Module, package: str) -> str | None:
    """The name of `origin(module)`, if it is written in `package`; nothing is imported for it."""
    kind = origin(module)
    inside = kind.__module__ == package or kind.__module__.startswith(package + ".")
    return kind.__name__ if inside else None


def descends(module: nn.Module, name: str) -> bool:
    """Whether a class of that full name ("torch.nn.modules.rnn.LSTM") is among the bases."""
    return name in (f"{c.__module__}.{c.__qualname__}" for c in type(module).__mro__)


def arguments(module: nn.Module) -> dict[str, inspect.Parameter]:
    """The arguments of `forward`, by name."""
    return dict(inspect.signature(module.forward).parameters)


def number(owner: Any, *names: str) -> int | None:
    """The first of these attributes that is a positive whole number."""
    for name in names:
        value = getattr(owner, name, None)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None


def _like(module: nn.Module) -> dict[str, Any]:
    for parameter in module.parameters():
        if parameter.is_floating_point():
            return {"dtype": parameter.dtype, "device": parameter.device}
    return {}


def features(module: nn.Module, *shape: int) -> Tensor:
    """Normal numbers in the module's dtype, always the same, without touching the global seed."""
    source = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=source).to(**_like(module))


def weights(module: nn.Module, *shape: int) -> Tensor:
    """Numbers between 0.1 and 1.1: graph operators take roots of sums of them."""
    source = torch.Generator().manual_seed(sum(shape))
    return torch.rand(*shape, generator=source).add(0.1).to(**_like(module))


def ids(module: nn.Module, vocabulary: tuple[int, int], *shape: int) -> Tensor:
    """Whole numbers from the lowest to the highest, both included."""
    source = torch.Generator().manual_seed(sum(shape))
    drawn = torch.randint(vocabulary[0], vocabulary[1] + 1, shape, generator=source)
    return drawn.to(_like(module).get("device", "cpu"))


def zeros(module: nn.Module, *shape: int, dtype: torch.dtype = torch.bool) -> Tensor:
    """A mask, or the sample of each token, before anything is marked in it."""
    return torch.zeros(shape, dtype=dtype, device=_like(module).get("device", "cpu"))


def sample_of_each(module: nn.Module) -> Tensor:
    """The `batch` vector [B * N] of PyG: samples one after the other."""
    of_token = torch.arange(SAMPLES).repeat_interleave(TOKENS)
    return of_token.to(_like(module).get("device", "cpu"))


def normalises_over_batch(module: nn.Module) -> bool:
    """In training such a module sees the other samples and keeps a state, as documented."""
    return any(
        isinstance(m, nn.modules.batchnorm._BatchNorm)
        or getattr(m, "track_running_stats", False)
        or type(m).__name__ == "HeteroBatchNorm"
        for m in module.modules()
    )


def drops(module: nn.Module) -> bool:
    """Whether training differs from evaluation by dropout."""
    for m in module.modules():
        rate = getattr(m, "p", 0.0) if isinstance(m, nn.modules.dropout._DropoutNd) else 0.0
        rates = [rate, *(v for k, v in vars(m).items() if "dropout" in k)]
        if any(isinstance(r, float) and r > 0 for r in rates):
            return True
    return False


def promised(module: nn.Module, *names: str) -> tuple[str, ...]:
    """`names` and what any pure function has; training is evaluation unless noise is wanted."""
    same = not (drops(module) or normalises_over_batch(module))
    found = (*names, *ALWAYS, *(("TrainEval",) if same else ()))
    return tuple(dict.fromkeys(found))


def domain(module: nn.Module, **settings: Any) -> dict[str, Any]:
    """Settings of the domain; where statistics run over the batch, only evaluation is asked."""
    return {**settings, **({"train": False} if normalises_over_batch(module) else {})}


def masked_domain(module: nn.Module, **settings: Any) -> dict[str, Any]:
    """A sample without a real token is documented nowhere: softmax over nothing is undefined."""
    return domain(module, empty_samples=False, **settings)
