"""Stacks of convolutions, pools, dense layers and norms, trained by their events."""
