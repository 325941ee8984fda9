"""Accuracy and loss over rounds and over uplink bytes, and what a target costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hpcfed.base.amounts import size_text
from hpcfed.errors import InputError
from hpcfed.report import curves
from hpcfed.report.figures.learning_curve import figure
from hpcfed.report.plots.asked import Asked, Lines, check_choice, written
from hpcfed.report.tables import Row

COLUMNS = {".csv": curves.COLUMNS, "_targets.csv": curves.TARGET_COLUMNS}
SPLITS = ("validation", "test")


@dataclass(frozen=True)
class Shown:
    """What of the runs is drawn.

    Attributes:
        by: keys that tell groups apart; None: all that vary.
        split: drawn where there are several groups.
        targets: accuracies on validation to reach, fractions.
    """

    by: Sequence[str] | None = None
    split: str = "test"
    targets: Sequence[float] = curves.TARGETS


def write(asked: Asked, shown: Shown) -> Lines:
    """Write the picture and both tables, and say what the targets cost."""
    check_choice("--split", shown.split, SPLITS)
    for target in shown.targets:
        if not 0 < target <= 1:
            raise InputError(f"--target {target:g}: give a fraction, above 0 and at most 1")
    picture = asked.picture("learning_curve")
    groups = _groups(asked, shown.by)
    costs = list(curves.target_rows(groups, shown.targets))
    if len(costs) <= len(shown.targets) * 3:
        yield from _said(costs)
    rows = {".csv": curves.rows(groups), "_targets.csv": costs}
    yield from written(picture, lambda: figure(groups, shown.split), COLUMNS, rows)


def _groups(asked: Asked, names: Sequence[str] | None) -> list[curves.Curves]:
    groups = []
    for path in asked.paths:
        found = asked.found(path)
        kept = found if len(found.runs) == 1 else found.finished()
        groups += curves.group(kept, names, str(path) if len(asked.paths) > 1 else "")
    return groups


def _said(costs: Sequence[Row]) -> Lines:
    for row in costs:
        if row["round"] is not None:
            cost = f"round {row['round']}, {size_text(row['uplink_bytes'])}"
            yield f"{row['run']}: {100 * row['target']:g} % on validation at {cost}"
