"""The settings of a sweep, whatever keys vary: accuracy, bytes, and the difference to the best.

A setting is all finished runs that differ in their seeds alone. The best is that of the highest
mean validation accuracy, so that no test sample has a part in the choice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcfed.report.curves import Curves, group
from hpcfed.report.grid import paired_differences
from hpcfed.report.runs import Found
from hpcfed.report.statistics import (
    Mean,
    holm,
    limits_of,
    mean_over_seeds,
    paired_p_value,
)


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        label: its varying keys and their values.
        accuracy: after the last round, fraction.
        uplink_bytes: bytes sent up in all rounds, mean over seeds.
        is_best: whether it is the one that the others are compared with.
        difference: paired difference of accuracy to the best, fraction; none for the best itself.
        p_adjusted: of its paired t test, adjusted for all settings (Holm); NaN below three pairs.
    """

    label: str
    accuracy: Mean
    uplink_bytes: float
    is_best: bool
    difference: Mean
    p_adjusted: float


def settings(found: Found, metric: str) -> list[Setting]:
    """Return the settings of the finished runs, in the order of their values."""
    groups = group(found.finished())
    if not groups:
        return []
    best = max(groups, key=_validation)
    differences = [
        np.empty(0) if curves is best else paired_differences(curves.runs, best.runs, metric)
        for curves in groups
    ]
    adjusted = holm([paired_p_value(found) for found in differences])
    return [
        Setting(
            curves.label,
            mean_over_seeds([run.final(metric) for run in curves.runs], limits_of(metric)),
            float(np.mean([run.uplink_bytes()[-1] for run in curves.runs])),
            curves is best,
            mean_over_seeds(difference),
            p_value,
        )
        for curves, difference, p_value in zip(groups, differences, adjusted, strict=True)
    ]


def _validation(curves: Curves) -> float:
    mean = mean_over_seeds([run.final("validation_accuracy") for run in curves.runs]).mean
    return mean if mean == mean else -1.0
