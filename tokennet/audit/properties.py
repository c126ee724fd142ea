"""The properties that an audit asks about: their names, their laws, and where they apply."""

import re
from collections.abc import Iterable, Sequence

from tokennet.audit.session import Session
from tokennet.checks import type_error, value_error
from tokennet.laws import (
    BatchIndependence,
    Cache,
    Causality,
    Conduct,
    CyclicShift,
    DuplicateEdges,
    EdgeOrder,
    Finite,
    GradientOf,
    GridShift,
    Interleaving,
    Law,
    LeftPadding,
    Locality,
    MemoryLayout,
    MemoryPermutation,
    NaNPadding,
    NoState,
    Padding,
    Permutation,
    Prefix,
    Purity,
    Repeatability,
    SignBasis,
    TrainEval,
)

_LAWS: tuple[Law, ...] = (
    Permutation(),
    EdgeOrder(),
    DuplicateEdges(),
    Padding(),
    NaNPadding(),
    LeftPadding(),
    BatchIndependence(),
    Interleaving(),
    Causality(prefix=False),
    Prefix(),
    Cache(),
    Locality(),
    CyclicShift(),
    GridShift(),
    MemoryPermutation(),
    SignBasis(),
    TrainEval(),
    MemoryLayout(),
    Repeatability(),
    NoState(),
    Purity(),
    Finite(),
)
PROPERTIES = tuple(law.name for law in _LAWS)
_BY_NAME = {law.name: law for law in _LAWS}
# Those with a law of gradients. NaN times a zero gradient is NaN in the weights of any linear map.
_WITH_GRADIENT = (
    "Permutation", "EdgeOrder", "Padding", "LeftPadding", "BatchIndependence", "Causality",
    "Prefix", "Locality", "CyclicShift", "GridShift", "MemoryPermutation", "Finite",
)  # fmt: skip
_NO_MASK = "no mask: say which argument it is, mask=..."
_NO_EDGES = "no edges: say which argument they are, edges=..."
_NO_LIST = "no list of edges"
_ALLOWED = "properties such as Causality, Padding, Locality(hops=2), GradientOf(Prefix)"
_CALL = re.compile(r"(\w+)\((.*)\)$")


def law_of(given: str | Law | type[Law]) -> Law:
    """A property from its name, its class or itself: "Causality", Causality, Locality(hops=2)."""
    if isinstance(given, type) and issubclass(given, Law):
        given = given.__name__
    if isinstance(given, str):
        return _named(given.strip())
    if not isinstance(given, Law):
        allowed = "names of properties or law objects"
        raise type_error("properties", repr(given), allowed, 'e.g. ["Causality", "Padding"]')
    if isinstance(given, GradientOf):
        return GradientOf(law_of(given.law))
    if isinstance(given, Causality):
        return Causality(prefix=False)  # `Prefix` is a property of its own
    if given.name not in _BY_NAME:
        raise value_error("properties", given.name, _ALLOWED)
    return given


def _named(name: str) -> Law:
    if name in _BY_NAME:
        return _BY_NAME[name]
    found = _CALL.match(name)
    if found and found[1] == "GradientOf":
        return GradientOf(_named(found[2].strip()))
    if found and found[1] == "Locality":
        hops = re.search(r"\d+", found[2])
        if hops:
            return Locality(hops=int(hops[0]))
    if found and found[1] in _BY_NAME and not found[2]:
        return _BY_NAME[found[1]]
    from difflib import get_close_matches

    near = get_close_matches(name, PROPERTIES, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "docs/properties.md states them all"
    raise value_error("properties", repr(name), _ALLOWED, hint)


def every_law() -> tuple[Law, ...]:
    """All properties, and the gradients of those that have a law for them."""
    return (*_LAWS, *(GradientOf(_BY_NAME[name]) for name in _WITH_GRADIENT))


def laws_of(properties: Iterable[str | Law | type[Law]]) -> tuple[Law, ...]:
    """The laws of a list of properties, each once."""
    if isinstance(properties, (str, Law)):
        properties = [properties]
    return tuple(dict.fromkeys(law_of(p) for p in properties))


def fitted(laws: Sequence[Law], session: Session, hops: int | None) -> tuple[Law, ...]:
    """The laws with what the module tells filled in: channels of codes, number of hops."""
    return tuple(_fitted(law, session, hops) for law in laws)


def _fitted(law: Law, session: Session, hops: int | None) -> Law:
    roles = session.roles
    if isinstance(law, GradientOf):
        return GradientOf(_fitted(law.law, session, hops))
    if isinstance(law, SignBasis) and roles.codes is not None:
        return SignBasis(*roles.codes)
    if isinstance(law, Locality):
        known = law.hops if law.hops is not None else (1 if hops is None else hops)
        return Locality(hops=known, directed=roles.directed)
    return law


def why_not(law: Law, session: Session) -> str:
    """Why a property says nothing about this module; empty if it does."""
    roles, domain = session.roles, session.domain
    law = law.law if isinstance(law, GradientOf) else law
    listed = roles.edges is not None and roles.edges_form == "index"
    alone = roles.single or domain.batch[1] < 2
    reasons = {
        "EdgeOrder": "" if listed else _NO_LIST,
        "DuplicateEdges": "" if listed else _NO_LIST,
        "Padding": _NO_MASK if roles.mask is None else "",
        "NaNPadding": _no_nan(session),
        "LeftPadding": _no_left(session),
        "BatchIndependence": "one sample in each call" if alone else "",
        "Interleaving": "no argument with the sample of each token"
        if roles.batch is None or roles.batch_kind == "ptr" or alone
        else "",
        "Causality": "no output for each token" if session.pooled else "",
        "Prefix": _no_prefix(session),
        "Cache": "no method that takes tokens one by one" if roles.adapter.cache is None else "",
        "Locality": _no_hops(session),
        "GridShift": "no grid" if roles.grid is None else "",
        "MemoryPermutation": "no memory" if roles.memory is None else "",
        "SignBasis": "no eigenvector codes" if roles.codes is None else "",
        "TrainEval": _no_train(session),
    }
    return reasons.get(law.name, "")


def _no_nan(session: Session) -> str:
    if session.roles.mask is None:
        return _NO_MASK
    return "ids are no floating point numbers" if session.roles.tokens.vocabulary else ""


def _no_left(session: Session) -> str:
    mask = session.roles.mask
    if mask is None:
        return _NO_MASK
    return "lengths tell of padding behind only" if mask.kind == "lengths" else ""


def _no_prefix(session: Session) -> str:
    low, high = session.domain.num_tokens
    if session.pooled:
        return "no output for each token"
    return "one number of tokens only" if low == high else ""


def _no_hops(session: Session) -> str:
    if session.roles.edges is None:
        return _NO_EDGES
    return "no output for each token" if session.pooled else ""


def _no_train(session: Session) -> str:
    if not session.domain.train:
        return "train mode is outside the domain"
    if session.has_batch_norm:
        return "batch norm: its modes differ by definition"
    return "train mode draws random numbers" if True in session.random_modes else ""


def is_conduct(law: Law) -> bool:
    """Whether a law is of calls, not of tokens."""
    return isinstance(law.law if isinstance(law, GradientOf) else law, Conduct)
