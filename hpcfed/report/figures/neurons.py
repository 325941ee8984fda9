"""What neurons that compete have come to stand for: their weights, responses and thresholds.

N neurons, C inputs, K classes. Neurons are shown by the class in which they spike most, their
label.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any  # Any: a table's values are text or numbers

import numpy as np
from numpy.typing import NDArray

from hpcfed.errors import InputError
from hpcfed.report.drawing import SEQUENCE, new_figure, note, told_apart
from hpcfed.report.figures.of_a_run import Numbers, RunFigure
from hpcfed.report.figures.view import View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

COLUMNS = {
    "neuron": "number of the neuron, from 0",
    "label": "class in which it spikes most, a sample; empty: it has never spiked",
    "share": "its spikes in samples of that class over those in samples of any, both a sample",
    "theta": "what its threshold has adapted to, mV",
    "spikes": "in all training, at all clients",
}
RESPONSE_COLUMNS = {
    "neuron": "number of the neuron, from 0",
    "class": "class of the samples",
    "samples": "that have been shown to its block in training, at all clients",
    "spikes": "its spikes in them, mean; empty: none has been shown",
}
_PARTS = {"weights", "theta", "responses", "shown"}
_MOST_FIELDS = 100
_ACROSS = 20
_LONGEST_NAME = 14


@dataclass(frozen=True)
class Neurons:
    """The N neurons of a run.

    Attributes:
        weights: (N, C).
        theta: (N,) mV.
        spikes: (N, K) in samples of each class.
        samples: (N, K) that have been shown.
        plane: height and width of an input image; None where there is none.
    """

    weights: F64
    theta: F64
    spikes: F64
    samples: F64
    plane: tuple[int, int] | None

    @property
    def mean(self) -> F64:
        """Spikes in a sample of each class (N, K)."""
        found = np.zeros_like(self.spikes)
        return np.divide(self.spikes, self.samples, out=found, where=self.samples > 0)

    @property
    def labels(self) -> I64:
        """The class of each neuron (N,); -1 for one that has never spiked."""
        return np.where(self.spikes.any(axis=1), self.mean.argmax(axis=1), -1)

    @property
    def order(self) -> I64:
        """The neurons by label, the surest first, those without a label last."""
        labels, mean = self.labels, self.mean
        last = np.where(labels < 0, mean.shape[1], labels)
        return np.lexsort((-mean.max(axis=1), last))


def has_data(view: View) -> bool:
    """Say whether the run has trained neurons that compete."""
    return set(view.record.layout[0]) == _PARTS


def neurons(view: View) -> Neurons:
    """Return the neurons of a run. Raises InputError for runs of other rules."""
    if not has_data(view):
        raise InputError(f'{view.name}: neurons that compete are of rule.kind = "stdp"')
    parts, start = {}, 0
    for name, shape in zip(*view.record.layout, strict=True):
        size = int(np.prod(shape))
        parts[name] = view.record.params[start : start + size].reshape(shape).astype(np.float64)
        start += size
    if not np.isfinite(parts["weights"]).all():
        raise InputError(f"{view.name}: some weights are no numbers: the run has diverged")
    count, blocks = len(parts["weights"]), len(parts["shown"])
    samples = parts["shown"].repeat(count // blocks, axis=0)
    plane = _plane(view, parts["weights"].shape[1])
    return Neurons(parts["weights"], parts["theta"], parts["responses"], samples, plane)


def rows(view: View) -> Iterator[dict[str, Any]]:
    """Yield the neurons."""
    found, names = neurons(view), _names(view)
    mean, labels = found.mean, found.labels
    for neuron, label in enumerate(labels.tolist()):
        total = float(mean[neuron].sum())
        yield {
            "neuron": neuron,
            "label": names[label] if label >= 0 else None,
            "share": float(mean[neuron].max()) / total if total else None,
            "theta": float(found.theta[neuron]),
            "spikes": int(found.spikes[neuron].sum()),
        }


def response_rows(view: View) -> Iterator[dict[str, Any]]:
    """Yield the responses of each neuron to each class."""
    found, names = neurons(view), _names(view)
    mean = found.mean
    for (neuron, label), samples in np.ndenumerate(found.samples):
        yield {
            "neuron": neuron,
            "class": names[label],
            "samples": int(samples),
            "spikes": float(mean[neuron, label]) if samples else None,
        }


def draw(view: View) -> Figure:
    """Return the figure: weights of neurons, and below how they respond."""
    found = neurons(view)
    shown = found.order[:_MOST_FIELDS]
    mosaic = None if found.plane is None else _mosaic(found, shown)
    height = 2.2 if mosaic is None else 0.5 + 4.4 * mosaic.shape[0] / mosaic.shape[1]
    figure = new_figure(height + 2.4, 5.2)
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[height, 2.4])[:, 0]
    _draw_weights(above.subplots(), found.weights[shown] if mosaic is None else mosaic)
    if mosaic is not None:
        above.axes[0].set_axis_off()
    left, right = below.subplots(1, 2, width_ratios=[2, 1])
    _draw_responses(left, found, told_apart(_names(view), _LONGEST_NAME, 1))
    _draw_thresholds(right, found)
    text = "Neurons by the class in which they spike most, their label, the surest first."
    if len(shown) < len(found.theta):
        text += f" Weights of {len(shown)} of {len(found.theta)} neurons."
    note(figure, text)
    return figure


def _plane(view: View, num_inputs: int) -> tuple[int, int] | None:
    """Return height and width of the examples' images; None for events."""
    given = np.asarray(view.record.evaluation.get("example_spikes", {}).get("input", ()))
    if given.ndim != 4 or given[0].size != num_inputs:
        return None
    return int(given.shape[2]), int(given.shape[3])


