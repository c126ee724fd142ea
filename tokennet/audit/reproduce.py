"""A broken law as a few lines of Python: the two calls, and how far their answers are apart."""

from typing import Any

from torch import Tensor

from tokennet.audit.rendering import Call
from tokennet.audit.session import Session
from tokennet.audit.trial import Trial


def two_calls(session: Session, trial: Trial, before: Call, after: Call, statement: str) -> str:
    """Code that makes the module's two calls, and what should be equal in their answers."""
    plan = trial.plan
    kind = type(session.module).__name__
    mode = "train" if plan.train else "eval"
    dtype = str(plan.dtype).removeprefix("torch.")
    lines = [
        "import torch",
        "",
        f"module = ...  # {kind}, dropout off; weights of any kind, all random",
        f"module.{mode}().to(torch.{dtype})",
    ]
    lines += [_arguments("before", before), _arguments("after", after)]
    lines += ["with torch.no_grad():"] if plan.no_grad else []
    pad = "    " if plan.no_grad else ""
    lines += [
        f"{pad}y = module(*before[0], **before[1])",
        f"{pad}z = module(*after[0], **after[1])",
        f"# {trial.change}; {statement}",
        f"# they differ by {trial.finding.error:.2g} of the channel's size;"
        f" rounding explains {trial.finding.floor:.1g}",
    ]
    return "\n".join(lines)


def one_call(session: Session, trial: Trial, call: Call) -> str:
    """Code for a law of calls: the call, and what was done beside it."""
    plan = trial.plan
    dtype = str(plan.dtype).removeprefix("torch.")
    return "\n".join(
        [
            "import torch",
            "",
            f"module = ...  # {type(session.module).__name__}, dropout off",
            f"module.{'train' if plan.train else 'eval'}().to(torch.{dtype})",
            _arguments("call", call),
            "y = module(*call[0], **call[1])",
            f"# {trial.change}: seen in the {trial.finding.what}",
        ]
    )


def _arguments(name: str, call: Call) -> str:
    """`name = [...], {...}`, with tensors written out."""
    positional = ", ".join(_written(v) for v in call.positional)
    named = ", ".join(f"{k!r}: {_written(v)}" for k, v in call.named.items())
    return f"{name} = [{positional}], {{{named}}}"


def _written(value: Any) -> str:
    """A value as Python code."""
    if not isinstance(value, Tensor):
        return repr(value)
    dtype = str(value.dtype)
    if not value.numel():
        return f"torch.empty({tuple(value.shape)}, dtype={dtype})"
    if bool((value == value.flatten()[0]).all()) and value.numel() > 1:
        number = value.flatten()[0].item()
        return f"torch.full({tuple(value.shape)}, {_number(number)}, dtype={dtype})"
    numbers = _nested(value.detach().tolist())
    return f"torch.tensor({numbers}, dtype={dtype})"


def _nested(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_nested(v) for v in value) + "]"
    return _number(value)


def _number(value: Any) -> str:
    if isinstance(value, float):
        if value != value:
            return "torch.nan"
        if value in (float("inf"), float("-inf")):
            return "torch.inf" if value > 0 else "-torch.inf"
        return f"{value:.6g}"
    return repr(value)
