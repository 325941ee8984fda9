"""From an experiment to the tables of its stack, and between flat parameters and the kernels'.

T time bins, S steps, L layers, P parameters. A layer's weights lie in blocks of some of the
channels it makes, (rows, columns, in, lanes) each, so that a row is what one event adds, and are
padded to whole registers; norms lie as they are.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from math import prod

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.seeds import threshold
from hpcfed.config import Experiment
from hpcfed.config.stack import Convolution, Dense, Dropout, Pool
from hpcfed.learning.constants import Reals, RealType
from hpcfed.learning.event.lanes import LANES
from hpcfed.learning.event.tables import aligned
from hpcfed.learning.stack.gathering import TAPS
from hpcfed.learning.stack.geometry import lanes_at
from hpcfed.learning.stack.tables import (
    AVERAGE,
    BY_BIN,
    BY_GROUP,
    DROPOUT,
    LAYER,
    MAXIMUM,
    NO_NORM,
    OVER_BINS,
    Lengths,
    Stack,
)
from hpcfed.networks.layout import Layout
from hpcfed.networks.stack import Stage, has_norm
from hpcfed.samples.samples import Shape

I64 = NDArray[np.int64]

_NORMS = {None: NO_NORM, "none": NO_NORM, "bntt": BY_BIN, "group": BY_GROUP}
_BAND_BYTES = 24 << 10  # most of a first cache
_GROUP_PLACES = 256  # places that products take at once, at least, where pictures are small
_FLAT_IMAGES = 128
# cycles and shares, as benchmarks/convolutions.py measures them on Zen 4
_PIXEL, _ROW = 40, 12
_WAIT = (0.95, 1.25, 1.9, 1.9)
_BACKWARD = (0.38, 0.65, 0.75, 0.75)
_MARKED = (0.3, 0.45, 0.45, 0.45)


def plan(
    experiment: Experiment, found: Sequence[Stage], layout: Layout, shape: Shape, dtype: RealType
) -> tuple[Stack, Lengths]:
    """Return the tables of the experiment's stages on inputs of ``shape``."""
    model, num_bins = experiment.model, experiment.data.num_bins
    shapes = [_picture(shape.input), *(_picture(stage.output) for stage in found)]
    steps = [n for n, stage in enumerate(found) if stage.name]
    kernels = [_kernel(stage, seen) for stage, seen in zip(found, shapes, strict=False)]
    real = [one[0] for one in shapes]
    channels = [width if n <= steps[0] else _padded(width) for n, width in enumerate(real)]
    sizes = [n * prod(one[1:]) for n, one in zip(channels, shapes, strict=True)]
    valued = _valued(experiment, found)
    frames = [_frame(kernels[n], channels[n], channels[n + 1], shapes[n + 1]) for n in steps]
    weights = [prod(kernels[n][:2]) * channels[n] * channels[n + 1] for n in steps]
    norms, length = _norm_places(layout, sum(weights) + sizes[-1] * shape.classes)
    statistics, moments = _statistic_places(layout)
    traces = _traces([sizes[n + 1] for n in steps])
    ends = [at + sizes[n + 1] for at, n in zip(traces, steps, strict=True)]
    changes = _changes(steps, ends, sizes)
    marked = [n > steps[0] and n - 1 in steps and _is_marked(experiment, found[n], kernels[n])
              for n in range(len(found))]  # fmt: skip
    marks = [sizes[n] // LANES if has else 0 for n, has in enumerate([*marked, False])]
    neurons = [(prod(shapes[n + 1][1:]), real[n + 1]) for n in steps]
    stack = Stack(
        kinds=np.array([_kind(stage) for stage in found]),
        layers=np.array([steps.index(n) if n in steps else -1 for n in range(len(found))]),
        rows=np.array([one[0] for one in kernels]),
        columns=np.array([one[1] for one in kernels]),
        strides=np.array([one[2] for one in kernels]),
        paddings=np.array([one[3] for one in kernels]),
        flat=np.array([int(isinstance(stage.spec, Dense)) for stage in found]),
        dropped=np.array([threshold(_chance(stage)) for stage in found], np.uint64),
        raises=np.array([1 / (1 - _chance(stage)) for stage in found]),
        switches=np.array(
            [
                _switches(kernels[n], channels[n], _padded(channels[n + 1]))
                for n in range(len(found))
            ]
        ),
        together=np.array([_together(found[n], shapes[n + 1]) for n in range(len(found))]),
        heights=np.array([one[1] for one in shapes]),
        widths=np.array([one[2] for one in shapes]),
        channels=np.array(channels),
        real_channels=np.array(real),
        valued=np.array(valued),
        entries=_places(sizes),
        values=_places([size * has for size, has in zip(sizes, valued, strict=True)]),
        bounds=_places([prod(one[1:]) + 1 for one in shapes]),
        marks=np.where([*marked, False], _places(marks), -1),
        steps=np.array(steps),
        neurons=np.array(neurons),
        first_neurons=_places([prod(one) for one in neurons]),
        traces=np.array(traces),
        changes=np.array(changes),
        weights=np.array([0, *accumulate(weights)]),
        back=_places(weights),
        framed=np.where(frames, _places(frames), -1),
        groups=np.array([getattr(found[n].spec, "groups", 1) for n in steps]),
        normed=np.array([int(has_norm(model, found[n])) for n in steps]),
        norm=_NORMS.get(model.norm, OVER_BINS),
        delay=int(bool(model.fire_first)),
        band=_BAND_BYTES // dtype().itemsize,
        first_layer=steps[0],
        num_bins=num_bins,
        num_classes=shape.classes,
        **{name: np.array([norms.get(f"{found[n].name}.{part}", -1) for n in steps])
           for name, part in (("scales", "scale"), ("shifts", "shift"), ("factors", "factor"))},
        **{name: np.array([moments.get(f"{found[n].name}.{part}", -1) for n in steps])
           for name, part in (("means", "mean"), ("variances", "variance"))},
    )  # fmt: skip
    return stack, Lengths(
        weights=length,
        back=sum(weights),
        framed=sum(frames),
        statistics=statistics,
        traces=max(ends),
        changes=max(at + size for at, size in zip(changes[1:], sizes[1:], strict=True)),
        entries=sum(sizes),
        values=sum(size * has for size, has in zip(sizes, valued, strict=True)),
        bounds=sum(prod(one[1:]) + 1 for one in shapes),
        marks=sum(marks),
    )


def pack(stack: Stack, lengths: Lengths, layout: Layout, params: Reals) -> tuple[Reals, Reals]:
    """Return flat parameters (P,) as the kernels' weights and statistics."""
    dtype = params.dtype.type
    weights, statistics = aligned(lengths.weights, dtype), aligned(lengths.statistics, dtype)
    for view, part, rows in _views(stack, layout, weights, statistics):
        view[...] = params[part].reshape(-1, *view.shape[1:])[rows]
    return weights, statistics


def flatten(stack: Stack, layout: Layout, weights: Reals, statistics: Reals) -> Reals:
    """Return the kernels' weights and statistics as flat parameters (P,)."""
    params = np.empty(layout.size, weights.dtype)
    for view, part, rows in _views(stack, layout, weights, statistics):
        params[part].reshape(-1, *view.shape[1:])[rows] = view
    return params


def _views(
    stack: Stack, layout: Layout, weights: Reals, statistics: Reals
) -> Iterator[tuple[Reals, slice, slice]]:
    """Yield what lies together of each part: an array, the part's place, and its rows in that."""
    every, layer = slice(None), 0
    start = int(stack.weights[-1] + _size(stack) * stack.num_classes)
    norms, moments = _norm_places(layout, start)[0], _statistic_places(layout)[1]
    for name, part, shape in layout.slices():
        if name == "readout":
            at, last = int(stack.weights[-1]), len(stack.kinds)
            view = weights[at : at + _size(stack) * shape[0]].reshape(
                stack.heights[last], stack.widths[last], stack.channels[last], shape[0]
            )
            yield view[:, :, : stack.real_channels[last]].transpose(3, 2, 0, 1), part, every
        elif name in moments:
            yield statistics[moments[name] : moments[name] + prod(shape)], part, every
        elif name in norms:
            yield weights[norms[name] : norms[name] + prod(shape)], part, every
        else:
            step, at = int(stack.steps[layer]), int(stack.weights[layer])
            kernel = int(stack.rows[step]), int(stack.columns[step]), int(stack.channels[step])
            for column, lanes in blocks(int(stack.channels[step + 1])):
                size = prod(kernel) * lanes
                view = weights[at : at + size].reshape(*kernel, lanes)
                for seen, rows in _groups(stack, layer, shape, column, lanes):
                    own = view[:, :, seen, rows.start - column : rows.stop - column]
                    yield own.transpose(3, 2, 0, 1), part, rows
                at += size
            layer += 1


def _groups(
    stack: Stack, layer: int, shape: tuple[int, ...], column: int, lanes: int
) -> Iterator[tuple[slice, slice]]:
    """Yield the channels that a group sees and, of a block of those it makes, its own."""
    seen = int(stack.real_channels[stack.steps[layer]])
    groups = int(stack.groups[layer])
    sees, makes = seen // groups, shape[0] // groups
    for group in range(groups):
        start, stop = max(column, group * makes), min(column + lanes, (group + 1) * makes)
        if start < stop:
            yield slice(group * sees, (group + 1) * sees), slice(start, stop)


def blocks(width: int) -> Iterator[tuple[int, int]]:
    """Yield where each block of ``width`` padded channels begins, and how many lie side by side."""
    column = 0
    while column < width:
        lanes = lanes_at(width, column)
        yield column, lanes
        column += lanes


def _size(stack: Stack) -> int:
    last = len(stack.kinds)
    return int(stack.heights[last] * stack.widths[last] * stack.channels[last])


def _picture(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return a shape as (channels, height, width)."""
    channels, height, width = shape if len(shape) > 1 else (*shape, 1, 1)
    return channels, height, width


def _padded(channels: int) -> int:
    return -(-channels // LANES) * LANES


def _kind(stage: Stage) -> int:
    if isinstance(stage.spec, Pool):
        return MAXIMUM if stage.spec.maximum else AVERAGE
    return DROPOUT if isinstance(stage.spec, Dropout) else LAYER


def _kernel(stage: Stage, seen: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Return rows, columns, stride and padding of a stage that sees a picture."""
    match stage.spec:
        case Convolution(_, kernel, stride, padding, _):
            return kernel, kernel, stride, padding
        case Pool(_, size):
            return (size, size, size, 0) if size else (*seen[1:], 1, 0)
        case Dense():
            return (*seen[1:], 1, 0)
    return 1, 1, 1, 0


def _frame(
    kernel: tuple[int, int, int, int], seen: int, made: int, shape: tuple[int, int, int]
) -> int:
    """Return the size of weights with zeros around each kernel row; 0 where no pairs need them."""
    rows, columns, stride, _ = kernel
    paired = made == LANES and stride == 1 and shape[2] > 1
    return rows * (columns + 2) * seen * made if paired else 0


def _chance(stage: Stage) -> float:
    return stage.spec.probability if isinstance(stage.spec, Dropout) else 0.0


def _valued(experiment: Experiment, found: Sequence[Stage]) -> list[int]:
    """Say of each signal whether its events have values other than 1."""
    valued = [int(experiment.data.encoder != "poisson")]
    for stage in found:
        if stage.name:
            valued.append(0)
        else:
            keeps = isinstance(stage.spec, Pool) and stage.spec.maximum
            valued.append(valued[-1] if keeps else 1)
    return valued


def _is_marked(experiment: Experiment, stage: Stage, kernel: tuple[int, int, int, int]) -> bool:
    """Say whether a stage needs no gradient of the spikes that it sees where neurons are far off.

    Of a square of three, and for the surrogate that is zero there.
    """
    square = isinstance(stage.spec, Convolution) and kernel[:2] == (TAPS, TAPS)
    return square and experiment.model.surrogate == "triangle"


def _switches(
    kernel: tuple[int, int, int, int], seen: int, made: int
) -> tuple[float, float, float]:
    """Return the shares from which on products of all values are faster.

    In cycles of a pixel: events have a loop for each row of a kernel, and wait for their sums where
    these fill one or two registers; products have neither.
    """
    rows, columns = kernel[:2]
    registers = made // LANES
    products = rows * columns * seen * registers
    forward = (products - _PIXEL - _ROW * rows) / (_WAIT[min(registers, 4) - 1] * products)
    column = min(registers, 4) - 1
    return max(0.0, forward), _BACKWARD[column], _MARKED[column]


def _together(stage: Stage, made: tuple[int, int, int]) -> int:
    """Return how many images a layer's products take at once."""
    if isinstance(stage.spec, Dense):
        return _FLAT_IMAGES
    return max(1, _GROUP_PLACES // prod(made[1:]))


def _traces(sizes: Sequence[int]) -> list[int]:
    """Return where what flows into each layer lies.

    The first layer's is made anew on the way back, and has no room of its own.
    """
    return [0, *accumulate(sizes[1:-1], initial=0)] if len(sizes) > 1 else [0]


def _changes(steps: Sequence[int], ends: Sequence[int], sizes: Sequence[int]) -> list[int]:
    """Return where the gradient of each signal lies: behind all that the way back still needs.

    A layer's input has it behind the layer's trace, and image by image no further than what the
    layer makes: there lies what is still to be read.
    """
    behind = [ends[0], max(ends[:2])]
    for layer, step in enumerate(steps[1:], 1):
        least = behind[layer] + max(0, sizes[step] - sizes[step + 1])
        behind.append(max(least, ends[min(layer + 1, len(steps) - 1)]))
    return [behind[bisect_left(steps, n)] for n in range(len(sizes))]


def _norm_places(layout: Layout, start: int) -> tuple[dict[str, int], int]:
    """Return where the trained parts of norms lie among the weights, and the end of all."""
    places = {}
    for part in layout.parts:
        if part.trained and part.name.rpartition(".")[2] in ("scale", "shift", "factor"):
            places[part.name] = start
            start += part.size
    return places, start


def _statistic_places(layout: Layout) -> tuple[int, dict[str, int]]:
    places, end = {}, 0
    for part in layout.parts:
        if not part.trained:
            places[part.name] = end
            end += part.size
    return end, places


def _places(lengths: Sequence[int]) -> I64:
    return np.array([0, *accumulate(lengths)][: len(lengths)], np.int64)
