"""Published models in, with their exact weights, and out again."""

from tokennet.interop.give import export_state
from tokennet.interop.load import (
    from_pyg,
    from_timm,
    from_torch,
    from_transformers,
    from_x_transformers,
)
from tokennet.interop.onnx import export_onnx
from tokennet.interop.origin import Origin
from tokennet.interop.pretrained import from_pretrained, save_pretrained

__all__ = [
    "Origin",
    "export_onnx",
    "export_state",
    "from_pretrained",
    "from_pyg",
    "from_timm",
    "from_torch",
    "from_transformers",
    "from_x_transformers",
    "save_pretrained",
]
