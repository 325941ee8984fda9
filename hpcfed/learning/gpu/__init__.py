"""The GPU engine: Triton kernels that train all clients of a rank at once."""
