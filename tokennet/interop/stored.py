"""The two files of a stored net: written so that a reader always finds a whole net.

The file of weights carries the description too, and is replaced first. A save that is cut off
between the two files leaves the new weights with their own description, and beside them a config
of the old net, which is then not read.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tokennet.checks import value_error
from tokennet.files import write_atomically
from tokennet.interop.source import INDEX, read_json

FORMAT, VERSION = "tokennet", 1
CONFIG, WEIGHTS = "config.json", "model.safetensors"


def write_stored(folder: Path, config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
    """Writes both files; `config` is plain data."""
    from safetensors.torch import save

    whole = {"format": FORMAT, "format_version": VERSION, **config, "weights": digest(weights)}
    whole["checksum"] = _seal(whole)
    text = json.dumps(whole, indent=1, allow_nan=False)
    make_folder(folder)
    write_atomically(folder / WEIGHTS, save(dict(weights), {"format": "pt", FORMAT: text}))
    write_atomically(folder / CONFIG, text.encode())


def make_folder(folder: Path) -> None:
    """The folder of a stored net, also where parts of its path are missing."""
    for path in (folder, *folder.parents):
        if path.exists() and not path.is_dir():
            hint = "choose another name, or remove the file"
            raise value_error("folder", f"{folder}, where {path} is a file", "a folder", hint)
    for name in (WEIGHTS, CONFIG):
        if (folder / name).is_dir():
            raise value_error(f"{name} in {folder}", "a folder", "a file, or nothing")
    folder.mkdir(parents=True, exist_ok=True)


def read_stored(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The configuration and the tensors, which belong together."""
    if not folder.is_dir():
        hint = "models are not downloaded here"
        raise value_error("folder", str(folder), "a folder that save_pretrained wrote", hint)
    for name in (CONFIG, WEIGHTS):
        if (folder / name).is_dir():
            raise value_error(
                f"{name} in {folder}", "a folder", "a file that save_pretrained wrote"
            )
    outer = _checked(read_json(folder / CONFIG), CONFIG) if (folder / CONFIG).exists() else None
    if not (folder / WEIGHTS).exists():
        there = "weights in several files" if (folder / INDEX).exists() else f"without {WEIGHTS}"
        raise value_error(f"folder {folder}", there, "one that save_pretrained wrote")
    metadata, weights = _read_weights(folder / WEIGHTS)
    inner = None
    if FORMAT in metadata:
        try:
            inner = _checked(json.loads(metadata[FORMAT]), WEIGHTS)
        except (json.JSONDecodeError, RecursionError) as error:
            raise _damaged(WEIGHTS, f"no JSON ({error})") from None
    config = outer if inner is None else inner
    if config is None:
        hint = "published models are read by tn.interop.from_transformers, from_timm and their like"
        raise value_error(f"folder {folder}", "without a description of a net", CONFIG, hint)
    if config["weights"] != digest(weights):
        raise _damaged(WEIGHTS, "other numbers than were stored")
    return config, weights


def digest(weights: Mapping[str, Tensor]) -> str:
    """A hash of names, dtypes, shapes and bits."""
    found = hashlib.sha256()
    for name in sorted(weights):
        t = weights[name].contiguous()
        found.update(f"{name} {t.dtype} {list(t.shape)};".encode())
        if t.numel():
            found.update(t.reshape(-1).view(torch.uint8).numpy())  # type: ignore[arg-type]
    return found.hexdigest()


def _seal(config: Mapping[str, Any]) -> str:
    """A hash of all entries but the hash itself."""
    rest = {name: value for name, value in config.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(rest).encode()).hexdigest()


def _checked(config: Any, name: str) -> dict[str, Any]:
    """A configuration, if this version wrote it and nobody has changed it since."""
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        keys = set(config) if isinstance(config, dict) else set()
        hint = "tn.interop.from_torch and its like read weights of other libraries"
        if keys & {"architectures", "model_type", "transformers_version"}:
            hint = "it is of transformers: tn.interop.from_transformers(folder)"
        elif keys & {"architecture", "pretrained_cfg"}:
            hint = "it is of timm: tn.interop.from_timm(folder)"
        raise value_error(name, "no description of a tokennet", "what save_pretrained wrote", hint)
    version = config.get("format_version")
    if isinstance(version, int) and version > VERSION:
        hint = "it was written by a newer tokennet: pip install -U tokennet"
        raise value_error(f"format_version of {name}", version, f"{VERSION}", hint)
    if version != VERSION or config.get("checksum") != _seal(config):
        hint = "change the net in Python and save it again"
        raise _damaged(name, "another text than was stored", hint)
    return config


def _read_weights(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            # copies: the file itself may be replaced or cut off later
            return file.metadata() or {}, {name: file.get_tensor(name).clone() for name in names}
    except SafetensorError as error:
        raise _damaged(path.name, f"unreadable ({str(error)[:120]})") from None


def _damaged(name: str, found: str, hint: str = "it is damaged; fetch it again") -> ValueError:
    return value_error(f"content of {name}", found, "what save_pretrained wrote", hint)
