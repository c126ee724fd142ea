"""Time and memory of attention blocks: ours beside one written by hand, packed beside padded.

    python benchmarks/dense.py --repeats 15

Forward and backward on one CPU thread in float32. The variants of a comparison take turns, and
which of them begins changes every round; ratios are those of the medians. Peak memory is what the
resident memory of a process of its own grows by during one forward and backward (Linux only).
Exits with 1 where a ratio misses its target.

* A block: pre-norm, 3 heads, MLP of 4 D with GELU on [32, 196, 192], against the same by hand: one
  linear map for q, k and v, and F.scaled_dot_product_attention. Ours / by hand <= 1.05.
* A ragged batch: 256 samples with 10 to 100 tokens through 4 blocks of 128 channels and 4 heads.
  Padded / packed >= 1.3.
* Checks: what the checks of shapes and the checks of edges cost, beside a forward of 1024 tokens.
  At most 2 %.

Axes: B samples, N tokens, D channels, H heads, K channels of a head.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import tokennet as tn
from tokennet.structure.door import check_edges

Step = Callable[[], None]


class HandBlock(nn.Module):
    """The block as one writes it for one purpose."""

    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.output = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        b, n, d = x.shape
        qkv = self.qkv(self.norm1(x)).view(b, n, 3, self.num_heads, -1)  # [B, N, 3, H, K]
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v)  # [B, H, N, K]
        x = x + self.output(y.transpose(1, 2).reshape(b, n, d))
        return x + self.mlp(self.norm2(x))


def step(net: Callable[[Tensor], Tensor], x: Tensor) -> Step:
    """One forward and backward."""

    def run() -> None:
        net(x.detach().requires_grad_()).sum().backward()

    return run


def ours() -> Step:
    block, structure = tn.Block(192, tn.Attention(192, 3)), tn.Structure.dense(32, 196)
    return step(lambda x: block(x, structure), torch.randn(32, 196, 192))


def by_hand() -> Step:
    return step(HandBlock(192, 3), torch.randn(32, 196, 192))


def ragged(*, packed: bool) -> Step:
    net = tn.Sequential(*(tn.Block(128, tn.Attention(128, 4)) for _ in range(4)))
    structure = tn.Structure.packed(torch.randint(10, 101, (256,)))
    tokens = tn.Tokens(torch.randn(structure.layout.rows, 128), structure)
    x, structure = tokens if packed else tokens.padded()
    return step(lambda x: net(x, structure), x)


VARIANTS: dict[str, Callable[[], Step]] = {
    "ours": ours,
    "by hand": by_hand,
    "packed": lambda: ragged(packed=True),
    "padded": lambda: ragged(packed=False),
}


def interleaved(names: list[str], repeats: int) -> dict[str, list[float]]:
    """Seconds of each run of each variant, after one run to warm up."""
    torch.manual_seed(0)
    steps = {name: VARIANTS[name]() for name in names}
    for run in steps.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for i in range(repeats):
        for name in names if i % 2 else reversed(names):
            start = time.perf_counter()
            steps[name]()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def _resident(key: str) -> float:
    """MiB, from the kernel's account of this process: "VmRSS" now, "VmHWM" at the most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(v.split()[1]) / 1024 for v in lines if v.startswith(key))


def measure_memory(name: str) -> float:
    """MiB by which this process grows in one run."""
    torch.manual_seed(0)
    run, tiny = VARIANTS[name](), nn.Linear(2, 2)
    tiny(torch.randn(2, 2)).sum().backward()  # what autograd allocates once
    before = _resident("VmRSS")
    run()
    return _resident("VmHWM") - before


def peak_memory(name: str) -> str:
    if not Path("/proc/self/status").exists():
        return "-"
    command = [sys.executable, __file__, "--memory-of", name]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return f"{json.loads(out):.0f}"


def median_time(run: Callable[[], object], repeats: int, inner: int = 1) -> float:
    run()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        for _ in range(inner):
            run()
        seconds.append((time.perf_counter() - start) / inner)
    return statistics.median(seconds)


