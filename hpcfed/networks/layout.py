"""Where each weight matrix lies in the flat parameter vector, and its initial values.

C channels, H hidden neurons, K classes, P parameters. Matrices are (out, in), row-major, in the
order: for each hidden layer its input weights and, if recurrent, its recurrent weights; then the
readout. There are no biases: the equations have none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.config import ModelConfig

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Layout:
    """Names and shapes of the matrices in a flat vector of ``size`` float32 parameters."""

    names: tuple[str, ...]
    shapes: tuple[tuple[int, int], ...]

    @property
    def size(self) -> int:
        """P, the number of parameters."""
        return sum(rows * columns for rows, columns in self.shapes)

    def split(self, params: NDArray[np.floating]) -> dict[str, NDArray[np.floating]]:
        """Return views of ``params`` (P,) by matrix name."""
        return {name: params[part].reshape(shape) for name, part, shape in self.parts()}

    def parts(self) -> Iterator[tuple[str, slice, tuple[int, int]]]:
        """Yield each matrix as its name, its place in the flat vector and its shape."""
        start = 0
        for name, shape in zip(self.names, self.shapes, strict=True):
            stop = start + shape[0] * shape[1]
            yield name, slice(start, stop), shape
            start = stop


def layout(model: ModelConfig, num_channels: int, num_classes: int) -> Layout:
    """Return the layout of ``model`` between C input channels and K classes."""
    names: list[str] = []
    shapes: list[tuple[int, int]] = []
    fan_in = num_channels
    for index, width in enumerate(model.hidden):
        names.append(f"hidden{index}.input")
        shapes.append((width, fan_in))
        if model.recurrent:
            names.append(f"hidden{index}.recurrent")
            shapes.append((width, width))
        fan_in = width
    return Layout((*names, "readout"), (*shapes, (num_classes, fan_in)))


def initial_params(model: ModelConfig, parameters: Layout, seed: int) -> F32:
    """Draw (P,) float32 initial weights from the seed's raw words.

    ``uniform``: within +-init_scale / sqrt(fan_in); ``normal``: standard deviation
    init_scale / sqrt(fan_in); ``normal-absolute``: standard deviation init_scale whatever the
    fan-in. Normal values are Box-Muller pairs in float64.
    """
    stream = Stream(seed, Purpose.INITIAL_WEIGHTS)
    params = np.empty(parameters.size, np.float32)
    start = 0
    for rows, columns in parameters.shapes:
        count = rows * columns
        scale = model.init_scale
        if model.init != "normal-absolute":
            scale /= float(np.sqrt(columns))
        uniform = stream.uniforms(2 * count, 2 * start)
        params[start : start + count] = scale * _standard(model.init, uniform)
        start += count
    return params


def _standard(init: str, uniform: NDArray[np.float64]) -> NDArray[np.float64]:
    first, second = uniform[0::2], uniform[1::2]
    if init == "uniform":
        return 2.0 * first - 1.0
    return np.asarray(np.sqrt(-2.0 * np.log(first)) * np.cos(2.0 * np.pi * second))
