"""What makes two runs the same run: a hash of the experiment's code, the choice and the seed.

Own code is followed: functions by their bytecode, defaults, closures and the own functions, classes
and constants that they name; comments, docstrings and line numbers count for nothing. Code of
installed packages counts by its name alone, so that a hash does not change with every update.
"""

import dataclasses
import functools
import hashlib
import inspect
import site
import sys
import sysconfig
import types
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tokennet.ablate.design import Cell

_INSTALLED = {
    Path(folder).resolve()
    for folder in (
        *map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib")),
        *site.getsitepackages(),
        site.getusersitepackages(),
    )
}
_PACKAGE = Path(__file__).resolve().parents[1]
_NO_CONTENT = {"__dict__", "__weakref__", "__doc__", "__module__", "__annotations__"}
_NO_CONTENT |= {"__firstlineno__", "__static_attributes__", "__orig_bases__", "__parameters__"}


def fingerprint(value: Any) -> str:
    """32 hexadecimal digits that are the same in every process, and differ if `value` does.

    Raises:
        TypeError: for what has no content that could be compared, e.g. an open file.
    """
    return _Reader().read(value)


def code_version(experiment: Any) -> str:
    """The hash of the experiment's own code, and of tokennet's version."""
    return fingerprint((sys.modules["tokennet"].__version__, working_tree(_PACKAGE), experiment))


@functools.cache
def working_tree(package: Path) -> str | None:
    """The hash of a package's sources where it is used from a working tree (`pip install -e`):
    there a version stands for many states. None for an installed release."""
    if any(package.is_relative_to(folder) for folder in _INSTALLED):
        return None
    files = sorted(package.rglob("*.py"))
    return _digest(part for f in files for part in (f.name, _bytes(f.read_bytes())))


def run_id(name: str, code: str, cell: Cell, seed: int) -> str:
    """The identity of a run: experiment, code, choice (labels and values) and seed."""
    return fingerprint((name, code, cell.labels, cell.values, seed))


def _digest(parts: Iterable[str]) -> str:
    found = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode()
        found.update(len(data).to_bytes(8, "big") + data)
    return found.hexdigest()


