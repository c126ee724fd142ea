"""Builds the CPU kernels with the package; without a compiler the package installs all the same."""

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import sys_tags


class Kernels(BuildHookInterface):
    """Compiled in place; a wheel that holds libraries is tagged for its platform."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        folder = Path(self.root, "tokennet", "ops", "cpu")
        spec = importlib.util.spec_from_file_location("tokennet_build", folder / "build.py")
        if spec is None or spec.loader is None:
            return
        build = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(build)
        build.main()
        ready = [build.library_path(name) for name in build.variants() if build.is_current(name)]
        if not ready:
            return
        platforms = (tag.platform for tag in sys_tags())
        own = next(p for p in platforms if "manylinux" not in p and "musllinux" not in p)
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{own}"
        build_data["artifacts"] += [f"/{path.relative_to(self.root)}" for path in ready]
