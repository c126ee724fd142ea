"""Fused kernels for float32 on a CPU, compiled when the package is installed."""
