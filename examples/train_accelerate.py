"""The net of train_ddp.py, trained with Accelerate: devices and precision are the launcher's.

accelerate launch --num_processes 2 examples/train_accelerate.py --save folder
accelerate launch --num_processes 2 examples/train_accelerate.py --steps 400 --resume folder
"""

import argparse
from pathlib import Path

import torch
from train_ddp import UNSEEN, loss_of, make_net

try:
    from accelerate import Accelerator
except ImportError:
    raise SystemExit("accelerate is not installed: pip install accelerate") from None


def main(steps: int = 200, save: str | None = None, resume: str | None = None) -> float:
    accelerator = Accelerator()
    net = make_net()
    net, optimizer = accelerator.prepare(net, torch.optim.AdamW(net.parameters(), 3e-3))
    begin = 0
    if resume:
        accelerator.load_state(resume)  # weights from safetensors
        begin = int((Path(resume) / "steps.txt").read_text())
    for step in range(begin, steps):
        loss = loss_of(net, step, accelerator.device)
        optimizer.zero_grad()
        accelerator.backward(loss)
        optimizer.step()
    with torch.no_grad():
        loss = accelerator.reduce(loss_of(net, UNSEEN, accelerator.device), "mean")
    if save:
        accelerator.save_state(save)
        if accelerator.is_main_process:
            (Path(save) / "steps.txt").write_text(str(steps))
    accelerator.print(f"loss {loss.item():.7f} after {steps} steps")
    accelerator.end_training()
    return loss.item()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--save", help="folder for weights and optimizer")
    parser.add_argument("--resume", help="folder that --save wrote")
    main(**vars(parser.parse_args()))
