"""The form that every mixer keeps: dtype, device, one row a token, no side effects, no memory."""

import re
from collections.abc import Callable

import torch
from torch import Tensor, nn

from tokennet.structure import Tokens
from tokennet.verify.check import call, relative_error
from tokennet.verify.plans import Domain, Plan, build
from tokennet.verify.report import Verdict, Witness

_UNABLE = re.compile(r"not implemented for|nsupported dtype|precision dtypes not supported")


def _plans(domain: Domain) -> list[Plan]:
    low, high = domain.num_tokens
    n = min(max(3, low), high)
    grid = (n,) + (1,) * (domain.grids[0] - 1) if "grid" in domain.facts else None
    graph = "random" if "edges" in domain.facts else ""
    found = []
    for layout in ("dense", "right", "packed"):
        for dtype in (*domain.dtypes, torch.bfloat16):
            for train in (False, True) if domain.train else (False,):
                memory = (2, 3) if "memory" in domain.facts else None
                found.append(
                    Plan(
                        (n, n),
                        layout,
                        graph=graph,
                        grid=grid,
                        memory=memory,
                        train=train,
                        dtype=dtype,
                    )
                )
    return found


def check_form(copy: Callable[[Plan], nn.Module], domain: Domain) -> Verdict:
    """dtype and device stay, input, edges and weights are untouched, the same input gives the same.

    The input is asked twice with another in between, so that state kept between calls shows.
    """
    cases = 0
    for plan in _plans(domain):
        try:
            problem = _problem(copy(plan), plan, domain)
        except Exception as error:
            if plan.dtype not in domain.dtypes and _UNABLE.search(str(error)):
                continue  # torch itself has no such operation in this dtype
            problem = f"{type(error).__name__}: {error}"
        cases += 1
        if problem:
            witness = Witness(plan, "any input of this plan", "call itself")
            return Verdict("Form", "contract", "broken", 0.0, 0.0, cases, cases, witness, problem)
    return Verdict("Form", "contract", "held", 0.0, 0.0, cases, cases)


def _problem(module: nn.Module, plan: Plan, domain: Domain) -> str:
    """What is wrong with the form of the output, in words; empty if nothing is."""
    tokens = build(plan, domain)
    other = build(Plan(**{**plan.__dict__, "seed": plan.seed + 1}), domain)
    facts = _facts(tokens)
    before = [t.clone() for t in facts]
    weights = list(module.parameters()) + ([] if plan.train else list(module.buffers()))
    weights_before = [w.detach().clone() for w in weights]
    rng_before = torch.get_rng_state()
    first = call(module, tokens).detach()
    kept = first.clone()
    if first.dtype != tokens.x.dtype:
        return f"dtype of the output is {first.dtype}, of the input {tokens.x.dtype}"
    if first.device != tokens.x.device:
        return f"device of the output is {first.device}, of the input {tokens.x.device}"
    pooled = getattr(module, "pooled", False)  # then a row may be a set of answers, [Q, O]
    rows = (tokens.structure.batch,) if pooled else tokens.x.shape[:-1]
    found = first.shape[:-1][:1] if pooled else first.shape[:-1]
    if found != rows:
        return f"shape of the output is {tuple(first.shape)}, expected rows {tuple(rows)}"
    if not all(torch.equal(a, b) for a, b in zip(before, facts, strict=True)):
        return "the input or the structure was modified"
    with torch.inference_mode():
        inferred = call(module, tokens)
    if relative_error(first, inferred, by_channel=False) > torch.finfo(first.dtype).eps ** 0.5:
        return "inference mode gives another output"
    call(module, other)
    again = call(module, tokens).detach()
    if not torch.equal(first, kept):
        return "a later call changed an earlier output"
    if not torch.equal(first, again):
        return (
            "the same input gave another output after a call in between: state, or random numbers"
        )
    if not all(torch.equal(a, w) for a, w in zip(weights_before, weights, strict=True)):
        return "a call changed the weights or buffers"
    if not torch.equal(rng_before, torch.get_rng_state()):
        return "random numbers were drawn, though dropout is off"
    return ""


def _facts(tokens: Tokens) -> list[Tensor]:
    structure = tokens.structure
    found = [tokens.x, structure.layout.valid]
    if structure.edges is not None:
        found += [
            t
            for t in (structure.edges.index, structure.edges.weight, structure.edges.attr)
            if t is not None
        ]
    if structure.memory is not None:
        found.append(structure.memory.x)
    return found
