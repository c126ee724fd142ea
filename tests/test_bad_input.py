"""Bad input: every public class says which argument, its value, and what is allowed."""

import inspect
import re

import pytest
from bad import Bad
from bad_ablations import ABLATIONS
from bad_attention import ATTENTION
from bad_audit import AUDIT
from bad_blocks import BLOCKS
from bad_compositions import COMPOSITIONS, TOPOLOGIES
from bad_graphs import GRAPHS
from bad_latents import LATENTS
from bad_mixers import MIXERS
from bad_nets import NETS
from bad_positions import POSITIONS
from bad_published import PUBLISHED
from bad_readouts import READOUTS
from bad_sequences import SEQUENCES
from bad_structures import STRUCTURES
from bad_tokenizers import TOKENIZERS

import tokennet as tn

TABLE = STRUCTURES | MIXERS | COMPOSITIONS | TOPOLOGIES | NETS | ATTENTION | GRAPHS | SEQUENCES
TABLE |= LATENTS | BLOCKS | POSITIONS | READOUTS | TOKENIZERS | AUDIT | ABLATIONS | PUBLISHED
CASES = [(name, bad) for name, bads in TABLE.items() for bad in bads]
# no arguments of their own, or made by tokennet only
EXEMPT = {"Full", "Causal", "Report", "Verdict", "LawBrokenError", "Softmax", "HardMax", "Sigmoid"}
EXEMPT |= {
    "Decoded",
    "AuditReport",
    "AuditVerdict",
    "Distinguished",
    "PairFinding",
    "SymmetryGroup",
    "Ablation",
    "StoreError",
}

pytestmark = pytest.mark.usefixtures("no_typecheck")


@pytest.mark.parametrize(
    ("name", "bad"), CASES, ids=[f"{name}-{i}" for i, (name, _) in enumerate(CASES)]
)
def test_bad_input(name: str, bad: Bad) -> None:
    with pytest.raises(bad.error, match=bad.match) as caught:
        bad.call()
    assert type(caught.value) is bad.error, "a subclass is somebody else's error"
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_messages_say_what_is_allowed() -> None:
    """All in one form: name, value and what is allowed."""
    spoken = [bad for _, bad in CASES if bad.match != "abstract"]
    for bad in spoken:
        with pytest.raises((ValueError, TypeError)) as caught:
            bad.call()
        assert re.search(r"^\S.* is .+, expected \S", str(caught.value))


def test_every_public_name_has_its_list() -> None:
    public = {
        n for n in tn.__all__ if inspect.isclass(getattr(tn, n)) or n in ("verify", "backend")
    }
    laws = {
        n for n in public if inspect.isclass(getattr(tn, n)) and issubclass(getattr(tn, n), tn.Law)
    }
    missing = public - laws - EXEMPT - {n for n, bads in TABLE.items() if bads}
    assert not missing
    unknown = set(TABLE) - set(tn.__all__)
    assert not unknown


def test_good_input_beside_it_passes() -> None:
    """The fixtures of the table are right themselves: only what is changed makes them fail."""
    from bad import dense, x

    for make in (
        lambda: tn.Attention(8, 2),
        lambda: tn.Attention(8, 2, tn.Memory()),
        lambda: tn.GraphConvolution(8),
        lambda: tn.Convolution(8, tn.Neighborhood(1)),
        lambda: tn.TokenMLP(6),
        lambda: tn.ClassReadout(8, 3),
        lambda: tn.LaplacianPosition(8),
    ):
        assert make()(x(), dense()).isfinite().all()
