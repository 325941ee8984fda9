"""Torch modules of one's own, as users write them, for ``model.kind``."""

from __future__ import annotations

import os

import torch
from torch import Tensor, nn

import hpcfed


class Step(torch.autograd.Function):
    """1 above 0; the derivative that stands in for it is 1 / (1 + |v|)^2."""

    @staticmethod
    def forward(ctx, v: Tensor) -> Tensor:
        """Return the spikes."""
        ctx.save_for_backward(v)
        return (v > 0).float()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        """Return the surrogate's gradient."""
        return gradient / (1 + ctx.saved_tensors[0].abs()) ** 2


class Neurons(nn.Module):
    """Leaky neurons (B, H) that keep their potential in an attribute; the leak is learned."""

    def __init__(self) -> None:
        super().__init__()
        self.leak = nn.Parameter(torch.tensor(0.8))  # without an axis
        self.v: Tensor | float = 0.0

    def forward(self, drive: Tensor) -> Tensor:
        """Return the spikes of one bin."""
        self.v = self.leak * self.v + drive
        spikes = Step.apply(self.v - 1)
        self.v = self.v - spikes.detach()
        return spikes


class Plain(nn.Module):
    """Linear layers with biases, a norm and dropout; bins go one after the other."""

    def __init__(self, inputs: int, classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.enter = nn.Linear(inputs, 8)
        self.norm = nn.BatchNorm1d(8)
        self.neurons = Neurons()
        self.drop = nn.Dropout(dropout)
        self.leave = nn.Linear(8, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits (B, K) of inputs (T, B, C)."""
        outputs = [
            self.leave(self.drop(self.neurons(self.norm(2 * self.enter(one))))) for one in inputs
        ]
        return torch.stack(outputs).mean(0)


def plain(experiment: hpcfed.Experiment, inputs: int, classes: int) -> object:
    """Return a module with neurons of one's own, whose spikes are counted."""
    return hpcfed.module(Plain(inputs, classes), spiking=[Neurons])


def bare(experiment: hpcfed.Experiment, inputs: int, classes: int) -> object:
    """Return a module that nobody has wrapped."""
    return Plain(inputs, classes)


def dropping(experiment: hpcfed.Experiment, inputs: int, classes: int) -> object:
    """Return one that draws as it learns."""
    return hpcfed.module(Plain(inputs, classes, dropout=0.5), spiking=[Neurons])


def frozen(experiment: hpcfed.Experiment, inputs: int, classes: int) -> object:
    """Return one whose first layer is not trained, and is what the environment says."""
    network = Plain(inputs, classes)
    nn.init.constant_(network.enter.weight, float(os.environ.get("HPCFED_TEST_FROZEN", "0.1")))
    network.enter.requires_grad_(False)
    return hpcfed.module(network, spiking=[Neurons])


class Pixels(nn.Module):
    """A convolution, a norm and a residual sum, on images (B, C, H, W) without time."""

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(shape[0], 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.slope = nn.PReLU()
        self.readout = nn.Linear(4 * shape[1] * shape[2], classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, K)."""
        hidden = self.slope(self.norm(self.convolution(images))) + images.mean(1, keepdim=True)
        return self.readout(hidden.flatten(1))


def binwise(experiment: hpcfed.Experiment, shape: tuple[int, ...], classes: int) -> object:
    """Return one that takes one bin after the other."""
    return hpcfed.module(Pixels(shape, classes), each_bin=True)


def pixels(experiment: hpcfed.Experiment, shape: tuple[int, ...], classes: int) -> object:
    """Return a network on images."""
    return hpcfed.module(Pixels(shape, classes))
