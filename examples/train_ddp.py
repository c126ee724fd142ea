"""One net in several processes, each with all weights and a share of every batch (DDP).

Samples differ in length. A mean over the tokens of each process would weigh a token by who its
neighbours are; divided by the tokens of the whole batch, the loss is that of one process.

python examples/train_ddp.py                                          one process
torchrun --nproc-per-node 2 examples/train_ddp.py --save folder       the same loss
torchrun --nproc-per-node 4 examples/train_ddp.py --resume folder     goes on from there
"""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from safetensors.torch import load_model, save_model
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import tokennet as tn

DIM, UNSEEN = 32, 1_000_000


def make_net() -> tn.TokenNet:
    """Sorts numbers: the i-th token of a sample is to say its i-th smallest."""
    torch.manual_seed(0)
    blocks = [tn.Block(DIM, tn.Attention(DIM, 4)) for _ in range(2)]
    position = tn.LearnedPosition(8, DIM)
    return tn.TokenNet(
        tn.EmbeddingTokenizer(10, DIM), [position, *blocks], tn.TokenReadout(DIM, 10)
    )


def loss_of(net: nn.Module, step: int, device: torch.device) -> Tensor:
    """This process's part of a batch; the mean over processes is the mean over all its tokens."""
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    g = torch.Generator().manual_seed(step)
    lengths = torch.randint(2, 9, (64,), generator=g).tolist()
    samples = torch.randint(10, (sum(lengths),), generator=g).split(lengths)
    own = [sample.to(device) for sample in samples[rank::world]]
    structure = tn.Structure.packed([len(sample) for sample in own], device=device)
    scores = net(torch.cat(own), structure)
    targets = torch.cat([sample.sort().values for sample in own])
    return F.cross_entropy(scores, targets, reduction="sum") * world / sum(lengths)


@contextmanager
def processes() -> Iterator[torch.device]:
    """The processes that torchrun started, or this one alone; the device of this one."""
    number = int(os.environ.get("LOCAL_RANK", 0))
    device, backend = torch.device("cpu"), "gloo"
    if torch.cuda.is_available():
        device, backend = torch.device("cuda", number), "nccl"
        torch.cuda.set_device(device)
    if "RANK" in os.environ:
        dist.init_process_group(backend)
    else:
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    try:
        yield device
    finally:
        dist.destroy_process_group()


def train(
    net: nn.Module, optimizer: torch.optim.Optimizer, steps: range, device: torch.device
) -> float:
    """The loss on a batch that no step has seen, over all processes."""
    for step in steps:
        loss = loss_of(net, step, device)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        loss = loss_of(net, UNSEEN, device)
    dist.all_reduce(loss)
    loss = loss / dist.get_world_size()
    if dist.get_rank() == 0:
        print(f"loss {loss.item():.7f} after {steps.stop} steps", flush=True)
    return loss.item()


def main(steps: int = 200, save: str | None = None, resume: str | None = None) -> float:
    with processes() as device:
        net, begin = make_net().to(device), 0
        optimizer = torch.optim.AdamW(net.parameters(), 3e-3)
        if resume:
            load_model(net, Path(resume) / "model.safetensors")
            rest = torch.load(Path(resume) / "optimizer.pt", map_location=device, weights_only=True)
            optimizer.load_state_dict(rest["optimizer"])
            begin = rest["step"]
        loss = train(DistributedDataParallel(net), optimizer, range(begin, steps), device)
        if save and dist.get_rank() == 0:
            Path(save).mkdir(parents=True, exist_ok=True)
            save_model(net, str(Path(save) / "model.safetensors"))
            rest = {"optimizer": optimizer.state_dict(), "step": steps}
            torch.save(rest, Path(save) / "optimizer.pt")
        return loss


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--save", help="folder for weights and optimizer")
    parser.add_argument("--resume", help="folder that --save wrote")
    main(**vars(parser.parse_args()))