def check_costs(repeats: int) -> list[tuple[str, float, float]]:
    """(what, seconds of a forward, seconds of the checks inside it or before it)."""
    torch.manual_seed(0)
    dim, size = 128, 1024
    edges = tn.Edges(torch.randint(size, (2, 8 * size)))
    dense, graph = tn.Structure.dense(1, size), tn.Structure.packed([size], edges=edges)
    rows = []
    for mixer, structure in (
        (tn.Block(dim, tn.Attention(dim, 4)), dense),
        (tn.Block(dim, tn.TokenMLP(size, size // 2)), dense),
        (tn.Attention(dim, 4, tn.EdgeList()), graph),
        (tn.GraphAttention(dim, 4), graph),
        (tn.GraphConvolution(dim), graph),
    ):
        x = torch.randn(*structure.layout.shape, dim)
        calls: list[tuple[tn.Mixer, Tensor, tn.Structure]] = []
        original = tn.Mixer.check
        tn.Mixer.check = lambda self, *given: calls.append((self, *given))  # noqa: B023
        with torch.inference_mode():
            mixer(x, structure)
            tn.Mixer.check = original
            forward = median_time(lambda: mixer(x, structure), repeats)  # noqa: B023
            cost = sum(median_time(lambda: m.check(*given), repeats, 100) for m, *given in calls)  # noqa: B023
        if structure is graph:
            cost += median_time(lambda: check_edges(edges, graph.layout, known=False), repeats, 10)
        name = type(mixer.parts[0].mixer if isinstance(mixer, tn.Block) else mixer).__name__
        kind = "Block of " if isinstance(mixer, tn.Block) else ""
        note = ", over 8192 edges checked anew" if structure is graph else ""
        rows.append((f"{kind}{name}{note}", forward, cost))
    return rows


def table(head: list[str], rows: list[list[str]]) -> None:
    for row in [head, ["---"] * len(head), *rows]:
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def compare(title: str, slow: str, fast: str, repeats: int) -> float:
    """Prints the table of two variants; the ratio of their medians."""
    seconds = interleaved([slow, fast], repeats)
    base = statistics.median(seconds[fast])
    print(f"## {title}\n")
    rows = []
    for name, values in seconds.items():
        low, middle, high = min(values), statistics.median(values), max(values)
        cells = [f"{1000 * v:.0f}" for v in (middle, low, high)]
        rows.append([name, *cells, f"{middle / base:.2f}", peak_memory(name)])
    head = ["variant", "median ms", "min", "max", f"median / {fast}", "peak memory, MiB"]
    table(head, rows)
    return statistics.median(seconds[slow]) / base


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15, help="runs of each variant (15)")
    parser.add_argument("--memory-of", choices=list(VARIANTS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.memory_of:
        print(json.dumps(measure_memory(options.memory_of)))
        return 0

    print("# Attention blocks: time and memory\n")
    print(f"    python benchmarks/dense.py --repeats {options.repeats}\n")
    print(
        f"Python {platform.python_version()}, torch {torch.__version__}, "
        f"tokennet {tn.__version__}, {platform.machine()}, one CPU thread, float32, "
        f"forward and backward, {options.repeats} interleaved repeats.\n"
    )
    block = compare("A block, B 32, N 196, D 192, H 3", "ours", "by hand", options.repeats)
    ratio = compare("256 samples of 10 to 100 tokens", "padded", "packed", options.repeats)
    print("## Checks, N 1024, D 128, forward only\n")
    costs = check_costs(options.repeats)
    rows = [[n, f"{1e3 * f:.2f}", f"{1e3 * c:.3f}", f"{100 * c / f:.2f}"] for n, f, c in costs]
    table(["operator", "forward ms", "checks ms", "%"], rows)

    worst = max(c / f for _, f, c in costs)
    targets = {
        f"ours / by hand {block:.3f} <= 1.05": block <= 1.05,
        f"padded / packed {ratio:.2f} >= 1.3": ratio >= 1.3,
        f"checks {100 * worst:.2f} % <= 2 %": worst <= 0.02,
    }
    for text, reached in targets.items():
        print(f"* {text}: {'reached' if reached else 'MISSED'}")
    return not all(targets.values())


if __name__ == "__main__":
    sys.exit(main())
