"""One net in several processes, each with a share of every weight and of every batch (FSDP).

The net and its loss are those of train_ddp.py. Weights are whole only while a block runs.

torchrun --nproc-per-node 2 examples/train_fsdp.py --save folder
torchrun --nproc-per-node 4 examples/train_fsdp.py --resume folder    on more processes, or fewer
"""

import argparse
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from train_ddp import make_net, processes, train

import tokennet as tn

# Whole tensors, so that any number of processes reads them, and safetensors holds them. For a net
# that no host's memory holds there is torch.distributed.checkpoint; it unpickles what it reads.
WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


def shard(net: tn.TokenNet, device: torch.device) -> tn.TokenNet:
    """Each block's weights come and go together; those outside of blocks stay with the net."""
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    for mixer in net.mixers:
        if isinstance(mixer, tn.Block):
            fully_shard(mixer, mesh=mesh)
    return fully_shard(net, mesh=mesh)


def load(net: tn.TokenNet, optimizer: torch.optim.Optimizer, folder: Path) -> int:
    """Gives each process its shares; the steps that were done."""
    set_model_state_dict(net, load_file(folder / "model.safetensors"), options=WHOLE)
    rest = torch.load(folder / "optimizer.pt", map_location="cpu", weights_only=True)
    set_optimizer_state_dict(net, optimizer, rest["optimizer"], options=WHOLE)
    return rest["step"]


def store(net: tn.TokenNet, optimizer: torch.optim.Optimizer, step: int, folder: Path) -> None:
    """All processes gather, the first one writes."""
    weights = get_model_state_dict(net, options=WHOLE)
    rest = {"optimizer": get_optimizer_state_dict(net, optimizer, options=WHOLE), "step": step}
    if dist.get_rank() == 0:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(weights, folder / "model.safetensors")
        torch.save(rest, folder / "optimizer.pt")


def main(steps: int = 200, save: str | None = None, resume: str | None = None) -> float:
    with processes() as device:
        net = shard(make_net().to(device), device)
        optimizer = torch.optim.AdamW(net.parameters(), 3e-3)  # after sharding: of the shares
        begin = load(net, optimizer, Path(resume)) if resume else 0
        loss = train(net, optimizer, range(begin, steps), device)
        if save:
            store(net, optimizer, steps, Path(save))
        return loss


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--save", help="folder for weights and optimizer")
    parser.add_argument("--resume", help="folder that --save wrote")
    main(**vars(parser.parse_args()))
