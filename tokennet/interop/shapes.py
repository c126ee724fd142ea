"""Shapes of a state dict beside those that options ask for, before any memory is taken."""

from collections.abc import Mapping

from torch import Tensor

from tokennet.checks import value_error
from tokennet.interop.draft import Draft


def check_shapes(
    draft: Draft, own: Mapping[str, Tensor], state: Mapping[str, Tensor], kind: str
) -> None:
    """Raises where a tensor has another shape than the draft's, which may be on "meta".

    `own`: the draft's tensors by name. What is missing, or a second name, is left to others.
    """
    for line in draft.lines:
        if line.again or line.theirs not in state:
            continue
        shape, found = line.write([own[n] for n in line.ours]).shape, state[line.theirs].shape
        if shape != found:
            allowed = f"{list(shape)} as the options of {kind} say"
            raise value_error(f"shape of {line.theirs}", list(found), allowed)
