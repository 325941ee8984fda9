"""The regression: what a network says of each point, and how far the members of a committee differ.

The estimate is the probability of the second class, which a target from 0 to 1 tells; the band is 2
standard deviations over the members, both ways. Coordinate and target are scaled to 0..1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any  # Any: a table's values are text or numbers

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.amounts import percent
from hpcfed.errors import InputError
from hpcfed.report.drawing import COLOURS, new_figure
from hpcfed.report.figures.view import KNOWN, View

if TYPE_CHECKING:
    from matplotlib.figure import Figure

F64 = NDArray[np.float64]

COLUMNS = {
    "x": "coordinate of a point, scaled to 0..1",
    "target": "its value, scaled to 0..1",
    "estimate": "what the network says, or the mean over the committee's members",
    "deviation": "standard deviation over the members; empty: no committee",
    "low": "lower end of the band: the estimate minus 2 standard deviations",
    "high": "upper end of the band",
}
DEVIATIONS = 2


@dataclass(frozen=True)
class Band:
    """The curve by x, ascending: (n,) each; ``deviation`` is NaN without a committee."""

    x: F64
    target: F64
    estimate: F64
    deviation: F64

    @property
    def error(self) -> float:
        """Root mean squared error."""
        return float(np.sqrt(np.square(self.estimate - self.target).mean()))

    @property
    def width(self) -> float:
        """Mean width of the band, from its lower to its upper end."""
        return float(2 * DEVIATIONS * self.deviation.mean())

    @property
    def share_within(self) -> float:
        """Part of the targets that lies within the band."""
        away = np.abs(self.target - self.estimate)
        return float((away <= DEVIATIONS * self.deviation).mean())


def has_data(view: View) -> bool:
    """Say whether there are answers to points of a line that have targets."""
    stored = view.record.answers.get(KNOWN, {})
    points = stored.get("coordinate")
    return "target" in stored and points is not None and points.shape[1] == 1


def band(view: View) -> Band:
    """Return the curve. Raises InputError where points have no targets."""
    answers = view.answers()
    if not has_data(view) or answers.target is None or answers.coordinate is None:
        raise InputError(f"{view.name}: a band is of points of a line that have targets")
    order = np.argsort(answers.coordinate[:, 0], kind="stable")
    unknown = np.full(len(order), np.nan)
    deviation = unknown if answers.deviation is None else answers.deviation[order, 1]
    return Band(
        answers.coordinate[order, 0],
        answers.target[order],
        answers.probability[order, 1],
        deviation,
    )


def rows(view: View) -> Iterator[dict[str, Any]]:
    """Yield the points."""
    found = band(view)
    for x, target, estimate, deviation in zip(
        found.x.tolist(), found.target.tolist(), found.estimate.tolist(),
        found.deviation.tolist(), strict=True,
    ):  # fmt: skip
        yield {
            "x": x,
            "target": target,
            "estimate": estimate,
            "deviation": deviation,
            "low": estimate - DEVIATIONS * deviation,
            "high": estimate + DEVIATIONS * deviation,
        }


def draw(view: View) -> Figure:
    """Return the figure. Raises InputError where points have no targets."""
    found = band(view)
    figure = new_figure(2.7)
    axes = figure.subplots()
    title = f"root mean squared error {found.error:.3f}"
    if np.isfinite(found.width):
        half = DEVIATIONS * found.deviation
        axes.fill_between(
            found.x,
            found.estimate - half,
            found.estimate + half,
            lw=0,
            alpha=0.25,
            color=COLOURS[0],
            label=f"\u00b1 {DEVIATIONS} standard deviations",
        )
        within = percent(found.share_within)
        title += f"\nmean width {found.width:.3f}, {within} of targets within"
    name = "estimate" if np.isnan(found.width) else "mean of the committee"
    axes.plot(found.x, found.estimate, color=COLOURS[0], label=name)
    axes.plot(found.x, found.target, "--", color=COLOURS[1], label="target")
    axes.set(xlabel="x, scaled", ylabel="y, scaled", xlim=(found.x[0], found.x[-1]))
    axes.set_title(title)
    axes.legend()
    axes.grid(visible=True)
    return figure
