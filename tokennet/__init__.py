"""tokennet: tokens are graph nodes, mixers are swappable, and what they promise is checked."""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokennet.api import *  # noqa: F403

__version__ = "0.1.0"


class _Package(ModuleType):
    """Loads the public names, and torch, on first use: `tokennet --help` must not wait."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") and name != "__all__":
            raise AttributeError(f"module 'tokennet' has no attribute {name!r}")
        api = importlib.import_module("tokennet.api")
        self.__dict__.update({public: getattr(api, public) for public in api.__all__})
        self.__dict__["__all__"] = [*api.__all__, "__version__"]
        if name not in self.__dict__:
            raise AttributeError(
                f"module 'tokennet' has no attribute {name!r}", name=name, obj=self
            )
        return self.__dict__[name]

    def __setattr__(self, name: str, value: Any) -> None:
        # Importing from the folder tokennet/verify must not replace the function of that name.
        if not (name == "verify" and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*self.__all__, *self.__dict__})


sys.modules[__name__].__class__ = _Package
