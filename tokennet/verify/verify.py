"""`verify`: a module's claims against its behaviour."""

import random
import time
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from tokennet.checks import positive, type_error, value_error
from tokennet.laws import CLAIMABLE, CONTRACT, BatchIndependence, Law, Locality, closure
from tokennet.mixers import Mixer
from tokennet.mixers.base import FACTS
from tokennet.net import TokenNet
from tokennet.topology import Memory, Topology
from tokennet.verify.check import Outcome, call, check_case
from tokennet.verify.facts import used_facts
from tokennet.verify.form import check_form
from tokennet.verify.plans import LAYOUTS, TIED, Domain, Plan, build
from tokennet.verify.prepare import prepared
from tokennet.verify.report import Report, Role, Verdict, Witness
from tokennet.verify.spread import shrunk, spread_plans

DTYPES = (torch.float64, torch.float32)
_ALONE, _COUPLING = BatchIndependence(), "other samples"


def verify(
    module: Mixer | TokenNet,
    *,
    dim: int | None = None,
    domain: Domain | None = None,
    examples: int = 60,
    seed: int = 0,
) -> Report:
    """Holds a mixer, a readout or a net to the contract and to its claims; looks for what breaks.

    Works on copies in float64 and float32 with random weights and without dropout, in train and
    eval mode. Inputs are spread over sizes, layouts, padding, ties, graphs, strides; what breaks is
    shrunk to a small witness. Laws that are not claimed are measured. A law
    that no case could have broken counts as untested, and that as a failure. Of a module that says
    `couples_samples`, samples must be independent in eval mode, and must not be in train mode.

    Args:
        dim: channels, for a module that takes any.
        domain: what the module may be given; None: all that its attributes allow.
        examples: inputs tried for each law.
        seed: the search repeats exactly for the same seed.

    Returns:
        a `Report`; `print` it, or call `raise_if_broken()`.
    """
    if not isinstance(module, (Mixer, TokenNet)):
        raise type_error(
            "module", type(module).__name__, "a Mixer or a TokenNet", "derive it from tn.Mixer"
        )
    positive("examples", examples)
    unknown = module.reads - FACTS
    if unknown:
        raise value_error("reads", sorted(unknown)[0], f"some of {', '.join(sorted(FACTS))}")
    start = time.perf_counter()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        limits = _domain(module, dim) if domain is None else domain
        limits = replace(limits, dtypes=limits.dtypes or DTYPES)
        search = _Search(module, limits, examples, seed)
        verdicts = [check_form(search.copy, limits), *_laws(search)]
        try:
            used = used_facts(search.copy(Plan((1,))), limits, pooled=search.pooled)
            verdicts += _facts(search, used)
        except Exception as error:  # the laws above met it too, or this one must not hide them
            used = frozenset()
            note = f"{type(error).__name__}: {error}"
            verdicts.append(Verdict("facts", "reads", "raised", note=note))
    seconds = time.perf_counter() - start
    return Report(describe(module), tuple(verdicts), "mixing" in used, seconds, seed, examples)


def describe(module: nn.Module) -> str:
    """The module's name, with its topology where it has one."""
    topology = getattr(module, "topology", None)
    name = type(module).__name__
    return f"{name}({topology})" if isinstance(topology, Topology) else name


