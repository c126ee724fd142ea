"""What timm's models have in common: patches, activations, rates, heads; read off live modules.

Classes are told by their names, so that nothing of timm is imported.
"""

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import nn

from tokennet.checks import value_error
from tokennet.interop.options import Options
from tokennet.interop.translation import Line, module
from tokennet.mixers.activations import QuickGELU
from tokennet.net import PatchTokenizer

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "gelu": nn.GELU,
    "gelu_tanh": partial(nn.GELU, approximate="tanh"),
    "quick_gelu": QuickGELU,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
}
_ACTIVATION_NAMES = {
    "GELU": "gelu", "GELUTanh": "gelu_tanh", "QuickGELU": "quick_gelu", "ReLU": "relu",
    "SiLU": "silu",
}  # fmt: skip
NORM = {"LayerNorm": "layernorm", "GroupNorm1": "groupnorm1", "LayerNorm2d": "layernorm2d"}


# -- options of a configuration -------------------------------------------------------------------


def pair(options: Options, key: str, default: Any) -> tuple[int, int]:
    """Rows and columns, from one number or two."""
    value = options.take(key, default)
    both = list(value) if isinstance(value, list | tuple) else [value, value]
    if len(both) != 2 or not all(type(n) is int and n > 0 for n in both):
        raise options.refused(key, value, "a whole number above 0, or two")
    return both[0], both[1]


def side(options: Options, key: str, default: Any) -> int:
    """One number for both axes."""
    rows, columns = pair(options, key, default)
    if rows != columns:
        raise options.refused(key, [rows, columns], "a square")
    return rows


def patches(options: Options, dim: int, *, bias: bool = True) -> tuple[PatchTokenizer, int]:
    """The tokenizer of `img_size`, `patch_size` and `in_chans`, and how many tokens there are."""
    size, patch = pair(options, "img_size", 224), side(options, "patch_size", 16)
    if size[0] % patch or size[1] % patch:
        allowed = f"multiples of patch_size ({patch})"
        raise options.refused("img_size", list(size), allowed)
    tokenizer = PatchTokenizer(options.take_int("in_chans", 3), patch, dim, bias=bias)
    return tokenizer, (size[0] // patch) * (size[1] // patch)


def activation(options: Options, key: str, default: str = "gelu") -> Callable[[], nn.Module]:
    return ACTIVATIONS[options.take(key, None, among=(None, *ACTIVATIONS)) or default]


def drop_paths(options: Options, depth: int) -> list[float]:
    """timm's rates, rising linearly from 0 to `drop_path_rate`."""
    rate = options.take("drop_path_rate", 0.0)
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < 1:
        raise options.refused("drop_path_rate", rate, "one number: rates that rise linearly to it")
    return torch.linspace(0, rate, depth, device="cpu").tolist()


def head(
    options: Options, dim: int, where: str, *, norm: tuple[str, float] | None = None,
    name: str = "head",
) -> tuple[nn.Module, int, list[Line]]:  # fmt: skip
    """Norm, dropout and linear map, as far as there are any; the width of the result; the lines.

    `where`: of the module in our net. `norm`: its name in timm, and its eps.
    """
    classes = options.take_int("num_classes", 1000, least=0)
    drop = options.take_rate("drop_rate", 0.0)
    parts: list[tuple[str, nn.Module]] = []
    if norm is not None:
        parts.append((norm[0], nn.LayerNorm(dim, eps=norm[1])))
    if drop:
        parts.append(("", nn.Dropout(drop)))
    if classes:
        parts.append((name, nn.Linear(dim, classes)))
    if len(parts) == 1 and parts[0][0]:
        return parts[0][1], classes or dim, module(parts[0][0], where)
    lines = [x for i, (own, _) in enumerate(parts) if own for x in module(own, f"{where}.{i}")]
    made = nn.Sequential(*(part for _, part in parts)) if parts else nn.Identity()
    return made, classes or dim, lines


# -- live modules ---------------------------------------------------------------------------------


def class_name(part: Any, home: str = "timm.layers.") -> str:
    """The name of a class of timm or torch; of others with their module, which no option has.

    `home`: the file of timm's models whose classes are meant by their names.
    """
    kind = type(part)
    known = f"{kind.__module__}.".startswith(("timm.layers.", "torch.nn.modules.", f"{home}."))
    return kind.__name__ if known else f"{kind.__module__}.{kind.__name__}"


def check_class(option: str, found: str, *allowed: str) -> None:
    """Raises where a part is of a class of which nothing can be read."""
    if found not in allowed:
        hint = "tokennet has no import for another value yet"
        raise value_error(option, repr(found), "one of " + ", ".join(map(repr, allowed)), hint)


def activation_name(part: nn.Module) -> str:
    name = class_name(part)
    if name == "GELU" and getattr(part, "approximate", "none") == "tanh":
        return "gelu_tanh"
    return _ACTIVATION_NAMES.get(name, name)


def norm_name(part: nn.Module) -> str:
    return NORM.get(class_name(part), class_name(part))


def alike(blocks: Iterable[nn.Module], where: str) -> None:
    """Raises where blocks differ in more than weights and the rate of dropped paths."""
    texts = [re.sub(r"\(drop_path\d?\): [^\n]*\n", "", repr(block)) for block in blocks]
    for i, text in enumerate(texts):
        if text != texts[0]:
            raise value_error(f"{where}[{i}]", "different", f"like {where}[0], but for its weights")


def is_there(part: nn.Module) -> bool:
    return not isinstance(part, nn.Identity)


def rate(part: nn.Module) -> float:
    """The probability of a dropout or of a dropped path."""
    found = getattr(part, "p", getattr(part, "drop_prob", None))
    return 0.0 if found is None else float(found)


def one_of(name: str, values: Iterable[Any]) -> Any:
    """The value that all have."""
    values = list(values)
    if any(v != values[0] for v in values):
        raise value_error(name, values, "the same everywhere")
    return values[0]


def drop_path_rate(blocks: Iterable[Any]) -> float:
    """The option that gives the rates of these blocks, for both branches of each."""
    both = [(rate(block.drop_path1), rate(block.drop_path2)) for block in blocks]
    last = both[-1][0]
    linear = torch.linspace(0, last, len(both), device="cpu").tolist()
    if any(abs(p - q) > 1e-6 for pair, q in zip(both, linear, strict=True) for p in pair):
        raise value_error("drop_path_rate", both, "rates that rise linearly from 0")
    return last


def ratio(hidden: int, dim: int) -> float:
    """A number with int(dim * ratio) == hidden."""
    found = hidden / dim
    return found if int(dim * found) == hidden else (hidden + 0.5) / dim


def patch_options(embed: Any, name: str) -> dict[str, Any]:
    """The options of a `PatchEmbed`."""
    check_class(name, class_name(embed), "PatchEmbed")
    return {
        "flatten": embed.flatten,
        "dynamic_img_pad": embed.dynamic_img_pad,
        "img_size": list(embed.img_size),
        "patch_size": list(embed.patch_size),
        "in_chans": embed.proj.in_channels,
    }
