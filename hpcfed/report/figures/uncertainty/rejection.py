"""Rejection: accuracy of the samples that are left when the most uncertain ones are put aside.

An uncertainty is worth something where accuracy rises; ideally what is wrong goes first. Among
samples of equal uncertainty each is as likely to go as any other. n samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any  # Any: a table's values are text or numbers

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.amounts import percent
from hpcfed.errors import InputError
from hpcfed.report.drawing import COLOURS, new_figure, note
from hpcfed.report.figures.view import ENTROPY, INFORMATION, KNOWN, Answers, View

if TYPE_CHECKING:
    from matplotlib.figure import Figure

F64 = NDArray[np.float64]

COLUMNS = {
    "rejected": "part of the samples that is put aside",
    "left": "samples that are left",
    "by_entropy": "fraction of these that is right, the largest entropies put aside",
    "by_mutual_information": "the same by mutual information; empty: no committee",
    "ideal": "the same, what is wrong put aside first",
}
_STEPS = 100


def has_data(view: View) -> bool:
    """Say whether there are answers about classes."""
    return view.holds(KNOWN) and not view.has_targets


def accuracy_left(uncertainty: F64, correct: NDArray[np.bool_]) -> F64:
    """Return the expected accuracy (n,) of what is left when 0 to n - 1 samples are put aside.

    ``uncertainty`` (n,): the largest goes first.
    """
    _, group, sizes = np.unique(-uncertainty, return_inverse=True, return_counts=True)
    goes = np.repeat(np.bincount(group, correct) / sizes, sizes)  # right ones, in expectation
    left = correct.sum() - np.cumsum(goes) + goes
    return np.asarray(left / np.arange(len(correct), 0, -1))


def curves(answers: Answers) -> dict[str, F64]:
    """Return accuracy over the number put aside (n,): by each uncertainty, and the ideal one."""
    found = {
        f"by_{name}": accuracy_left(values, answers.correct)
        for name, values in answers.uncertainty.items()
    }
    return {**found, "ideal": accuracy_left(np.where(answers.correct, 0.0, 1.0), answers.correct)}


def rows(view: View) -> Iterator[dict[str, Any]]:
    """Yield the curves, by hundredths of the samples."""
    found = curves(_answers(view))
    for count in _counts(len(found["ideal"])):
        yield {
            "rejected": count / len(found["ideal"]),
            "left": len(found["ideal"]) - int(count),
            **{name: float(curve[count]) for name, curve in found.items()},
        }


def draw(view: View) -> Figure:
    """Return the figure. Raises InputError without answers."""
    found = curves(_answers(view))
    num_samples = len(found["ideal"])
    at = _counts(num_samples)
    figure = new_figure(2.7)
    axes = figure.subplots()
    axes.plot(at / num_samples, 100 * found["ideal"][at], ":", color="black", label="ideal")
    looks = {f"by_{ENTROPY}": (COLOURS[0], "-"), f"by_{INFORMATION}": (COLOURS[1], "--")}
    for name, (colour, style) in looks.items():
        if name in found:
            label = f"{name.replace('_', ' ')} (mean {percent(float(found[name].mean()))})"
            axes.plot(at / num_samples, 100 * found[name][at], style, color=colour, label=label)
    axes.axhline(100 * found["ideal"][0], color="0.6", lw=0.8, label="without rejection")
    axes.set(xlabel="part rejected, most uncertain first", ylabel="accuracy of the rest / %",
             xlim=(0, 1))  # fmt: skip
    axes.legend(loc="best")
    axes.grid(visible=True)
    note(figure, f"{num_samples} samples, {percent(float(found['ideal'][0]))} right without "
                 "rejection. Mean: over all parts rejected.")  # fmt: skip
    return figure


def _answers(view: View) -> Answers:
    if view.has_targets:
        raise InputError(f"{view.name}: rejection is by classes, and samples have targets")
    return view.answers()


def _counts(num_samples: int) -> NDArray[np.int64]:
    """Return how many are put aside, from none on: each hundredth of the samples once."""
    return np.unique(np.arange(_STEPS) * num_samples // _STEPS)
