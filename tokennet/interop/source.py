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


def read_state(source: Any) -> dict[str, Tensor]:
    """The state dict of a mapping, a file (.safetensors, .bin, .pt, .pth) or a folder with one."""
    if isinstance(source, Mapping):
        return _checked(source, "source")
    path = _path(source)
    if path.is_dir():
        if (path / INDEX).exists():
            return _sharded(path)
        found = next((path / name for name in WEIGHTS if (path / name).exists()), None)
        if found is None:
            allowed = f"a folder with {' or '.join(WEIGHTS)}"
            raise value_error("source", str(path), allowed)
        path = found
    return _checked(_load(path), str(path))


def read_config(source: Any, config: Any) -> dict[str, Any]:
    """The configuration: given, or the config.json beside the weights."""
    if isinstance(config, Mapping):
        return dict(config)
    if config is None and isinstance(source, Mapping):
        raise value_error("config", None, "the options of the model", "a state dict has none")
    path = _path(source if config is None else config)
    if path.is_file() and path.suffix != ".json":
        path = path.parent
    path = path / "config.json" if path.is_dir() else path
    if not path.exists():
        raise value_error("config", str(path), "a file that exists", "pass config=")
    found = read_json(path)
    if not isinstance(found, dict):
        raise value_error(f"content of {path}", type(found).__name__, "an object of options")
    return found


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise value_error(f"content of {path}", f"no JSON ({error})", "a file of JSON") from None


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
    except OSError:
        raise
    except Exception as error:
        text = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise value_error(
            f"content of {path.name}", f"unreadable ({text})", "a file of tensors",
            "it may be cut off or of another kind; fetch it again",
        ) from None  # fmt: skip


def _sharded(folder: Path) -> dict[str, Tensor]:
    index = read_json(folder / INDEX)
    names = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(names, dict):
        raise value_error(f"content of {INDEX}", "without weight_map", "an index of weights")
    state: dict[str, Tensor] = {}
    for name in sorted(set(names.values())):
        if Path(name).name != name:
            raise value_error(f"weight_map of {INDEX}", repr(name), "names of files beside it")
        state |= _checked(_load(_path(folder / name)), name)
    missing = sorted(set(names) - set(state))
    if missing:
        raise value_error(f"tensors of {INDEX}", f"without {missing[0]}", "all that it lists")
    return state


def _checked(found: Any, where: str) -> dict[str, Tensor]:
    if not isinstance(found, Mapping) or not found:
        raise type_error(where, kind_of(found), "a state dict: names and tensors")
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise type_error(f"{where}[{name!r}]", kind_of(value), "a tensor")
    return dict(found)
