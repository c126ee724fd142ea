"""Packages that only pictures and the page need."""

import importlib.util

from tokennet.ablate.request import MissingAblateError


def require(*modules: str) -> None:
    """Raises where one of them is not installed, and says how to get it."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingAblateError(
            f"the report needs {', '.join(missing)}: pip install 'tokennet[ablate]'"
        )
