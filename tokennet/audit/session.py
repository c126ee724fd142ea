"""One module under audit: its copies, what it takes, and its outputs for plans.

The user's module is never called: copies are, in the dtypes and modes that are asked for.
"""

import copy
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tokennet.audit.compare import ShapesDifferError, output
from tokennet.audit.outputs import Form, Probe, RowsMissingError, chosen, form_of
from tokennet.audit.rendering import Adapted, NotRepresentableError, RefusedError
from tokennet.audit.roles import Roles
from tokennet.checks import value_error
from tokennet.laws.codes import laplacian_of
from tokennet.laws.rows import rows_of_samples
from tokennet.structure import Tokens
from tokennet.verify.plans import Domain, Plan, build
from tokennet.verify.prepare import redraw, without_dropout

DTYPES = (torch.float64, torch.float32, torch.bfloat16)


@dataclass(eq=False)
class Session:
    """Copies of a module, and calls of them."""

    module: nn.Module
    roles: Roles
    domain: Domain
    seed: int = 0
    randomise: bool = True
    form: Form | None = None
    dtypes: tuple[torch.dtype, ...] = DTYPES
    variants: tuple[int, ...] = (0, 1)
    random_modes: frozenset[bool] = frozenset()
    half: bool = False
    refusals: dict[str, int] = field(default_factory=dict)
    _copies: dict[tuple[int, torch.dtype, bool, bool], Adapted] = field(default_factory=dict)

    @property
    def pooled(self) -> bool:
        return self.form is not None and self.form.pooled

    @property
    def native(self) -> torch.dtype:
        """The dtype of the module's own weights, float32 where it has none."""
        kinds = [p.dtype for p in self.module.parameters() if p.is_floating_point()]
        return kinds[0] if kinds else torch.float32

    @property
    def has_batch_norm(self) -> bool:
        return any("BatchNorm" in type(m).__name__ for m in self.module.modules())

    def copy(self, plan: Plan, *, frozen: bool = False, fresh: bool = False) -> Adapted:
        """The module with the weights, the dtype and the mode of a plan.

        `frozen`: batch norms use what they kept, in train mode too. `fresh`: one that was never
        called.
        """
        variant = self.variants[plan.seed % len(self.variants)]
        key = (variant, plan.dtype, plan.train, frozen and plan.train)
        if fresh:
            return self._made(*key)
        if key not in self._copies:
            self._copies[key] = self._made(*key)
        return self._copies[key]

    def _made(self, variant: int, dtype: torch.dtype, train: bool, frozen: bool) -> Adapted:
        twin = without_dropout(copy.deepcopy(self.module).to("cpu"))
        if self.randomise:
            redraw(twin, variant + self.seed, only_constant=variant == 0)
        twin = twin.to(dtype).train(train)
        for part in twin.modules():
            if frozen and isinstance(part, _BatchNorm):
                part.eval()
        adapted = Adapted(twin, self.roles, self.form)
        adapted.training = train  # and not `train(train)`, which would reach frozen parts
        return adapted

    def tokens(self, plan: Plan) -> Tokens:
        """The tokens of a plan, the same ones every time."""
        found = self.bounded(build(plan, self.domain))
        return found if self.roles.codes is None else with_codes(found, *self.roles.codes)

    def bounded(self, tokens: Tokens) -> Tokens:
        """The tokens with no feature larger than the domain allows."""
        most = self.domain.max_abs
        return Tokens(tokens.x.clamp(-most, most), tokens.structure)

    def rows(self, module: nn.Module, tokens: Tokens, *, no_grad: bool = True) -> Tensor:
        return output(module, tokens, self.pooled, no_grad=no_grad)

    def recast(self, roles: Roles) -> None:
        """Other roles from now on, for all copies."""
        self.roles = roles
        self._copies.clear()

    def within(self, batch: int, num_tokens: int) -> bool:
        """Whether so many samples of so many tokens, padding included, are inside the domain."""
        (few, many), (_, high) = self.domain.batch, self.domain.num_tokens
        inside = num_tokens <= high and num_tokens % self.domain.multiple_of == 0
        return inside and (few <= batch <= many or self.roles.single)

    def accepts(self, plan: Plan) -> bool:
        """Whether a call is inside the domain, and goes through."""
        if not self.within(len(plan.lengths), max(plan.lengths, default=0)):
            return False
        try:
            self.answer(plan)
        except Exception as error:
            self.refuse(error)
            return False
        return True

    def answer(self, plan: Plan) -> Tensor:
        """The module's own answer to a plan, its axes as they come."""
        tokens = self.tokens(plan)
        module = self.copy(plan)
        with torch.no_grad():
            answer = module.run(module.call(tokens.x, tokens.structure), tokens.x)
        return chosen(answer, self.roles.adapter.output)

    def refuse(self, error: Exception) -> None:
        """Notes that an input was refused, and why; what can't be given at all is no refusal."""
        if isinstance(error, (NotRepresentableError, ShapesDifferError, RowsMissingError)):
            return
        words = str(error)
        if not isinstance(error, RefusedError):
            words = f"in the audit itself, {type(error).__name__}: {words[:160]}"
        self.refusals[words] = self.refusals.get(words, 0) + 1

    def opened(self) -> "Session":
        """The session with all that a few calls tell: dtypes, sizes, the form of the answer."""
        self.dtypes = tuple(d for d in self.domain.dtypes if self._runs(d)) or (self.native,)
        plans = self._probes()
        if not plans:
            known = next(iter(self.refusals), "it raised nothing")[:100]
            hint = "are arguments and layout named rightly? pass an Adapter"
            allowed = f"a call that works ({known})"
            raise value_error("example", "refused by the module", allowed, hint)
        self.form = form_of(
            [
                Probe(len(p.lengths), p.lengths[0], sum(p.lengths), tuple(self.answer(p).shape))
                for p in plans
            ],
            packed=self.roles.packed,
            single=self.roles.single,
        )
        self._copies.clear()
        finite = [v for v in self.variants if self._finite(v)]
        self.variants = tuple(finite) or self.variants[:1]
        self.random_modes = frozenset(t for t in (False, True) if self._random(t))
        self.refusals.clear()
        return self

    def plain(self, lengths: tuple[int, ...], **facts: object) -> Plan:
        """A plan of ordinary tokens that this module can be given."""
        return Plan(
            lengths,
            "packed" if self.roles.packed else "dense",
            graph="random" if self.roles.edges is not None else "",
            weighted=self.roles.edge_weight is not None,
            grid=self.roles.grid,
            memory=(3,) * len(lengths) if self.roles.memory is not None else None,
            dtype=self.dtypes[0],
            **facts,  # type: ignore[arg-type]
        )

    def _example(self) -> tuple[int, ...]:
        batch, length = self.roles.size()
        return (max(length, 1),) * max(batch, 1)

    def _runs(self, dtype: torch.dtype) -> bool:
        plan = replace(self.plain(self._example()), dtype=dtype)
        try:
            self.answer(plan)
        except Exception as error:
            self.refuse(error)
            return False
        return True

    def _probes(self) -> list[Plan]:
        """Calls that go through, of different sizes where the module takes them."""
        batch, length = self.roles.size()
        low = max(self.domain.num_tokens[0], 1)
        few, many = self.domain.batch
        step = self.domain.multiple_of
        least = -(-low // step) * step
        lengths = dict.fromkeys(
            n for n in (length, 5, 7, 11, least, least + step, least + 2 * step) if n >= low
        )
        wanted = [(b, n) for n in lengths for b in (batch, min(max(2, few), many), min(3, many))]
        plans, seen = [], set()
        for b, n in wanted:
            plan = self.plain((n,) * (1 if self.roles.single else max(b, 1)))
            if plan.lengths not in seen and self.accepts(plan):
                plans.append(plan)
            seen.add(plan.lengths)
        return plans

    def _finite(self, variant: int) -> bool:
        """Whether the weights of a variant give finite numbers."""
        plan = self.plain(self._example(), seed=self.variants.index(variant))
        try:
            return bool(self.answer(plan).isfinite().all())
        except Exception:
            return False

    def _random(self, train: bool) -> bool:
        """Whether random numbers decide about the output in a mode, for few or more tokens."""
        if train and not self.domain.train:
            return False
        batch, most = len(self._example()), min(24, self.domain.num_tokens[1])
        plans = [self.plain(self._example(), train=train)]
        if self.within(batch, most):
            plans += [self.plain((most,) * batch, train=train, seed=s) for s in (0, 1)]
        return any(self._is_random(plan) for plan in plans)

    def _is_random(self, plan: Plan) -> bool:
        found = []
        for seed in (0, 0, 1):
            torch.default_generator.manual_seed(seed)
            try:
                module = self.copy(plan, fresh=True)
                found.append(self.rows(module, self.tokens(plan)))
            except Exception:
                return False
        return torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def with_codes(tokens: Tokens, first: int, last: int) -> Tokens:
    """The tokens with Laplacian eigenvectors of their samples in some channels.

    Without edges the codes are orthonormal columns.
    """
    layout = tokens.structure.layout
    flat = layout.flat(tokens.x).clone()
    for rows in rows_of_samples(tokens):
        if not len(rows):
            continue
        if tokens.structure.edges is not None:
            vectors = torch.linalg.eigh(laplacian_of(tokens, rows))[1][:, 1:]
        else:
            vectors = torch.linalg.qr(flat[rows].double()[:, first:last])[0]
        codes = torch.zeros(len(rows), last - first, dtype=torch.float64)
        k = min(codes.shape[1], vectors.shape[1])
        codes[:, :k] = vectors[:, :k]
        flat[rows, first:last] = codes.to(flat)
    return Tokens(layout.unflat(flat), tokens.structure)
