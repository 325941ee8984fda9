"""Rows of paired differences: after the last round, and at equal uplink bytes.

Each row has its interval, effect size and test, adjusted for all rows of its place, and how many
more pairs would decide it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hpcfed.report.power import MOST_PAIRS, POWER, more_pairs
from hpcfed.report.runs import Run
from hpcfed.report.statistics import (
    PAIRED_INTERVAL,
    SIGNIFICANT,
    effect_size,
    holm,
    limits_of,
    mean_over_seeds,
    paired_p_value,
)

END, EQUAL_BYTES = "end", "equal bytes"
COLUMNS = {
    "setting": "keys that vary within the sides, and their values; of several settings the first "
    "side",
    "at": f"{END}: after the last round; {EQUAL_BYTES}: in the last evaluated round until which a "
    "run has sent up at most so many bytes",
    "bytes": "these bytes: what was asked for, else in each pair what the cheaper run sent in all, "
    "mean over pairs; empty at the end",
    "num_pairs": "repetitions (seeds, and folds) that both sides have, with a known value",
    "first": "mean of the first side over these pairs",
    "second": "mean of the second side over these pairs",
    "difference": "mean of first minus second, in pairs",
    "low": f"lower end; {PAIRED_INTERVAL}",
    "high": "upper end of the same interval",
    "effect_size": "Cohen's d_z: mean over standard deviation of the differences",
    "p_value": "two-sided paired t test",
    "p_adjusted": "the same, adjusted for all rows of this table with the same `at` (Holm)",
    "more_seeds": "further pairs with which the test would decide with a chance of "
    f"{POWER:g}, at the effect seen and level {SIGNIFICANT} / rows; 0: decided; inf: more than "
    f"{MOST_PAIRS} in all",
    "first_bytes": "bytes that the first side has sent up by then, mean over these pairs",
    "second_bytes": "the same of the second side",
    "quantity": "what is compared; accuracies are fractions, losses nat",
}
Pairs = Sequence[tuple[Run, Run]]


@dataclass(frozen=True)
class Comparison:
    """One row, as COLUMNS says; NaN where there are fewer than three pairs."""

    setting: str
    at: str
    bytes: float
    num_pairs: int
    first: float
    second: float
    difference: float
    low: float
    high: float
    effect_size: float
    p_value: float
    first_bytes: float
    second_bytes: float
    p_adjusted: float = math.nan
    more_seeds: float = math.nan

    @property
    def decided(self) -> bool:
        """Whether the difference is more than chance, by the adjusted p-value."""
        return self.p_adjusted < SIGNIFICANT


def paired_rows(
    pairs: Mapping[str, Pairs], quantity: str, budget_bytes: float | None
) -> tuple[tuple[Comparison, ...], int]:
    """Return the rows that have a pair, and how many have none at equal bytes.

    Rows at equal bytes are those that would not be those at the end.
    """
    ends = [_at_end(setting, some, quantity) for setting, some in pairs.items() if some]
    known = [line for line in ends if line.num_pairs]
    equal = [_at_bytes(line.setting, pairs[line.setting], quantity, budget_bytes) for line in known]
    other = [line for line in equal if line is not None]
    paired = [line for line in other if line.num_pairs]
    return (*_adjusted(known), *_adjusted(paired)), len(other) - len(paired)


def reached(run: Run, quantity: str, budget_bytes: float) -> tuple[float, float]:
    """Return the quantity in the last evaluated round until which no more bytes were sent up.

    And the bytes of this round; NaN and 0 where the first one has sent more.
    """
    column, sent = run.rounds[quantity], run.uplink_bytes()
    known = np.flatnonzero(np.isfinite(column) & (sent <= budget_bytes))
    return (float(column[known[-1]]), float(sent[known[-1]])) if len(known) else (math.nan, 0.0)


def _at_end(setting: str, pairs: Pairs, quantity: str) -> Comparison:
    sides = [
        [(run.final(quantity), _sent(run)) for run in side] for side in zip(*pairs, strict=True)
    ]
    return _line(setting, (END, math.nan), quantity, sides)


def _at_bytes(
    setting: str, pairs: Pairs, quantity: str, budget_bytes: float | None
) -> Comparison | None:
    """Return the row at equal bytes, None where no run has sent more."""
    sent = np.array([[_sent(run) for run in pair] for pair in pairs])  # (pairs, 2)
    budgets = sent.min(axis=1) if budget_bytes is None else np.full(len(pairs), budget_bytes)
    if (sent.max(axis=1) <= budgets).all():
        return None
    sides = [
        [reached(run, quantity, budget) for run, budget in zip(side, budgets, strict=True)]
        for side in zip(*pairs, strict=True)
    ]
    return _line(setting, (EQUAL_BYTES, float(budgets.mean())), quantity, sides)


def _line(
    setting: str,
    place: tuple[str, float],
    quantity: str,
    sides: Sequence[Sequence[tuple[float, float]]],
) -> Comparison:
    """Return a row of the pairs of which both values are known; sides hold values and bytes."""
    both = np.array(sides)  # (2, pairs, 2)
    both = both[:, np.isfinite(both[..., 0]).all(axis=0)]
    differences = both[0, :, 0] - both[1, :, 0]
    difference = mean_over_seeds(differences, limits_of(quantity, difference=True))
    (first, first_bytes), (second, second_bytes) = (
        [mean_over_seeds(column).mean for column in side.T] for side in both
    )
    return Comparison(
        setting=setting,
        at=place[0],
        bytes=place[1],
        num_pairs=len(differences),
        first=first,
        second=second,
        difference=difference.mean,
        low=difference.low,
        high=difference.high,
        effect_size=effect_size(differences),
        p_value=paired_p_value(differences),
        first_bytes=first_bytes,
        second_bytes=second_bytes,
    )


def _adjusted(lines: Sequence[Comparison]) -> Iterator[Comparison]:
    """Yield the rows of one place with their p-values adjusted, and what would decide them."""
    for line, p in zip(lines, holm([line.p_value for line in lines]), strict=True):
        more: float = 0
        if not p < SIGNIFICANT:  # the level of Holm's first step decides whatever the other rows do
            more = more_pairs(line.effect_size, line.num_pairs, SIGNIFICANT / len(lines))
        yield replace(line, p_adjusted=p, more_seeds=more)


def _sent(run: Run) -> float:
    return float(run.uplink_bytes()[-1])
