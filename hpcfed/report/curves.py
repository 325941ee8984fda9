"""Learning curves by group: mean and band over seeds, over rounds and over bytes; targets.

A group is all runs that differ in their seeds alone. R rounds, S seeds.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any  # Any: a table's values are text or numbers

import numpy as np
from numpy.typing import NDArray

from hpcfed.config.tree import Value
from hpcfed.errors import InputError
from hpcfed.report.grid import SEEDS, Replicate, replicate, sort_key, varying_keys
from hpcfed.report.runs import Found, Run, check_key
from hpcfed.report.statistics import FEWEST, T_INTERVAL, band_over_seeds, limits_of
from hpcfed.report.values import value_text

F64 = NDArray[np.float64]

QUANTITIES = (
    "validation_accuracy",
    "test_accuracy",
    "train_loss",
    "validation_loss",
    "test_loss",
)
TARGETS = (0.5, 0.6, 0.7, 0.8, 0.9)
HIGHEST_LOSS = 1e12  # a diverged run's loss would flatten the picture's axis beyond float range

COLUMNS = {
    "group": "the setting: varying keys and their values",
    "quantity": "validation_accuracy, test_accuracy (fractions); train_, validation_, test_loss "
    "(nat)",
    "round": "round, from 1",
    "uplink_bytes": "bytes sent up to here, mean over seeds",
    "num_runs": "seeds with a known value in this round",
    "mean": "mean over seeds",
    "low": f"lower end; {T_INTERVAL}",
    "high": "upper end of the same interval",
}
TARGET_COLUMNS = {
    "group": "the setting: varying keys and their values",
    "run": "the run",
    "seed": "its seed",
    "target": "accuracy to reach on validation, fraction",
    "round": "first evaluated round with at least this accuracy on validation; empty: not reached",
    "uplink_bytes": "bytes sent up to that round",
    "test_accuracy": "test accuracy in that round, only reported",
}


@dataclass(frozen=True)
class Curves:
    """One group's runs; ``uplink`` (R,) is the mean over seeds of the bytes sent so far.

    Where runs differ in length, R is the longest, and a run counts up to its last round.
    """

    label: str
    runs: tuple[Run, ...]
    uplink: F64

    def values(self, quantity: str) -> F64:
        """Return (S, R), NaN where not evaluated."""
        return _padded([run.rounds[quantity] for run in self.runs])

    def band(self, quantity: str) -> tuple[F64, F64, F64]:
        """Return mean, low and high (R,)."""
        return band_over_seeds(self.values(quantity), limits_of(quantity))


def group(found: Found, names: Sequence[str] | None = None, prefix: str = "") -> list[Curves]:
    """Return the groups of the runs that have a round; ``names`` None is all keys that vary.

    Raises InputError where ``names`` would mix runs that differ in more than their seeds, and for a
    key that no run has.
    """
    runs = [run for run in found.runs if run.num_rounds]
    varying = [key for key in varying_keys(runs) if key not in SEEDS]
    if names is not None and (mixed := [key for key in varying if key not in names]):
        raise InputError(
            f"runs that differ in {', '.join(mixed)} cannot be averaged as seeds of one setting; "
            "add these keys to --by, or choose one value of each with --where"
        )
    for key in names or ():
        check_key(key, [run.keys for run in runs])
    members: dict[tuple[Value, ...], dict[Replicate, Run]] = {}
    keys = varying if names is None else list(names)
    for run in runs:
        setting = tuple(run.keys.get(key) for key in keys)
        members.setdefault(setting, {}).setdefault(replicate(run.keys), run)
    ordered = sorted(members, key=lambda values: [sort_key(value) for value in values])
    return [_curves(prefix, keys, values, list(members[values].values())) for values in ordered]


def rows(groups: Sequence[Curves]) -> Iterator[dict[str, Any]]:
    """Yield the table of curves."""
    for curves in groups:
        for quantity in QUANTITIES:
            counts = np.isfinite(curves.values(quantity)).sum(0)
            mean, low, high = curves.band(quantity)
            for at in np.flatnonzero(counts).tolist():
                yield {
                    "group": curves.label,
                    "quantity": quantity,
                    "round": at + 1,
                    "uplink_bytes": float(curves.uplink[at]),
                    "num_runs": int(counts[at]),
                    "mean": float(mean[at]),
                    "low": float(low[at]),
                    "high": float(high[at]),
                }


def reached(run: Run, target: float) -> int | None:
    """Return the first round (from 1) with this accuracy on validation, None if there is none."""
    with np.errstate(invalid="ignore"):
        rounds = np.flatnonzero(run.rounds["validation_accuracy"] >= target)
    return int(rounds[0]) + 1 if len(rounds) else None


def target_rows(groups: Sequence[Curves], targets: Sequence[float]) -> Iterator[dict[str, Any]]:
    """Yield the table of rounds and bytes to each target."""
    for curves in groups:
        for run in curves.runs:
            for target in targets:
                at = reached(run, target)
                yield {
                    "group": curves.label,
                    "run": run.label,
                    "seed": run.seed,
                    "target": target,
                    "round": at,
                    "uplink_bytes": float(run.uplink_bytes()[at - 1]) if at else math.nan,
                    "test_accuracy": float(run.rounds["test_accuracy"][at - 1]) if at else math.nan,
                }


def ended_early(runs: Sequence[Run]) -> list[str]:
    """Return how many runs have ended before their last round, by why, in words."""
    verdicts = Counter(run.verdict for run in runs if run.verdict)
    return [f"{number} ended {verdict}" for verdict, number in sorted(verdicts.items())]


def has_band(curves: Curves) -> bool:
    """Say whether there are seeds enough for a band."""
    return len(curves.runs) >= FEWEST


def _curves(prefix: str, keys: list[str], values: tuple[Value, ...], runs: list[Run]) -> Curves:
    parts = [f"{k} = {value_text(v)}" for k, v in zip(keys, values, strict=True)]
    label = ": ".join(part for part in (prefix, ", ".join(parts)) if part)
    with np.errstate(invalid="ignore"):
        uplink = band_over_seeds(_padded([run.uplink_bytes() for run in runs]))[0]
    return Curves(label or str(runs[0].keys.get("name", runs[0].label)), tuple(runs), uplink)


def _padded(rows: Sequence[F64]) -> F64:
    longest = max(len(row) for row in rows)
    padded = np.full((len(rows), longest), np.nan)
    for row, values in zip(padded, rows, strict=True):
        row[: len(values)] = values
    padded[~(np.abs(padded) < HIGHEST_LOSS)] = np.nan
    return padded