class _Reader:
    """Reads one value; functions and classes that it meets again count by what they were."""

    def __init__(self) -> None:
        self._above: list[int] = []  # what is being read
        self._known: dict[int, str] = {}
        self._alive: list[Any] = []  # an id is one object's as long as it lives

    def read(self, value: Any) -> str:
        if value is None or isinstance(value, bool | int | float | complex | str | bytes):
            return _digest([type(value).__name__, repr(value)])
        key = id(value)
        if key in self._known:
            return self._known[key]
        if key in self._above:
            return _digest(["again", str(len(self._above) - self._above.index(key))])
        self._above.append(key)
        found = _digest(self._parts(value))
        self._above.pop()
        if isinstance(value, types.FunctionType | type):
            self._known[key] = found
            self._alive.append(value)
        return found

    def _parts(self, value: Any) -> list[str]:
        """The content as texts: the kind, then what it is made of."""
        kind, read = type(value), self.read
        if isinstance(value, types.CodeType):
            return ["code", *self._code(value)]
        if isinstance(value, types.ModuleType):
            return ["module", value.__name__]
        if isinstance(value, type):
            return ["class", *self._class(value)]
        if isinstance(value, types.FunctionType):
            return ["function", *self._function(value)]
        if isinstance(value, types.MethodType):
            return ["method", read(value.__func__), read(value.__self__)]
        if isinstance(value, types.BuiltinFunctionType | types.MethodDescriptorType):
            return ["builtin", str(getattr(value, "__module__", "")), value.__qualname__]
        if isinstance(value, functools.partial):
            return ["partial", *map(read, (value.func, value.args, value.keywords))]
        if isinstance(value, torch.Tensor):
            return ["tensor", str(value.dtype), str(tuple(value.shape)), _tensor_bytes(value)]
        if isinstance(value, np.ndarray) and value.dtype != object:
            return ["array", str(value.dtype), str(value.shape), _bytes(value.tobytes())]
        if isinstance(value, set | frozenset):
            return [kind.__name__, *sorted(map(read, value))]
        if isinstance(value, Mapping):
            return [kind.__name__, *(read(part) for pair in value.items() for part in pair)]
        if isinstance(value, list | tuple | range | np.ndarray):
            return [kind.__name__, *map(read, value)]
        if isinstance(value, Enum):
            return [kind.__qualname__, value.name]
        if callable(getattr(value, "__wrapped__", None)):  # e.g. what functools.cache returns
            return ["wrapped", read(value.__wrapped__)]
        return self._object(value)

    def _object(self, value: Any) -> list[str]:
        """Any other object: its class and what it holds, or what it says of itself."""
        name = self.read(type(value))
        if dataclasses.is_dataclass(value):
            fields = [(f.name, getattr(value, f.name)) for f in dataclasses.fields(value)]
            return [name, *map(self.read, fields)]
        held = getattr(value, "__dict__", None)
        if held is not None:
            kept = {k: v for k, v in held.items() if not (k.startswith("__") and k.endswith("__"))}
            return [name, self.read(kept)]
        text = repr(value)
        if " at 0x" in text:
            kind = type(value).__name__
            raise TypeError(
                f"a value is {kind}, expected one with content that can be compared; "
                "make it inside the experiment, or pass a function that makes it"
            )
        return [name, text]

    def _class(self, value: type) -> list[str]:
        name = f"{value.__module__}.{value.__qualname__}"
        if not _is_own(value.__module__):
            return [name]
        held = {
            key: getattr(part, "__func__", None) or getattr(part, "fget", None) or part
            for key, part in vars(value).items()
            if key not in _NO_CONTENT and not key.startswith("_abc_") and not _is_slot(part)
        }
        return [value.__qualname__, *map(self.read, value.__bases__), self.read(held)]

    def _function(self, value: types.FunctionType) -> list[str]:
        if not _is_own(value.__module__):
            name = f"{value.__module__}.{value.__qualname__}"
            if value.__closure__ is None and "<" not in name:
                return [name]
        cells = [_content(cell) for cell in value.__closure__ or ()]
        parts = (value.__defaults__, value.__kwdefaults__, cells, _named(value))
        return [*self._code(value.__code__, value.__doc__), *map(self.read, parts)]

    def _code(self, code: types.CodeType, doc: str | None = None) -> list[str]:
        constants = [c for i, c in enumerate(code.co_consts) if not (i == 0 and doc and c == doc)]
        arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        shape = (code.co_argcount, code.co_kwonlyargcount, code.co_flags, code.co_names, arguments)
        return [_bytes(code.co_code), repr(shape), *map(self.read, constants)]


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not bound yet
        return None


def _bytes(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _tensor_bytes(value: torch.Tensor) -> str:
    plain = value.detach().cpu().contiguous()
    return _bytes(plain.flatten().view(torch.uint8).numpy().tobytes() if plain.numel() else b"")


def _is_slot(part: Any) -> bool:
    return inspect.isgetsetdescriptor(part) or inspect.ismemberdescriptor(part)


def _is_own(module: str | None) -> bool:
    """Whether a module is the user's: neither Python's, nor installed, nor of this package."""
    top = (module or "").partition(".")[0]
    if top == "__main__":
        return True
    if not top or top in sys.stdlib_module_names or top in ("tokennet", "builtins"):
        return False
    file = getattr(sys.modules.get(top), "__file__", None)
    if file is None:  # e.g. a package without __init__
        file = getattr(sys.modules.get(module or ""), "__file__", None)
    if file is None:
        return True
    path = Path(file).resolve()
    return not any(path.is_relative_to(folder) for folder in _INSTALLED)


def _named(function: types.FunctionType) -> list[tuple[str, Any]]:
    """The globals that the code names, in order; of the user's modules also what is taken there."""
    names = list(dict.fromkeys(_names(function.__code__)))
    found = []
    for name in names:
        known = function.__globals__.get(name)
        if known is None and name in sys.modules and name not in function.__globals__:
            known = sys.modules[name]  # imported inside the function
        if isinstance(known, types.ModuleType) and _is_own(known.__name__):
            taken = [(n, getattr(known, n)) for n in names if n in vars(known)]
            found.append((name, taken))
        elif known is not None:
            found.append((name, known))
    return found


def _names(code: types.CodeType) -> list[str]:
    inner = [n for c in code.co_consts if isinstance(c, types.CodeType) for n in _names(c)]
    return [*code.co_names, *inner]
