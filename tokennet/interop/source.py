"""A state dict and a configuration, from files as they are downloaded. No code is run."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tokennet.checks import kind_of, type_error, value_error

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
INDEX = "model.safetensors.index.json"
INDICES = (INDEX, "pytorch_model.bin.index.json")
SUFFIXES = (".safetensors", ".bin", ".pt", ".pth")


def read_state(source: Any) -> dict[str, Tensor]:
    """The state dict of a mapping, a file (.safetensors, .bin, .pt, .pth) or a folder with one."""
    if isinstance(source, Mapping):
        return _checked(source, "source")
    path = _path(source)
    if path.is_dir():
        names = [name for pair in zip(WEIGHTS, INDICES, strict=True) for name in pair]
        found = next((path / name for name in names if (path / name).exists()), None)
        if found is None:
            allowed = f"a folder with {' or '.join(WEIGHTS)}"
            raise value_error("source", str(path), allowed)
        path = found
    if path.name in INDICES:
        return _sharded(path)
    if path.suffix == ".json":
        hint = "the config.json in a folder is found from the folder"
        raise value_error("source", str(path), "a folder or a file of weights", hint)
    return _checked(_load(path), str(path))


def read_config(source: Any, config: Any) -> dict[str, Any]:
    """The configuration: given, or the config.json beside the weights."""
    if isinstance(config, Mapping):
        return dict(config)
    if config is None and isinstance(source, Mapping):
        raise value_error("config", None, "the options of the model", "a state dict has none")
    path = _path(source if config is None else config)
    if path.is_file() and (path.suffix != ".json" or path.name in INDICES):
        path = path.parent
    path = path / "config.json" if path.is_dir() else path
    if not path.exists():
        raise value_error("config", str(path), "a file that exists", "pass config=")
    found = read_json(path)
    if not isinstance(found, dict):
        raise value_error(f"content of {path}", type(found).__name__, "an object of options")
    return found


def architecture(options: Mapping[str, Any]) -> str:
    """The class that the config.json of a model of transformers names: one, in a list."""
    found = options.get("architectures")
    if not isinstance(found, list | tuple) or len(found) != 1 or not isinstance(found[0], str):
        shown, hint = repr(found)[:60], 'e.g. ["BertModel"]'
        allowed = "the name of the model's class, in a list"
        raise value_error("config.architectures", shown, allowed, hint)
    return found[0]


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # also too deep, or too long a number
        text = str(error)[:120]
        raise value_error(f"content of {path}", f"no JSON ({text})", "a file of JSON") from None


def _path(source: Any) -> Path:
    if not isinstance(source, str | Path):
        raise type_error("source", kind_of(source), "a module, a state dict, a file or a folder")
    path = Path(source)
    if not path.exists():
        allowed = "a file or folder that exists"
        raise value_error("source", str(path), allowed, "models are not downloaded here")
    return path


def _load(path: Path) -> Any:
    """The tensors of a file; pickled code in it is refused by torch's `weights_only`."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        text = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise value_error(
            f"content of {path.name}", f"unreadable ({text})", "a file of tensors",
            "it may be cut off or of another kind; fetch it again",
        ) from None  # fmt: skip


def _sharded(path: Path) -> dict[str, Tensor]:
    """The tensors of all files that an index lists."""
    index = read_json(path)
    names = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(names, dict) or not names:
        raise value_error(f"content of {path.name}", "without weight_map", "an index of weights")
    for name in names.values():
        beside = isinstance(name, str) and Path(name).name == name
        if not beside or Path(name).suffix not in SUFFIXES:
            allowed = "names of files of weights beside it"
            raise value_error(f"weight_map of {path.name}", repr(name), allowed)
    state: dict[str, Tensor] = {}
    for name in sorted(set(names.values())):
        for key, t in _checked(_load(_path(path.parent / name)), name).items():
            if names.get(key) != name:
                raise value_error(f"content of {name}", f"with {key!r}", "what the index lists")
            state[key] = t
    missing = sorted(set(names) - set(state))
    if missing:
        raise value_error(f"tensors of {path.name}", f"without {missing[0]}", "all that it lists")
    return state


def _checked(found: Any, where: str) -> dict[str, Tensor]:
    if not isinstance(found, Mapping) or not found:
        raise type_error(where, kind_of(found), "a state dict: names and tensors")
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise type_error(f"{where}[{name!r}]", kind_of(value), "a tensor")
        if value.is_meta or value.layout is not torch.strided:
            found = "on the meta device" if value.is_meta else str(value.layout)
            raise value_error(f"{where}[{name!r}]", found, "a plain tensor with numbers")
    return dict(found)
