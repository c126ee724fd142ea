"""Fused kernels for float32 on a CPU, compiled when the package is installed."""

from tokennet.ops.cpu.attend import attend

__all__ = ["attend"]
