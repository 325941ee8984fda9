"""Training by torch autograd: every network, on a CPU or a GPU."""
