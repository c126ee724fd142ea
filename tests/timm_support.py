"""timm beside any torch: torchvision's compiled operators are replaced by names without a body.

timm imports torchvision, whose builds load beside one build of torch only. None of the models
tested here calls an operator of it, so empty schemas do.
"""

import contextlib
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

OPERATORS = (
    "nms", "qnms", "roi_align", "qroi_align", "_roi_align_backward", "roi_pool",
    "_roi_pool_backward", "ps_roi_align", "_ps_roi_align_backward", "ps_roi_pool",
    "_ps_roi_pool_backward", "deform_conv2d", "_deform_conv2d_backward",
)  # fmt: skip


def import_timm() -> ModuleType:
    """timm; the tests of the calling module are skipped by name where it is not installed."""
    for name in ("timm", "torchvision"):
        if importlib.util.find_spec(name) is None:
            reason = f"{name} is not installed: `make test-timm` fetches it and runs these tests"
            pytest.skip(reason, allow_module_level=True)
    _load_operators()
    import timm

    return timm


def _load_operators() -> None:
    """torchvision's own operators where its build loads, names where it does not."""
    spec = importlib.util.find_spec("torchvision")
    assert spec is not None
    for folder in spec.submodule_search_locations or ():
        for file in Path(folder).glob("_C*.so"):
            with contextlib.suppress(OSError):
                torch.ops.load_library(file)
    for name in OPERATORS:
        if not hasattr(torch.ops.torchvision, name):
            torch.library.define(f"torchvision::{name}", "(Tensor x) -> Tensor")
