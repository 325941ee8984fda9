"""Settings against each other, paired by seeds: two sides, or several beside a reference.

Two sides (sweeps, or settings of one) give a row for each setting that both have; several settings
a row for each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any  # Any: a table's values are text or numbers

import numpy as np

from hpcfed.config.tree import Value
from hpcfed.errors import InputError
from hpcfed.report.curves import Curves
from hpcfed.report.figures.paired import END, Comparison, Pairs, paired_rows
from hpcfed.report.grid import SEEDS, Replicate, replicate, sort_key, varying_keys
from hpcfed.report.runs import Run
from hpcfed.report.values import value_text

QUANTITIES = ("test_accuracy", "validation_accuracy", "test_loss", "validation_loss", "train_loss")


@dataclass(frozen=True)
class Compared:
    """All rows, those at the end first.

    Attributes:
        quantity: what is compared.
        names: of the two sides.
        lines: the rows.
        num_single: runs that found no partner.
        num_unreached: rows without a value at equal bytes: a first evaluated round has sent more.
    """

    quantity: str
    names: tuple[str, str]
    lines: tuple[Comparison, ...]
    num_single: int
    num_unreached: int

    def at(self, place: str) -> list[Comparison]:
        """Return the rows at the end, or at equal bytes."""
        return [line for line in self.lines if line.at == place]


def compare(
    first: Sequence[Run],
    second: Sequence[Run],
    quantity: str,
    names: tuple[str, str],
    budget_bytes: float | None = None,
) -> Compared:
    """Pair runs that agree in their seeds and in every key that varies within a side.

    Keys that differ between the sides but are constant in each are what is compared. Raises
    InputError if there is no pair.
    """
    keys = [k for k in dict.fromkeys((*varying_keys(first), *varying_keys(second)))
            if k not in SEEDS]  # fmt: skip
    sides = [_by_setting(runs, keys, quantity) for runs in (first, second)]
    shared = sorted(sides[0].keys() & sides[1].keys(), key=lambda s: [sort_key(v) for v in s])
    pairs = {_text(keys, s): _paired(sides[0][s], sides[1][s]) for s in shared}
    lines, num_unreached = paired_rows(pairs, quantity, budget_bytes)
    if not lines:
        raise InputError(
            f"{names[0]} and {names[1]} have no two finished runs of one seed with a {quantity}, "
            f"equal in {', '.join(keys) or 'all that varies'}; nothing can be paired"
        )
    counted = sum(line.num_pairs for line in lines if line.at == END)
    num_single = len(first) + len(second) - 2 * counted
    return Compared(quantity, names, lines, num_single, num_unreached)


def compare_settings(
    groups: Sequence[Curves], reference: Curves, quantity: str, budget_bytes: float | None = None
) -> Compared:
    """Pair the runs of each setting with those of the reference that agree in their seeds.

    Raises InputError if there is no pair.
    """
    others = [group for group in groups if group is not reference]
    mine, theirs = (
        [_by_setting(group.runs, (), quantity).get((), {}) for group in some]
        for some in (others, [reference])
    )
    pairs = {o.label: _paired(runs, theirs[0]) for o, runs in zip(others, mine, strict=True)}
    lines, num_unreached = paired_rows(pairs, quantity, budget_bytes)
    if not lines:
        raise InputError(
            f"no setting has a finished run with a {quantity} and a seed of {reference.label}; "
            "nothing can be paired"
        )
    counted = sum(line.num_pairs for line in lines if line.at == END)
    num_single = sum(len(group.runs) for group in others) - counted
    names = "the setting", reference.label
    return Compared(quantity, names, lines, num_single, num_unreached)


def rows(found: Compared) -> Iterator[dict[str, Any]]:
    """Yield the table."""
    for line in found.lines:
        yield vars(line) | {"quantity": found.quantity}


def _by_setting(
    runs: Iterable[Run], keys: Sequence[str], quantity: str
) -> dict[tuple[Value, ...], dict[Replicate, Run]]:
    found: dict[tuple[Value, ...], dict[Replicate, Run]] = {}
    for run in runs:
        if np.isfinite(run.rounds[quantity]).any():
            setting = tuple(run.keys.get(key) for key in keys)
            found.setdefault(setting, {}).setdefault(replicate(run.keys), run)
    return found


def _paired(first: Mapping[Replicate, Run], second: Mapping[Replicate, Run]) -> Pairs:
    return [(run, second[at]) for at, run in first.items() if at in second]


def _text(keys: Sequence[str], setting: Sequence[Value]) -> str:
    pairs = zip(keys, setting, strict=True)
    return ", ".join(f"{key} = {value_text(value)}" for key, value in pairs) or "all"
