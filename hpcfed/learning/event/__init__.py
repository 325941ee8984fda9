"""The event engine: numba kernels on a CPU whose cost follows the spikes."""
