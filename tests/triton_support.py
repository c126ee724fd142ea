"""Where the Triton kernels are tested: on a GPU, or else in Triton's interpreter.

The interpreter must be chosen before triton is imported, by `TRITON_INTERPRET=1`, and other tests
of the same process import it compiled. So without a GPU the suites that import this module are
skipped, and `test_triton.py` runs each of them in a process of its own, where it is set.
"""

import importlib.util
import os
from collections.abc import Iterator

import pytest
import torch

if importlib.util.find_spec("triton") is None:
    pytest.skip("Triton is not installed", allow_module_level=True)

ON_GPU = torch.cuda.is_available()
INTERPRETED = not ON_GPU and os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = torch.device("cuda" if ON_GPU else "cpu")
KERNEL_TESTS = [
    pytest.mark.skipif(
        not ON_GPU and not INTERPRETED, reason="run by test_triton.py, in the interpreter"
    ),
    # numpy warns of infinities, which a GPU computes with in lanes that nobody reads
    pytest.mark.filterwarnings("ignore::RuntimeWarning:triton.runtime.interpreter"),
    pytest.mark.usefixtures("poisoned"),
]


def _shim() -> None:
    """Lets loops end at a number that was loaded: Triton 3.6 fails there with NumPy 2.4."""
    from triton.runtime import interpreter

    original = interpreter._patch_lang_tensor

    def patched(tensor, scope):
        original(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.reshape(-1)[0]))

    interpreter._patch_lang_tensor = patched


if INTERPRETED:
    _shim()


@pytest.fixture
def poisoned() -> Iterator[None]:
    """Memory that nothing was written to is not a number; and torch refuses what is not fixed."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)
