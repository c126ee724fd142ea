"""What the report of a surgery says, and that the new net does what it claims."""

from surgery_nets import TOKENS, images, vit

import tokennet as tn
from tokennet.surgery import over, swap


def test_report() -> None:
    """Without a position code the law is there before, and a window takes it."""
    net = vit()
    del net.mixers[0]
    window = swap(net, "Attention", over(tn.Window(2)), example=images())
    assert window.lost >= {"Permutation"}
    assert window.before.reads == frozenset()
    assert window.after.reads == {"position"}
    assert window.before.flops == net.summary(images()).total.flops
    assert window.before.parameters == sum(p.numel() for p in net.parameters())
    mlp = swap(net, "Attention", lambda: tn.TokenMLP(TOKENS, 3), example=images())
    assert (mlp.before.max_tokens, mlp.after.max_tokens) == (None, TOKENS)
    assert mlp.after.flops != mlp.before.flops
    lines = str(window).splitlines()
    assert lines[0] == "surgery on TokenNet: 3 places"
    assert lines[2].split() == [
        "mixers.0.mixers.0.mixer",
        *("Attention", "Full"),
        "Attention",
        "Window(2)",
        "kept",
    ]
    assert any(line.split()[:2] == ["claims", "Permutation"] for line in lines)
    assert max(map(len, lines)) <= 100


def test_swapped_nets_keep_their_claims() -> None:
    """What is inferred for the new composition is true."""
    net = vit()
    del net.mixers[0]
    report = swap(net, "Attention", over(tn.Neighborhood(1, wrap=True)), example=images())
    mixers = tn.Sequential(*report.net.mixers).float()
    assert {law.name for law in mixers.claims} == {"GridShift"}
    tn.verify(mixers, examples=5).raise_if_broken()
