"""The net of train_ddp.py, trained by Lightning: it starts the processes and writes checkpoints.

python examples/train_lightning.py --devices 2 --save folder
python examples/train_lightning.py --steps 400 --resume folder
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from train_ddp import UNSEEN, loss_of, make_net

try:
    import lightning
except ImportError:
    raise SystemExit("lightning is not installed: pip install lightning") from None


class Sorter(lightning.LightningModule):
    """A `TokenNet` is a plain module; nothing of it changes."""

    def __init__(self) -> None:
        super().__init__()
        self.net = make_net()

    def training_step(self, _: torch.Tensor) -> torch.Tensor:
        return loss_of(self.net, self.global_step, self.device)

    def validation_step(self, _: torch.Tensor) -> None:
        self.log("loss", loss_of(self.net, UNSEEN, self.device), sync_dist=True, batch_size=1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), 3e-3)


def main(
    steps: int = 200, devices: int = 1, save: str | None = None, resume: str | None = None
) -> float:
    quiet: dict[str, Any] = {
        "logger": False, "enable_checkpointing": False, "enable_model_summary": False,
        "enable_progress_bar": False,
    }  # fmt: skip
    trainer = lightning.Trainer(
        max_steps=steps, max_epochs=-1, devices=devices, num_sanity_val_steps=0,
        use_distributed_sampler=False, strategy="ddp" if devices > 1 else "auto", **quiet,
    )  # fmt: skip
    path = Path(resume) / "last.ckpt" if resume else None
    ticks = DataLoader(range(devices))  # the batch is known by the number of the step
    module = Sorter()
    trainer.fit(module, ticks, ckpt_path=path, weights_only=True)
    loss = trainer.validate(module, ticks, verbose=False)[0]["loss"]
    if save:
        trainer.save_checkpoint(Path(save) / "last.ckpt")
    if trainer.is_global_zero:
        print(f"loss {loss:.7f} after {steps} steps", flush=True)
    return loss


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--save", help="folder for the checkpoint")
    parser.add_argument("--resume", help="folder that --save wrote")
    main(**vars(parser.parse_args()))
