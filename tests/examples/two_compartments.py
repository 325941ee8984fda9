"""A network in one file: neurons of two compartments, of which the slow one lifts the fast one.

``model.kind = "two_compartments:network"``; its own key is ``[model.own] tau_slow``, in seconds.
With input current i (T, B, H), decays a and b of the time constants, and spikes z at threshold 1::

    slow = b slow + i;  fast = a fast + i + 0.1 slow - z of the bin before
"""

import math

import torch

from hpcfed import Layout


class Spike(torch.autograd.Function):
    """1 above 0; the derivative that stands in for it is 1 / (1 + 10 |v|)^2."""

    @staticmethod
    def forward(ctx, v):
        ctx.save_for_backward(v)
        return (v > 0).float()

    @staticmethod
    def backward(ctx, gradient):
        return gradient / (1 + 10 * ctx.saved_tensors[0].abs()) ** 2


class TwoCompartments:
    """One hidden layer of ``model.hidden`` neurons and a mean over time as readout."""

    def __init__(self, experiment, channels, classes):
        (width,) = experiment.model.hidden
        slow = (experiment.model.own or {}).get("tau_slow", 0.1)
        self.fast_decay = math.exp(-experiment.dt / experiment.model.tau_mem)
        self.slow_decay = math.exp(-experiment.dt / slow)
        self.layout = Layout.of({"hidden0.input": (width, channels), "readout": (classes, width)})

    def forward(self, weights, inputs):
        currents = inputs @ weights["hidden0.input"].T
        fast = slow = spikes = torch.zeros_like(currents[0])
        train = []
        for current in currents:
            slow = self.slow_decay * slow + current
            fast = self.fast_decay * fast + current + 0.1 * slow - spikes
            spikes = Spike.apply(fast - 1)
            train.append(spikes)
        hidden = torch.stack(train)
        return hidden.mean(0) @ weights["readout"].T, [hidden]


def network(experiment, inputs, num_classes):
    """Return the network of an experiment between C channels and K classes."""
    return TwoCompartments(experiment, inputs, num_classes)
