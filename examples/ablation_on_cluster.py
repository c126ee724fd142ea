"""The same ablation on this machine, on Dask, MPI or SLURM: only the executor differs.

    python examples/ablation_on_cluster.py --backend local
    python examples/ablation_on_cluster.py --backend dask     (pip install distributed)
    python examples/ablation_on_cluster.py --backend slurm    (pip install submitit)
    mpirun -n 3 python -m mpi4py.futures examples/ablation_on_cluster.py --backend mpi

Each worker must run one thing at a time, in a process of its own: random states belong to the
process. The store is opened here only, never by a worker, so it stays on a local disk of the
machine that calls. Whoever calls again, with the same backend or another one, goes on.
"""

import argparse
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

import tokennet as tn

DIM, TOKENS = 16, 7


def attention() -> tn.Mixer:
    return tn.Attention(DIM, 2)


def token_mlp() -> tn.Mixer:
    return tn.TokenMLP(TOKENS, 8)


def majority(mixer: Any, seed: int, steps: int = 20) -> dict[str, float]:
    """Are more of the tokens 0 or 1?"""

    def batch(size: int) -> tuple[torch.Tensor, torch.Tensor]:
        tokens = torch.randint(2, (size, TOKENS, 1)).float()
        return tokens, (tokens.mean((1, 2)) > 0.5).long()

    net = tn.TokenNet(tn.FeatureTokenizer(1, DIM), [tn.Block(DIM, mixer())], tn.MeanReadout(DIM, 2))
    optimiser = torch.optim.AdamW(net.parameters(), 3e-3)
    for _ in range(steps):
        tokens, answer = batch(64)
        loss = torch.nn.functional.cross_entropy(net(tokens), answer)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    tokens, answer = batch(500)
    return {"accuracy": (net(tokens).argmax(-1) == answer).float().mean().item()}


@contextmanager
def executor_of(backend: str, workers: int, folder: Path) -> Iterator[Any]:
    """What `tn.ablate` takes as executor; None is this machine."""
    if backend == "local":
        yield None
    elif backend == "dask":
        from dask.distributed import Client

        # With Client("scheduler:8786") instead it is a cluster that runs already.
        with Client(n_workers=workers, threads_per_worker=1, dashboard_address=None) as client:
            yield client.get_executor()
    elif backend == "mpi":
        from mpi4py.futures import MPIPoolExecutor

        with MPIPoolExecutor(workers) as executor:
            yield executor
    else:
        import submitit

        # Without SLURM the same jobs are processes of this machine.
        where = None if shutil.which("srun") else "local"
        executor = submitit.AutoExecutor(folder=folder / "jobs", cluster=where)
        executor.update_parameters(timeout_min=10, cpus_per_task=1)
        yield executor


def main(
    backend: str = "local", *, workers: int = 2, seeds: int = 3, folder: Path | None = None
) -> tn.Ablation:
    folder = Path("cluster") if folder is None else folder
    folder.mkdir(parents=True, exist_ok=True)
    with executor_of(backend, workers, folder) as executor:
        result = tn.ablate(
            majority,
            axes={"mixer": {"attention": attention, "token MLP": token_mlp}},
            seeds=seeds,
            maximise="accuracy",
            store=folder / "runs.sqlite",
            executor=executor,
            workers=workers,
        )
    print(result)
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The same ablation on any executor.")
    parser.add_argument("--backend", choices=("local", "dask", "mpi", "slurm"), default="local")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    main(given.backend, workers=given.workers, seeds=given.seeds)
