"""Who influences whom, measured: for every operator, whether it has a mixing matrix or not.

Axes: B samples, T rows of the flat view, N real tokens of a sample, D channels in, O channels out.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from tokennet.checks import positive, type_error, value_error
from tokennet.mixers import Mixer
from tokennet.net import TokenNet
from tokennet.structure import Structure


def influence(
    mixer: Mixer | TokenNet,
    x: Float[Tensor, "*tokens D"],
    structure: Structure,
    *,
    sample: int = 0,
) -> Float[Tensor, "N_out N"]:
    """How much output i moves with token j: the Frobenius norm of the Jacobian d y_i / d x_j.

    Of one sample, its real tokens in their order; a readout has one row. Exact up to rounding, by
    one backward pass for each output number: meant for small inputs. For linear mixing over one
    channel it is the matrix |A| itself. A net is measured from its tokens to its answer.
    """
    if not isinstance(mixer, (Mixer, TokenNet)):
        raise type_error("mixer", type(mixer).__name__, "a Mixer or a TokenNet")
    positive("sample", sample, minimum=0)
    layout = structure.layout
    if sample >= layout.batch:
        raise value_error("sample", sample, f"less than the {layout.batch} samples of the batch")
    with torch.enable_grad():
        z = x.detach().clone().requires_grad_()
        y = mixer.mix(z, structure) if isinstance(mixer, TokenNet) else mixer(z, structure)
        own = layout.valid.flatten() & (layout.sample == sample)
        rows = y[sample : sample + 1] if mixer.pooled else layout.flat(y)[own]
        found = torch.zeros(len(rows), int(own.sum()), dtype=x.dtype, device=x.device)
        for i, row in enumerate(rows):
            square = torch.zeros_like(found[i])
            for value in row.flatten():
                (grad,) = torch.autograd.grad(
                    value, z, retain_graph=True, allow_unused=True, materialize_grads=True
                )
                square = square + layout.flat(grad)[own].square().sum(-1)
            found[i] = square.sqrt()
    return found.detach()
