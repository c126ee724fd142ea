"""Where data lies: `TOKENNET_DATA` first, which is read only; then the user's cache folder."""

import os
from pathlib import Path

VARIABLE = "TOKENNET_DATA"


def given(*parts: str) -> Path | None:
    """The file or folder under `$TOKENNET_DATA`, if it is there."""
    root = os.environ.get(VARIABLE)
    path = Path(root or ".", *parts)
    return path if root and path.exists() else None


def cache(*parts: str) -> Path:
    """A place in the user's cache folder; nothing is made there."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home, "tokennet", *parts)


def required(*parts: str, what: str, source: str) -> Path:
    """`given`, or an error that says what the file is and where it is usually had."""
    found = given(*parts)
    if found is None:
        raise missing(Path(*parts), what, source)
    return found


def missing(path: Path, what: str, source: str, failed: str = "") -> FileNotFoundError:
    """The error for data that is not there; `failed`: what was tried besides, and how it ended."""
    root = os.environ.get(VARIABLE)
    where = f"there is no {Path(root, path)}" if root else f"{VARIABLE} is not set"
    return FileNotFoundError(
        f"{what}: {where}{failed and ', and ' + failed}; "
        f"it is usually had from {source}: set {VARIABLE} to a folder that holds {path}"
    )
