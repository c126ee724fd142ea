"""How long a certificate takes: `verify` of every operator in the tests' list, one thread.

python benchmarks/verify.py
"""

import platform
import statistics
import sys
import time
from pathlib import Path

import torch

import tokennet as tn

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from operators import DIM, OPERATORS

LIMIT = 3.0  # seconds of one core


def main() -> None:
    torch.set_num_threads(1)
    for operator in OPERATORS:  # imports at the first use (PyG's 4 seconds) do not count
        tn.verify(operator.make(), dim=DIM, examples=1)
    print(f"python {platform.python_version()}, torch {torch.__version__}, one thread\n")
    print("| operator | CPU seconds | promises |\n|---|---|---|")
    seconds = []
    for operator in OPERATORS:
        start = time.process_time()
        report = tn.verify(operator.make(), dim=DIM)
        seconds.append(time.process_time() - start)
        found = "held" if report.ok else "BROKEN"
        print(f"| {operator.name} | {seconds[-1]:.2f} | {found} |", flush=True)
    over = sum(s > LIMIT for s in seconds)
    middle, most = statistics.median(seconds), max(seconds)
    print(f"\nmedian {middle:.2f} s, most {most:.2f} s, over {LIMIT} s: {over}")


if __name__ == "__main__":
    main()
