"""The settings of a sweep, whatever keys vary: accuracy, bytes, and the difference to one of them.

A setting is all finished runs that differ in their seeds alone. Where runs were tested the others
are compared with the best on validation; where they were not, with the first: numbers that have
chosen a setting cannot be compared with it as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpcfed.report.curves import Curves, group
from hpcfed.report.grid import paired_differences
from hpcfed.report.runs import Found
from hpcfed.report.statistics import (
    DIFFERENCE,
    Mean,
    holm,
    limits_of,
    mean_over_seeds,
    paired_p_value,
)

VALIDATION = "validation_accuracy"


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        label: its varying keys and their values.
        accuracy: after the last round, fraction.
        uplink_bytes: bytes sent up in all rounds, mean over seeds.
        is_reference: whether it is the one that the others are compared with.
        difference: paired difference of accuracy to the reference, fraction; none for itself.
        p_adjusted: of its paired t test, adjusted for all settings (Holm); NaN below three pairs.
    """

    label: str
    accuracy: Mean
    uplink_bytes: float
    is_reference: bool
    difference: Mean
    p_adjusted: float


def settings(found: Found, metric: str) -> list[Setting]:
    """Return the settings of the finished runs, in the order of their values."""
    groups = group(found.finished())
    if not groups:
        return []
    reference = reference_of(groups, metric)
    differences = [
        np.empty(0)
        if curves is reference
        else paired_differences(curves.runs, reference.runs, metric)
        for curves in groups
    ]
    adjusted = holm([paired_p_value(found) for found in differences])
    return [
        Setting(
            curves.label,
            mean_over_seeds([run.final(metric) for run in curves.runs], limits_of(metric)),
            float(np.mean([run.uplink_bytes()[-1] for run in curves.runs])),
            curves is reference,
            mean_over_seeds(difference, DIFFERENCE),
            p_value,
        )
        for curves, difference, p_value in zip(groups, differences, adjusted, strict=True)
    ]


def reference_of(groups: Sequence[Curves], metric: str) -> Curves:
    """Return the setting that the others are compared with by ``metric``."""
    return groups[0] if metric.startswith("validation_") else max(groups, key=_validation)


def _validation(curves: Curves) -> float:
    mean = mean_over_seeds([run.final(VALIDATION) for run in curves.runs]).mean
    return mean if mean == mean else -1.0
