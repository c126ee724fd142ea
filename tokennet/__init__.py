"""tokennet: tokens are graph nodes, mixers are swappable, and what they promise is checked."""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokennet.api import *  # noqa: F403

__version__ = "0.1.0"

__all__ = [
    "*  # noqa: F403",
    "Any",
    "ModuleType",
    "TYPE_CHECKING",
    "__version__",
]
