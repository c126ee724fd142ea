"""`verify_position`: what a position code is worth."""

import torch

from tokennet.checks import kind_of, positive, type_error, value_error
from tokennet.mixers import Mixer
from tokennet.verify.position_graph import graph_findings
from tokennet.verify.position_order import order_findings
from tokennet.verify.position_report import PositionReport


def verify_position(position: Mixer, *, num_tokens: int = 512, seed: int = 0) -> PositionReport:
    """The certificate of a code that a mixer adds to tokens: required properties and others.

    Required of all: the same at every call, in any layout, for any input, and not too large beside
    content of unit variance (at most 2). Of codes of places, in order or on a grid: the same at
    any length, bounded, injective (in float32) up to `num_tokens`. Of codes of graphs: that they
    go along with a relabelling, and that neither signs nor bases of eigenvectors matter. The rest
    is information. Weights are taken as they are: a learned code is judged as it was trained.

    Raises:
        TypeError, ValueError: no mixer that adds a code, or one that reads memory.
    """
    if not isinstance(position, Mixer):
        raise type_error("position", kind_of(position), "a Mixer", "e.g. tn.SinusoidalPosition(8)")
    positive("num_tokens", num_tokens, minimum=8)
    name = type(position).__name__
    if "memory" in position.reads:
        allowed = "edges, grid or position"
        raise value_error(f"reads of {name}", sorted(position.reads), allowed)
    if position.dim is None:
        raise value_error(f"dim of {name}", None, "the channels of a code")
    if position.width(position.dim) != position.dim:
        allowed = "a Mixer whose output is its input and a code added"
        raise type_error("position", name, allowed, "verify the code inside")
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        if "edges" in position.reads:
            count, findings, kind = 16, graph_findings(position, rng), "graph"
        else:
            count, findings = order_findings(position, num_tokens, rng)
            kind = "grid" if "grid" in position.reads else "order"
    return PositionReport(name, kind, count, tuple(findings), seed)
