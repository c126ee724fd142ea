"""Ablations that a store holds, read without running anything."""

import os
from difflib import get_close_matches

from tokennet.ablate.ablation import Ablation
from tokennet.ablate.coordinator import seen
from tokennet.ablate.schema import StoreError, store_error
from tokennet.ablate.store import Store, StoredAblation
from tokennet.checks import kind_of, type_error


def list_ablations(store: str | os.PathLike[str]) -> tuple[StoredAblation, ...]:
    """All ablations of a store, the newest last; the file is only read.

    Raises:
        TypeError: the store is no name of a file.
        StoreError: there is no store, or it can't be read.
    """
    with Store(_checked(store), read_only=True) as opened:
        return tuple(opened.ablations())


def load_ablation(store: str | os.PathLike[str], name: str | None = None) -> Ablation:
    """The ablation of this name that was asked for last; the file is only read.

    A run that is being computed is "running", one that nobody has computed is "missing".

    Raises:
        TypeError: the store is no name of a file.
        StoreError: no store, nothing of this name, or several names and none is given.
    """
    with Store(_checked(store), read_only=True) as opened:
        known = opened.ablations()
        chosen = [found for found in known if name is None or found.name == name]
        names = list(dict.fromkeys(found.name for found in known))
        if not chosen or len({found.name for found in chosen}) > 1:
            raise _not_one(opened, name, names)
        found = chosen[-1]
        runs = tuple(seen(run, found.plan.metric) for run in opened.records(found.id))
    return Ablation(found.plan, runs, str(store), found.notes)


def _checked(store: str | os.PathLike[str]) -> str | os.PathLike[str]:
    if not isinstance(store, str | os.PathLike):
        raise type_error("store", kind_of(store), "the name of a file")
    return store


def _not_one(opened: Store, name: str | None, names: list[str]) -> StoreError:
    listed = ", ".join(map(repr, names)) or "nothing"
    if name is None:
        said = f"holds {listed}; say which, by name=" if names else "holds no ablation yet"
        return store_error(opened.path, said)
    near = get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return store_error(opened.path, f"holds no ablation {name!r}, only {listed}{hint}")