@dataclass
class _Search:
    """The search for one module: its prepared copies and how far to look."""

    module: Mixer | TokenNet
    domain: Domain
    examples: int
    seed: int
    copies: dict[tuple[int, torch.dtype, bool], nn.Module] = field(default_factory=dict)

    @property
    def pooled(self) -> bool:
        return self.module.pooled

    def copy(self, plan: Plan) -> nn.Module:
        """The module with the weights, the dtype and the mode of a plan."""
        key = (plan.seed % 2, plan.dtype, plan.train)
        if key not in self.copies:
            self.copies[key] = prepared(self.module, key[0], plan.dtype).train(plan.train)
        return self.copies[key]

    def try_plan(self, law: Law, plan: Plan) -> tuple[Outcome, str] | None:
        """One case of a law on the input of a plan, and the words for what was changed."""
        tokens = build(plan, self.domain)
        case = law.case(tokens, torch.Generator().manual_seed(plan.change))
        if case is None:
            return None
        # Where values tie, a maximum may give its gradient to any of them.
        gradients = not plan.no_grad and plan.values not in TIED
        outcome = check_case(self.copy(plan), tokens, case, pooled=self.pooled, gradients=gradients)
        return None if outcome is None else (outcome, case.witness)

    def judge(self, law: Law, role: Role, *, train: bool | None = None) -> Verdict:
        """Searches for a case that breaks the law, and shrinks it; `train`: in this mode only."""
        seen: list[Outcome] = []
        promised = role != "measured"

        def breaks(plan: Plan) -> bool:
            found = self._guarded(law, plan)
            if isinstance(found, Exception):
                return promised
            if found is not None:
                seen.append(found[0])
            return promised and found is not None and found[0].refuted

        layouts = [n for n in LAYOUTS if n != "packed"] if law.padded_only else list(LAYOUTS)
        count = self.examples if promised else max(8, self.examples // 2)
        chance = random.Random(f"{law.name} {self.seed}")
        for plan in spread_plans(self.domain, layouts, count, chance):
            plan = plan if train is None else replace(plan, train=train)
            if breaks(plan):
                return self._broken(law, role, shrunk(plan, breaks, layouts), seen)
        return self._summary(law, role, seen)

    def _guarded(self, law: Law, plan: Plan) -> Any:
        try:
            return self.try_plan(law, plan)
        except Exception as error:
            return error

    def _broken(self, law: Law, role: Role, plan: Plan, seen: list[Outcome]) -> Verdict:
        found = self._guarded(law, plan)
        bites = sum(o.bites for o in seen)
        if isinstance(found, Exception):
            witness = Witness(plan, "any input of this plan", "call itself")
            note = f"{type(found).__name__}: {found}"
            return Verdict(law.name, role, "raised", 0.0, 0.0, len(seen), bites, witness, note)
        assert found is not None
        outcome, change = found
        worst = max((o.error for o in seen if o.refuted), default=outcome.error)
        witness = Witness(plan, change, outcome.what)
        return Verdict(
            law.name, role, "broken", worst, outcome.floor, len(seen), bites, witness, law.statement
        )

    def _summary(self, law: Law, role: Role, seen: list[Outcome]) -> Verdict:
        bites = [o for o in seen if o.bites]
        broken = max((o for o in seen if o.refuted), key=lambda o: o.error, default=None)
        if broken is not None:
            return Verdict(
                law.name, role, "broken", broken.error, broken.floor, len(seen), len(bites)
            )
        worst = max(seen, key=lambda o: o.output_error, default=None)
        error, floor = (worst.output_error, worst.output_floor) if worst else (0.0, 0.0)
        counts = (error, floor, len(seen), len(bites))
        if not bites:
            note = "no case could have broken it: the output does not answer to the input"
            return Verdict(law.name, role, "untested", *counts, note=note)
        if any(o.undecided for o in seen):
            note = f"errors of more than 10 times the noise ({floor:.1e}), short of 64 times"
            return Verdict(law.name, role, "undecided", *counts, note=note)
        return Verdict(law.name, role, "held", *counts)


def _laws(search: _Search) -> list[Verdict]:
    """Contract, claims and locality must hold; what else could be claimed is measured."""
    claims = closure(search.module.claims)
    for law in claims:
        if law not in CLAIMABLE:
            allowed = ", ".join(c.name for c in CLAIMABLE)
            raise value_error(
                "claims", law.name, f"laws that are closed under composition: {allowed}"
            )
    couples = search.module.couples_samples
    verdicts = [
        search.judge(law, "contract", train=False if couples and law == _ALONE else None)
        for law in CONTRACT
    ]
    if couples and search.domain.train:
        verdicts.append(_coupling(search))
    for law in CLAIMABLE:
        if _speaks(law, search):
            verdicts.append(search.judge(law, "claim" if law in claims else "measured"))
    topology = getattr(search.module, "topology", None)
    if isinstance(topology, Topology) and not isinstance(topology, Memory) and not search.pooled:
        verdict = search.judge(Locality(topology), "locality")
        if verdict.cases or verdict.status == "raised":  # with Full there is nothing outside
            verdicts.append(verdict)
    return verdicts


def _coupling(search: _Search) -> Verdict:
    """Whether the samples see each other in train mode, as the module says."""
    found = search.judge(_ALONE, "measured", train=True)
    if found.status == "broken":
        return replace(found, law=_COUPLING, role="reads", status="used")
    note = "says that it couples samples in train mode, but no sample saw another"
    return Verdict(_COUPLING, "reads", "idle", note=note)


def _speaks(law: Law, search: _Search) -> bool:
    """Whether a law has anything to say: memory and grids are asked about where they are read."""
    facts = search.domain.facts
    if law.name == "MemoryPermutation":
        return "memory" in facts
    if law.name == "GridShift":
        return "grid" in facts
    return not (search.pooled and law.name == "Causality")


def _facts(search: _Search, used: frozenset[str]) -> list[Verdict]:
    """Whether the facts that the module says it reads matter, and no others do."""
    verdicts = []
    declared = search.module.reads
    for name in sorted(declared):
        if name in used or (name == "grid" and "position" in used):
            verdicts.append(Verdict(name, "reads", "used"))
        else:
            note = f"says that it reads {name}, but the output did not depend on it"
            verdicts.append(Verdict(name, "reads", "idle", note=note))
    for name in sorted(used - declared - {"mixing"}):
        if name == "position" and "grid" in declared:  # order matters through the grid
            continue
        note = f"the output depends on {name}; add it to `reads`"
        verdicts.append(Verdict(name, "reads", "undeclared", note=note))
    return verdicts


def _domain(module: Mixer | TokenNet, dim: int | None) -> Domain:
    """The inputs that a module takes, from what it says of itself."""
    size = module.dim if dim is None else dim
    if size is None:
        raise value_error("dim", None, "the number of channels", "verify(mixer, dim=8)")
    if module.dim is not None and dim is not None and dim != module.dim:
        raise value_error("dim", dim, f"{module.dim}, the dim of {type(module).__name__}")
    own = module.parts if isinstance(module, TokenNet) else [module]  # not a tokenizer's encoder
    parts = [m for part in own for m in part.modules()]
    readers = [m for m in parts if isinstance(m, Mixer) and "memory" in m.reads]
    facts = frozenset({"edges"}) | (module.reads & {"grid", "memory"})
    most = 66 if module.max_tokens is None else module.max_tokens
    memory = [getattr(m, "memory_dim", None) for m in readers]
    edge = [getattr(m, "edge_dim", None) for m in parts]
    domain = Domain(
        dim=size,
        memory_dim=next((n for n in memory if isinstance(n, int)), None),
        edge_dim=next((n for n in edge if isinstance(n, int)), None),
        num_tokens=(1, most),
        facts=facts,
    )
    return replace(domain, grids=_grids(module, domain)) if "grid" in facts else domain


def _grids(module: Mixer | TokenNet, domain: Domain) -> tuple[int, ...]:
    """The numbers of axes of a grid that the module accepts."""
    copy = prepared(module, 0, torch.float64).eval()
    accepted = []
    for axes, grid in ((2, (1, 2)), (1, (2,))):
        tokens = build(
            Plan((2,), grid=grid, memory=(1,) if "memory" in domain.facts else None), domain
        )
        try:
            with torch.no_grad():
                call(copy, tokens)
        except Exception:
            continue  # a refusal of this grid; anything worse shows in the search
        accepted.append(axes)
    return tuple(accepted) or (2,)
