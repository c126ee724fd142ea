"""The sparse kernels in Triton, for CUDA devices: the functions of `ops.kernel.KERNELS`."""
