"""The GPU engine for images: convolutions by cuDNN, the rest of a layer by Triton kernels."""
