"""Reliability: how often the network is right where it says that it is so sure.

Where answers are stored the confidence is cut into as many bins as one likes; where not, there are
the histograms of the last evaluation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any  # Any: a table's values are text or numbers

import numpy as np

from hpcfed.base.amounts import percent
from hpcfed.errors import InputError
from hpcfed.report.drawing import COLOURS, Look, new_figure, note
from hpcfed.report.figures.uncertainty.scores import (
    DRAWS,
    PERCENTILE,
    Bins,
    bins_of,
    brier_score,
    equal_mass_error,
    negative_log_likelihood,
    noise_floor,
)
from hpcfed.report.figures.view import KNOWN, NUM_BINS, View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = {
    "low": "lower edge of a bin of the confidence, which lies above it",
    "high": "upper edge",
    "samples": "samples in the bin",
    "correct": "those of them that are right",
    "confidence": "their mean confidence; empty: no samples",
    "accuracy": "fraction of them that is right",
    "gap": "accuracy minus confidence: below 0 over-confident",
}
SCORE_COLUMNS = {
    "score": "samples, accuracy; overconfidence: mean confidence minus accuracy; ece, rmsce, mce: "
    "mean, root mean square and maximum of the gaps; ece_by_chance: median, and 95th percentile, "
    "of a perfectly calibrated model with these confidences; equal_mass_ece: over bins of equally "
    "many samples; nll: mean -log of the right class's probability, nat; brier: 0 to 2; map_: of "
    "the most probable weights, beside a committee, ece over 15 bins",
    "value": "its value",
}
OVER, UNDER = COLOURS[1], COLOURS[0]
_MOST_NUMBERS = 20  # bins in which a number can be read
_MAP = {"accuracy": "accuracy", "ece": "calibration_error", "nll": "loss", "brier": "brier_score"}


@dataclass(frozen=True)
class Reliability:
    """What is told of a run: bins and scores; scores that are not known are NaN."""

    bins: Bins
    chance: tuple[float, float]
    equal_mass_error: float
    nll: float
    brier: float


def has_data(view: View) -> bool:
    """Say whether there are confidences of classes."""
    known = view.holds(KNOWN) or np.any(view.record.evaluation.get("confidence_samples", 0))
    return bool(known) and not view.has_targets


def reliability(view: View) -> Reliability:
    """Return what is told of the run. Raises InputError where there is nothing to tell of."""
    if view.has_targets:
        raise InputError(f"{view.name}: reliability is of classes, and samples have targets")
    if view.holds(KNOWN):
        return _of_answers(view)
    if view.num_bins is not None:
        view.answers()  # there are none, which is what it says
    return _of_histograms(view)


def _of_answers(view: View) -> Reliability:
    answers, num_bins = view.answers(), view.num_bins or NUM_BINS
    confidence, correct = answers.confidence, answers.correct
    return Reliability(
        bins_of(confidence, correct, num_bins),
        noise_floor(confidence, num_bins),
        equal_mass_error(confidence, correct, num_bins),
        negative_log_likelihood(answers.probability, answers.label),
        brier_score(answers.probability, answers.label),
    )


def _of_histograms(view: View) -> Reliability:
    evaluation = view.record.evaluation
    if not has_data(view):
        raise InputError(f"{view.name}: no evaluation has given confidences")
    bins = Bins(
        evaluation["confidence_samples"],
        evaluation["confidence_correct"],
        evaluation["mean_confidence"],
    )
    filled = bins.count > 0
    confidence = np.repeat(bins.confidence[filled], bins.count[filled])
    chance = noise_floor(confidence, len(bins.count))
    scores = (_column(view, name) for name in ("loss", "brier_score"))
    return Reliability(bins, chance, math.nan, *scores)


def rows(view: View) -> Iterator[dict[str, Any]]:
    """Yield the bins."""
    bins = reliability(view).bins
    for place, (low, high) in enumerate(zip(bins.edges[:-1], bins.edges[1:], strict=True)):
        yield {
            "low": float(low),
            "high": float(high),
            "samples": int(bins.count[place]),
            "correct": int(bins.correct[place]),
            "confidence": float(bins.confidence[place]),
            "accuracy": float(bins.accuracy[place]),
            "gap": float(bins.gaps[place]),
        }


def score_rows(view: View) -> Iterator[dict[str, Any]]:
    """Yield the scores that are known."""
    found = reliability(view)
    bins = found.bins
    scores = {
        "samples": bins.num_samples,
        "accuracy": bins.mean_accuracy,
        "overconfidence": bins.overconfidence,
        "ece": bins.error,
        "rmsce": bins.rms_error,
        "mce": bins.largest_error,
        "ece_by_chance": found.chance[0],
        f"ece_by_chance_{PERCENTILE}": found.chance[1],
        "equal_mass_ece": found.equal_mass_error,
        "nll": found.nll,
        "brier": found.brier,
        **{f"map_{name}": _column(view, f"map_{column}") for name, column in _MAP.items()},
    }
    for name, value in scores.items():
        if not math.isnan(value):
            yield {"score": name, "value": value}


def draw(view: View) -> Figure:
    """Return the figure. Raises InputError where there is nothing to tell of."""
    found = reliability(view)
    figure = new_figure(4.6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    _draw_gaps(above, found.bins)
    _draw_counts(below, found.bins)
    above.set_title(_title(found))
    note(figure, _how(view, found))
    return figure


def _draw_gaps(axes: Axes, bins: Bins) -> None:
    axes.plot([0, 1], [0, 1], color="black", lw=0.8, label="accuracy = confidence")
    width, x = 0.5 / len(bins.count), bins.confidence
    for name, colour, side in (("over-confident", OVER, bins.gaps < 0),
                               ("under-confident", UNDER, bins.gaps >= 0)):  # fmt: skip
        if side.any():
            axes.bar(x[side], bins.gaps[side], width, x[side], color=colour, alpha=0.35, label=name)
            axes.plot(x[side], bins.accuracy[side], "o", color=colour, clip_on=False)
    axes.set(ylabel="accuracy", xlim=(0, 1), ylim=(-0.03, 1.03))
    axes.legend(loc="best")
    axes.grid(visible=True)


def _draw_counts(axes: Axes, bins: Bins) -> None:
    middles, width = (bins.edges[:-1] + bins.edges[1:]) / 2, 0.9 / len(bins.count)
    axes.bar(middles, bins.count, width, color="0.6")
    size: Look = {"ha": "center", "va": "bottom", "fontsize": 5}
    for x, count in zip(middles, bins.count, strict=True):
        if count and len(bins.count) <= _MOST_NUMBERS:
            axes.text(x, count, str(count), **size)
    axes.margins(y=0.2)
    axes.set(xlabel="confidence", ylabel="samples")


def _title(found: Reliability) -> str:
    bins = found.bins
    sign = "over" if bins.overconfidence > 0 else "under"
    by = percent(abs(bins.overconfidence))
    median, high = found.chance
    return (
        f"ECE {percent(bins.error)}, {sign}-confident by {by}\n"
        f"chance alone: ECE {percent(median)}, up to {percent(high)}"
    )


def _how(view: View, found: Reliability) -> str:
    bins, split = found.bins, view.record.evaluation.get("split", "")
    scores = {"NLL": found.nll, "Brier score": found.brier}
    texts = [f"accuracy {percent(bins.mean_accuracy)}"]
    texts += [f"{name} {value:.3f}" for name, value in scores.items() if not math.isnan(value)]
    if not math.isnan(found.equal_mass_error):
        texts.append(f"ECE of equal-mass bins {percent(found.equal_mass_error)}")
    return (
        f"{bins.num_samples} {split} samples, {len(bins.count)} bins: {', '.join(texts)}. Dots: "
        "accuracy of a bin, at its mean confidence. Chance: median, and "
        f"{PERCENTILE}th percentile, of a perfectly calibrated model of these confidences, "
        f"{DRAWS} draws."
    )


def _column(view: View, name: str) -> float:
    """Return a column of the last evaluation; NaN where there is none."""
    evaluation = view.record.evaluation
    if not evaluation:
        return math.nan
    column = view.record.log.rounds[f"{evaluation['split']}_{name}"]
    return float(column[int(evaluation["round"]) - 1])