def _names(view: View) -> list[str]:
    classes = dict(zip(*view.record.layout, strict=True))["responses"][1]
    return view.classes or [f"class {number}" for number in range(classes)]


def _mosaic(found: Neurons, shown: I64) -> F64:
    """Return the weights of the neurons ``shown`` as images side by side, NaN between them."""
    assert found.plane is not None
    height, width = found.plane
    across = min(_ACROSS, len(shown))
    mosaic = np.full((-(-len(shown) // across) * (height + 1), across * (width + 1)), np.nan)
    for place, neuron in enumerate(shown.tolist()):
        top, left = place // across * (height + 1), place % across * (width + 1)
        field = found.weights[neuron].reshape(-1, height, width).sum(axis=0)
        mosaic[top : top + height, left : left + width] = field
    return mosaic


def _draw_weights(axes: Axes, weights: F64) -> None:
    image = axes.imshow(weights, aspect="auto", cmap=SEQUENCE, vmin=0, interpolation="nearest")
    axes.figure.colorbar(image, ax=axes, label="weight", pad=0.01)
    axes.set(xlabel="input", ylabel="neuron", title="weights of each neuron")


def _draw_responses(axes: Axes, found: Neurons, names: list[str]) -> None:
    responses = found.mean[found.order]
    image = axes.imshow(responses.T, aspect="auto", cmap=SEQUENCE, vmin=0, interpolation="nearest")
    axes.figure.colorbar(image, ax=axes, label="spikes a sample", pad=0.01)
    axes.set_yticks(range(len(names)), names, fontsize=6)
    axes.set(xlabel="neuron", title="responses to each class")


def _draw_thresholds(axes: Axes, found: Neurons) -> None:
    axes.hist(found.theta, bins=20)
    axes.set(xlabel="theta / mV", ylabel="neurons", title="adapted thresholds")
    axes.grid(visible=True)


FIGURES = {
    "fields": RunFigure(
        "What each neuron has come to stand for: weights, responses to each class, thresholds",
        has_data, draw,
        (Numbers("Neurons that compete", "", COLUMNS, rows),
         Numbers("Responses by class", "_responses", RESPONSE_COLUMNS, response_rows)),
    ),
}  # fmt: skip
