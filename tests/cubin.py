"""What the compiler makes of the Triton kernels, for GPUs that are not here.

    python tests/cubin.py                 # figures of every kernel and variant, as JSON
    python tests/cubin.py --write         # the same, into triton_baseline.json

The functions of `ops.triton` run on CPU tensors while a stand-in driver names the target: what is
compiled is what they would launch, and nothing is launched. Registers, stack and instructions are
read from the cubin by the tools in Triton's wheel. It needs a process without TRITON_INTERPRET.
"""

import argparse
import json
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from triton.runtime.jit import JITFunction

TOOLS = Path(triton.__file__).parent / "backends/nvidia/bin"
BASELINE = Path(__file__).with_name("triton_baseline.json")


class Target:
    """As much of a driver as compiling asks for."""

    def __init__(self, arch: int):
        self.arch = arch

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", self.arch, 32)

    def get_current_device(self) -> int:
        return self.arch

    def get_current_stream(self, device: int) -> int:
        return 0


@dataclass(frozen=True)
class Figures:
    """Of one compiled kernel."""

    kernel: str
    registers: int
    stack: int
    """Bytes of a thread that did not fit into registers."""
    shared: int
    per_edge: float
    """Instructions of the longest loop that loads something, of all warps, an edge; 0 without."""
    wide: float
    """The share of the bytes loaded in that loop that come 16 at a time."""


@contextmanager
def compiled(arch: int) -> Iterator[list[tuple[str, dict[str, Any], Any]]]:
    """(name, constants, compiled kernel) of each launch inside the block, none of which happens."""
    found: list[tuple[str, dict[str, Any], Any]] = []
    run = JITFunction.run

    def only_compile(self: Any, *args: Any, grid: Any, warmup: bool, **kwargs: Any) -> Any:
        kernel = run(self, *args, grid=grid, warmup=True, **kwargs)
        found.append((self.__name__, kwargs, kernel))
        return kernel

    driver.set_active(Target(arch))
    JITFunction.run = only_compile
    try:
        yield found
    finally:
        JITFunction.run = run


def figures(name: str, constants: dict[str, Any], kernel: Any) -> Figures:
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(kernel.asm["cubin"])
        file.flush()
        usage = _tool("cuobjdump", "--dump-resource-usage", file.name)
        code = _tool("nvdisasm", "-c", file.name)
    numbers = [re.search(rf"{what}:(\d+)", usage) for what in ("REG", "STACK", "SHARED")]
    registers, stack, shared = (int(found[1]) for found in numbers if found)
    body = max(innermost_loops(code), key=_work, default=Counter())
    before = max(innermost_loops(kernel.asm["ptx"]), key=_work, default=Counter())
    # the assembler unrolls short loops: it then has several times the loads of the loop in PTX
    copies = max(sum(_loads(body).values()) // max(sum(_loads(before).values()), 1), 1)
    edges = copies * constants.get("ROWS", 0) * constants.get("LANES", 0)
    step = sum(body.values()) * constants.get("num_warps", 4)
    loaded = {size: size * count for size, count in _loads(body).items()}
    return Figures(
        name + (" of pieces" if constants.get("SPLIT") else ""),
        registers,
        stack,
        shared,
        round(step / edges, 2) if edges else 0.0,
        round(loaded.get(16, 0) / max(sum(loaded.values()), 1), 2),
    )


def innermost_loops(code: str) -> list[Counter[str]]:
    """How often each instruction stands in each loop without another one inside: SASS or PTX."""
    instructions: list[str] = []
    labels: dict[str, int] = {}
    for line in code.splitlines():
        text = re.sub(r"/\*.*?\*/|//.*", "", line).strip()
        if label := re.match(r"([.$]L\w+):", text):
            labels[label[1]] = len(instructions)
        elif text.endswith(";"):
            instructions.append(re.sub(r"^@!?\S+\s+", "", text))
    spans = []
    for last, text in enumerate(instructions):
        to = re.match(r"(?:bra|BRA)\b.*?([.$]L\w+)", text)
        if to and labels.get(to[1], last) < last:
            spans.append(range(labels[to[1]], last + 1))
    inner = [a for a in spans if not any(b is not a and b[0] in a and b[-1] in a for b in spans)]
    return [Counter(instructions[i].split()[0] for i in span) for span in inner]


def _loads(body: Counter[str]) -> Counter[int]:
    """How many instructions load 16, 8, 4, 2 or 1 bytes a thread from global memory."""
    found: Counter[int] = Counter()
    for name, count in body.items():
        if name.startswith(("LDG", "ld.global", "cp.async.c")):
            parts = name.split(".")
            known = {"128": 16, "64": 8, "U16": 2, "S16": 2, "U8": 1, "S8": 1}
            found[next((known[part] for part in parts if part in known), 4)] += count
    return found


def _work(body: Counter[str]) -> tuple[bool, int]:
    return bool(_loads(body)), sum(body.values())


def _tool(name: str, *arguments: str) -> str:
    command = [str(TOOLS / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def measured(variants: Iterable[tuple[int, str, Callable[[], object]]]) -> dict[str, Figures]:
    """Figures of all kernels that the calls would launch, each under the name of its variant."""
    found = {}
    for arch, name, call in variants:
        with compiled(arch) as launched:
            call()
        for i, launch in enumerate(launched):
            one = figures(*launch)
            found[f"{name}: {i + 1}. {one.kernel}"] = one
    return found


def main() -> None:
    import cubin_variants  # tokennet.ops.triton behind it compiles with the driver named here

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--planted", action="store_true", help="the variants that must fail")
    parser.add_argument("--write", action="store_true", help=f"write {BASELINE.name}")
    options = parser.parse_args()
    variants = cubin_variants.planted() if options.planted else cubin_variants.variants()
    found = {name: asdict(figures) for name, figures in measured(variants).items()}
    if options.write:
        known = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
        known[triton.__version__] = {
            name: [one["registers"], one["per_edge"], one["wide"]] for name, one in found.items()
        }
        lines = (
            f'  "{version}": {{\n'
            + ",\n".join(f"    {json.dumps(n)}: {json.dumps(v)}" for n, v in each.items())
            + "\n  }"
            for version, each in known.items()
        )
        BASELINE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(json.dumps({"triton": triton.__version__, "figures": found}))


if __name__ == "__main__":
    main()
