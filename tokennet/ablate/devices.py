"""What this machine has for runs: GPUs, and the CPUs that a process may use."""

import os
from collections.abc import Sequence
from typing import Any

import torch

from tokennet.checks import type_error, value_error


def read_devices(devices: Any) -> list[torch.device]:
    """`devices` of `tn.ablate`: "auto" for all GPUs, or a list; only what is there."""
    example = 'e.g. devices=["cuda:0", "cuda:1"] or devices="auto"'
    count = torch.cuda.device_count()
    if devices == "auto":
        if not count:
            raise value_error("devices", "'auto'", "a machine with a CUDA device", example)
        return [torch.device("cuda", index) for index in range(count)]
    if isinstance(devices, str) or not isinstance(devices, Sequence) or not devices:
        raise type_error("devices", repr(devices), 'None, "auto" or a list of devices', example)
    found = []
    for name in devices:
        try:
            device = torch.device(name)
        except (RuntimeError, TypeError) as error:
            raise value_error("devices", repr(name), "a device of torch", example) from error
        if device.type == "cuda" and (device.index or 0) >= count:
            raise value_error("devices", repr(name), f"one of the {count} CUDA devices here")
        found.append(device)
    return found


def usable_cpus() -> int:
    """The CPUs that this process may use, not those that the machine has."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1
