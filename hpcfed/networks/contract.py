"""What a network is: a layout, its hidden layers, and a forward pass from weights and input.

T time bins, B batch, C channels, H hidden neurons, K classes. A network has no state: weights come
in as tensors cut from the flat parameter vector, so one network serves every client.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hpcfed.networks.layout import Layout

if TYPE_CHECKING:
    from torch import Tensor

Words = Callable[[int], NDArray[np.uint32]]


class Layer(NamedTuple):
    """A hidden layer: H neurons, and the multiply-accumulates of its dense input in one bin."""

    name: str
    neurons: int
    operations: int


class Product(NamedTuple):
    """A part's weights times what enters them.

    Attributes:
        name: of the part.
        operations: multiply-accumulates, a sample and a bin.
        inputs: values that enter, a sample, in all bins.
    """

    name: str
    operations: int
    inputs: int


class Kernels(Protocol):
    """A device's own code for norms and neurons, in the place of torch's operations.

    Of a layer the potentials (T, B, C, ...) are all that is kept; what flowed in is made again of
    them. Gain and offset are (T or 1, B or 1, C).
    """

    def moments(self, x: Tensor, groups: int) -> tuple[Tensor, Tensor]:
        """Return mean and variance of x (T, B, C, ...) in each bin, float32.

        Of each channel, (T, 1, C), or, with ``groups``, of each sample and group, (T, B, groups).
        """
        ...

    def fire(self, x: Tensor, gain: Tensor, offset: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return spikes, the same as booleans, and potentials, for gain x + offset."""
        ...

    def fire_back(
        self, potentials: Tensor, gain: Tensor, offset: Tensor, received: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients of x, gain and offset for that of the spikes, ``received``."""
        ...

    def add_inflow(
        self, returned: Tensor, kept: tuple[Tensor, Tensor, Tensor], slope: Tensor, rest: Tensor
    ) -> None:
        """Add slope x + rest to ``returned`` (T, B, C, ...), in place.

        ``kept`` are potentials, gain and offset; slope and rest (T, B or 1, C or groups).
        """
        ...


class Pass(NamedTuple):
    """What differs from one forward pass to the next.

    Attributes:
        learn: whether this pass is trained on: norms then use the batch's own statistics.
        depth: iterations of a block that is repeated; 0: as the network has them.
        words: gives so many new random words, for networks that draw as they learn.
        frozen: norms use the averaged statistics even where they learn.
        rates: gradients will be asked of the spikes.
        kernels: what a device has for norms and neurons; None: torch's operations.
    """

    learn: bool
    depth: int = 0
    words: Words | None = None
    frozen: bool = False
    rates: bool = False
    kernels: Kernels | None = None


class Activity(NamedTuple):
    """What a forward pass gives.

    Attributes:
        logits: (B, K).
        spikes: of each hidden layer, (T, B, ...) of zeros and ones, or of booleans where no
            gradient is asked of them; none for a network without.
        statistics: new values of the layout's statistics by name, for a pass that learns.
        entering: what entered the weights of a part, for a pass that does not learn: by name (2,)
            float64, how many values are not zero, and the sum of their magnitudes.
        rates: (B, K) logits of the rates, from a network whose spikes answer instead; else None.
    """

    logits: Tensor
    spikes: Sequence[Tensor] = ()
    statistics: Mapping[str, Tensor] = {}
    entering: Mapping[str, Tensor] = {}
    rates: Tensor | None = None


class Network(Protocol):
    """A differentiable function from weights and input to logits."""

    @property
    def layout(self) -> Layout:
        """The parts of the flat parameter vector."""
        ...

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The hidden layers, in the order in which spikes are given."""
        ...

    def forward(self, weights: Mapping[str, Tensor], inputs: Tensor, call: Pass) -> Activity:
        """Return what the network does on ``inputs``, (T, B, *shape) or (B, *shape).

        ``weights`` maps each name of the layout to a tensor of its shape; ``inputs`` is of the
        weights' dtype and device.
        """
        ...
