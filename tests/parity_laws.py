"""What an import promises, held to it; and whether audits of original and import agree."""

import torch
from parity import Case, randomise

import tokennet as tn


def assert_claims_hold(case: Case, seed: int = 0, examples: int = 8) -> frozenset[str]:
    """`tn.verify` on what the composition infers; the names of the claims."""
    net = case.bring(randomise(case.make(seed)).eval())
    tn.verify(net, examples=examples).raise_if_broken()
    return frozenset(law.name for law in net.claims)


def audits(case: Case, seed: int = 0) -> dict[str, tuple[str, str]]:
    """The properties on which the audits disagree: (the original's verdict, the import's)."""
    assert case.audit is not None
    torch.manual_seed(seed)
    theirs = randomise(case.make(seed)).eval()
    both = case.audit(theirs, case.bring(theirs))
    one, two = (
        tn.audit(module.eval(), both.example, quick=True, seed=seed, **both.roles)
        for module in (both.theirs, both.ours)
    )
    names = [n for n in one.verdicts if n in two]
    decided = {"holds", "broken"}
    settled = [n for n in names if {one[n].status, two[n].status} <= decided]
    assert len(settled) >= 3, f"hardly anything was asked: {names}"
    return {n: (one[n].status, two[n].status) for n in settled if one[n].status != two[n].status}


def assert_audits_agree(case: Case, seed: int = 0) -> None:
    """But for the differences that the case names."""
    found = audits(case, seed)
    assert set(found) == set(case.differs), found
    for name, (theirs, ours) in found.items():
        assert (theirs, ours) == ("broken", "holds"), f"{name}: {found[name]}"
