"""The random states of Python, NumPy and torch: set by a seed, taken, put back, compressed."""

import base64
import json
import random
import zlib
from typing import Any

import numpy
import torch

States = dict[str, Any]  # numbers, texts, lists and tensors: torch loads it with weights_only=True


def seed_all(seed: int) -> None:
    """Seeds Python, NumPy and torch, on the GPUs too."""
    random.seed(seed)
    numpy.random.seed(seed)
    torch.manual_seed(seed)


def states() -> States:
    """The states as they are now; those of GPUs only where this process has used one."""
    version, numbers, gauss = random.getstate()
    array: Any = numpy.random.get_state(legacy=False)
    found: States = {
        "python": [version, list(numbers), gauss],
        "numpy": {
            "key": array["state"]["key"].tolist(),
            "position": int(array["state"]["pos"]),
            "has_gauss": int(array["has_gauss"]),
            "gauss": float(array["gauss"]),
        },
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        found["cuda"] = torch.cuda.get_rng_state_all()
    return found


def restore(found: States) -> None:
    """Puts back what `states` took, also on a machine with other GPUs: those stay as they are."""
    version, numbers, gauss = found["python"]
    random.setstate((version, tuple(numbers), gauss))
    array = found["numpy"]
    numpy.random.set_state(
        ("MT19937", array["key"], array["position"], array["has_gauss"], array["gauss"])
    )
    torch.set_rng_state(found["torch"].cpu())  # a checkpoint may have been loaded onto a GPU
    gpus = found.get("cuda", [])
    if gpus and torch.cuda.is_available() and torch.cuda.device_count() == len(gpus):
        torch.cuda.set_rng_state_all([state.cpu() for state in gpus])


def compressed(found: States) -> bytes:
    """The states as compressed JSON, the tensors in base 64."""
    return zlib.compress(json.dumps(found, default=_text_of).encode(), level=1)


def expanded(content: bytes) -> States:
    """What `compressed` was given."""
    found = json.loads(zlib.decompress(content))
    found["torch"] = _tensor_of(found["torch"])
    if "cuda" in found:
        found["cuda"] = [_tensor_of(text) for text in found["cuda"]]
    return found


def _text_of(state: torch.Tensor) -> str:
    return base64.b64encode(state.cpu().numpy().tobytes()).decode()


def _tensor_of(text: str) -> torch.Tensor:
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.uint8)
