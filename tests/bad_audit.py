"""Bad calls of the audit, and what is said of them."""

import torch
from bad import Bad, D, T, V
from torch import nn

import tokennet as tn

X = torch.randn(2, 5, D)


def audit(**given: object) -> tn.AuditReport:
    return tn.audit(nn.Linear(D, D), X, quick=True, **given)  # type: ignore[arg-type]


AUDIT = {
    "Adapter": [
        Bad(lambda: tn.Adapter(layout="xyz"), V, r"layout is 'xyz', expected one of bnd, nbd"),
        Bad(lambda: tn.Adapter(mask_kind="kept"), V, r"mask_kind is 'kept', expected one of keep"),
        Bad(lambda: tn.Adapter(batch_kind="x"), V, r"batch_kind is 'x', expected one of vector"),
        Bad(lambda: tn.Adapter(tokens=X), T, r"tokens is Tensor, expected an argument's name"),
        Bad(lambda: tn.Adapter(vocabulary=(3, 1)), V, r"vocabulary is \(3, 1\), expected \(lowest"),
    ],
    "audit": [
        Bad(
            lambda: tn.audit(nn.Linear, X), T, r"module is the class Linear, expected an nn.Module"
        ),
        Bad(lambda: tn.audit(nn.Linear(D, D), 3), T, r"example is int, expected the arguments"),
        Bad(lambda: audit(budget=-1), V, r"budget is -1, expected seconds, more than 0"),
        Bad(lambda: audit(properties=["Causal"]), V, r"did you mean 'Causality'"),
        Bad(lambda: audit(properties=[5]), T, r"properties is 5, expected names of properties"),
        Bad(lambda: audit(tokens="y"), V, r"tokens is 'y', expected an argument of forward"),
        Bad(lambda: audit(edgs="e"), T, r"argument is 'edgs'.*did you mean 'edges'"),
        Bad(lambda: audit(output="logits"), V, r"example is refused by the module"),
        Bad(lambda: tn.audit(nn.Linear(D, D), X[..., 1:]), V, r"refused by the module, .*mat1"),
        Bad(lambda: tn.audit(nn.Sequential(nn.ReLU())), V, r"arguments of a call of Sequential"),
    ],
}
