"""The training that all tasks share: AdamW, warm-up and cosine, a curve, checkpoints.

Axes: S samples.
"""

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tokennet.checks import positive, value_error
from tokennet.net import TokenNet
from tokennet.tasks.symmetry import permutation_error

if TYPE_CHECKING:
    from tokennet.tasks.base import Task
    from tokennet.tasks.samples import Samples

_SAVE_EVERY = 5.0  # seconds
_FEW = 4  # samples that show how far a net is from equivariance


@dataclass(frozen=True)
class Recipe:
    """How a net is trained: AdamW, the rate rising over `warmup` of the steps, then cosine to 0.

    `clip` bounds the gradient's norm; `schedule` False keeps the rate after the rise.
    """

    epochs: int = 10
    batch_size: int = 64
    lr: float = 1e-3
    weight_decay: float = 0.01
    warmup: float = 0.1
    clip: float | None = 1.0
    schedule: bool = True

    def __post_init__(self) -> None:
        positive("epochs", self.epochs)
        positive("batch_size", self.batch_size)
        if not 0 < self.lr < float("inf"):
            raise value_error("lr", self.lr, "a positive number")
        if not 0 <= self.warmup <= 1:
            raise value_error("warmup", self.warmup, "a share of the steps, 0 to 1")

    def rate(self, step: int, steps: int) -> float:
        """The factor of `lr` at `step` of `steps`."""
        rise = max(1, round(self.warmup * steps))
        if step < rise:
            return (step + 1) / rise
        if not self.schedule:
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


@torch.no_grad()
def evaluate(task: "Task", net: nn.Module, samples: "Samples", device: Any) -> dict[str, float]:
    """The task's scores over all samples, in eval mode."""
    was = net.training
    net.eval()
    sums: dict[str, float] = {}
    counts: dict[str, float] = {}
    for index in torch.arange(len(samples)).split(4 * task.recipe.batch_size):
        batch = samples.batch(index).to(device)
        for name, (total, count) in task.scores(_answer(net, batch), batch).items():
            sums[name] = sums.get(name, 0.0) + total
            counts[name] = counts.get(name, 0) + count
    net.train(was)
    return task.metrics({name: sums[name] / max(1, counts[name]) for name in sums})


def _answer(net: nn.Module, batch: Any) -> Tensor:
    return net(batch.inputs) if batch.structure is None else net(batch.inputs, batch.structure)


def fit(task: "Task", net: nn.Module, seed: int, run: Any = None) -> dict[str, float]:
    """Trains `net` and returns the scores of the test part; with `run` also curves and costs.

    The order of the samples comes from the seed alone, so that all nets of a seed see the same.
    Where the data has a part to choose by, the scores are those of the epoch that is best there.
    Of a `TokenNet` they have `equivariance_error` too, `permutation_error` on a few samples.
    """
    task.check(net)
    data, recipe = task.data(seed), task.recipe
    device = "cpu" if run is None else run.device
    net.to(device).train()
    optimizer = torch.optim.AdamW(net.parameters(), recipe.lr, weight_decay=recipe.weight_decay)
    per_epoch = -(-len(data.fit) // recipe.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: recipe.rate(step, per_epoch * recipe.epochs)
    )
    order = torch.Generator().manual_seed(seed)
    state = {"net": net, "optimizer": optimizer, "schedule": schedule}
    begin, best = 0, None
    if run is not None:
        one = data.fit.first().to(device)
        run.describe(
            net, *((one.inputs,) if one.structure is None else (one.inputs, one.structure))
        )
        begin, best = _resume(run, state, order)
    saved = time.monotonic()
    for epoch in range(begin, recipe.epochs):
        total = 0.0
        indices = torch.randperm(len(data.fit), generator=order).split(recipe.batch_size)
        for index in indices:
            batch = data.fit.batch(index).to(device)
            loss = task.loss(_answer(net, batch), batch)
            optimizer.zero_grad()
            loss.backward()
            if recipe.clip is not None:
                nn.utils.clip_grad_norm_(net.parameters(), recipe.clip)
            optimizer.step()
            schedule.step()
            total += loss.item()
        found = {"train_loss": total / len(indices)}
        best = _look(task, net, data, device, found, best)
        if run is not None:
            run.log(epoch + 1, **found)
            if time.monotonic() - saved > _SAVE_EVERY and epoch + 1 < recipe.epochs:
                _save(run, state, order, epoch + 1, best)
                saved = time.monotonic()
    scores = evaluate(task, net, data.test, device) if best is None else best["scores"]
    if isinstance(net, TokenNet):
        few = data.test.first(_FEW)
        scores["equivariance_error"] = permutation_error(net, few.inputs, few.structure)
    return scores


def _look(
    task: "Task", net: nn.Module, data: Any, device: Any, found: dict[str, float], best: Any
) -> Any:
    """Adds the epoch's scores to `found`; returns the best epoch so far, where one is chosen."""
    if data.choose is None:
        found.update(evaluate(task, net, data.test, device))
        return None
    chosen = evaluate(task, net, data.choose, device)
    found.update(chosen)
    value = chosen[task.metric] * (1 if task.higher_is_better else -1)
    if best is None or value > best["value"]:
        return {"value": value, "scores": evaluate(task, net, data.test, device)}
    return best


def _save(run: Any, state: dict[str, Any], order: torch.Generator, epoch: int, best: Any) -> None:
    kept = {name: part.state_dict() for name, part in state.items()}
    run.save({**kept, "order": order.get_state(), "epoch": epoch, "best": best})


def _resume(run: Any, state: dict[str, Any], order: torch.Generator) -> tuple[int, Any]:
    """The epoch to go on with, everything set as it was there."""
    kept = run.load()
    if kept is None:
        return 0, None
    for name, part in state.items():
        part.load_state_dict(kept[name])
    order.set_state(kept["order"].cpu())
    return kept["epoch"], kept["best"]
