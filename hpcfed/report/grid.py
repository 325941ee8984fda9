"""Runs as a grid: which keys vary, and the cells of mask p and drop q, with their seeds.

K clients, P parameters, p mask probability, q drop probability: the chances that something is not
sent. A round's expected uplink is K (1 - q) (1 - p) P values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcfed.config.tree import Value
from hpcfed.records.planned import ForeseenRun
from hpcfed.report.runs import SEED, Found, Run
from hpcfed.report.values import value_text

MASK, DROP = "uplink.mask_probability", "participation.drop_probability"
# which repetition a run is: its seeds, and which fold is its test
SEEDS = (SEED, "data.split_seed", "data.generated.seed", "partition.seed", "data.fold")
F64 = NDArray[np.float64]
Group = tuple[tuple[str, Value], ...]
Replicate = tuple[Value, ...]


@dataclass(frozen=True)
class Cell:
    """All runs of one setting: they differ in their seeds alone.

    Attributes:
        group: the other varying keys and their values.
        mask: p.
        drop: q, one value or one per client.
        runs: one finished run a repetition, by seed.
        num_planned: runs that the grid foresees here, seen or not.
    """

    group: Group
    mask: float
    drop: Value
    runs: tuple[Run, ...]
    num_planned: int

    @property
    def budget(self) -> float:
        """Expected values sent up in a round, K (1 - q) (1 - p) P; NaN without a run."""
        budgets = {
            expected_values(self.mask, self.drop, r.columns.num_clients, r.columns.num_params)
            for r in self.runs
        }
        return budgets.pop() if len(budgets) == 1 else float("nan")

    @property
    def label(self) -> str:
        """The setting in words."""
        return f"p = {self.mask:g}, q = {drop_text(self.drop)}"


def replicate(keys: Mapping[str, Value]) -> Replicate:
    """Return which repetition of its setting a configuration is: the values of all SEEDS.

    Runs are repetitions of one setting where they differ in these keys alone, and a pair where
    they agree in them.
    """
    return tuple(keys.get(name) for name in SEEDS)


def paired_differences(first: Sequence[Run], second: Sequence[Run], quantity: str) -> F64:
    """Return first minus second after the last round, (n,), of runs of equal repetition.

    Pairs of which one value is not known are left out.
    """
    one, other = ({replicate(r.keys): r.final(quantity) for r in runs} for runs in (first, second))
    differences = np.array([one[at] - other[at] for at in one if at in other], np.float64)
    return differences[np.isfinite(differences)]


def varying_keys(items: Iterable[Run | ForeseenRun]) -> tuple[str, ...]:
    """Return the keys that differ between runs, in the order of the configuration; never name."""
    seen: dict[str, set[Value]] = {}
    keys = [item.keys for item in items]
    names = dict.fromkeys(name for k in keys for name in k)
    for name in names:
        seen[name] = {k.get(name) for k in keys}
    return tuple(name for name in names if len(seen[name]) > 1 and name != "name")


def group_keys(items: Sequence[Run | ForeseenRun]) -> tuple[str, ...]:
    """Return what varies besides p, q and seeds, and does not follow from p and q alone.

    A key that moves together with the mask (say, uplink.mask) tells nothing new.
    """
    settings = {(mask_of(i.keys), drop_of(i.keys)) for i in items}
    others = [k for k in varying_keys(items) if k not in (MASK, DROP, *SEEDS)]

    def is_new(key: str) -> bool:
        pairs = {(mask_of(i.keys), drop_of(i.keys), i.keys.get(key)) for i in items}
        return len(pairs) > len(settings)

    return tuple(key for key in others if is_new(key))


def mask_of(keys: Mapping[str, Value]) -> float:
    """Return p, 0 where nothing is masked."""
    return 0.0 if keys.get("uplink.mask") == "none" else float(keys.get(MASK, 0.0))


def drop_of(keys: Mapping[str, Value]) -> Value:
    """Return q: one number, or one per client."""
    value = keys.get(DROP, 0.0)
    return value if isinstance(value, tuple) else float(value)


def mean_drop(drop: Value) -> float:
    """Return q, the mean over clients where each has its own."""
    return float(np.mean(drop))


def drop_text(drop: Value) -> str:
    """Return q in words."""
    return f"{mean_drop(drop):g}" + (" (by client)" if isinstance(drop, tuple) else "")


def expected_values(mask: float, drop: Value, num_clients: int, num_params: int) -> float:
    """Return K (1 - q) (1 - p) P, the values expected to be sent up in a round."""
    return num_clients * (1 - mean_drop(drop)) * (1 - mask) * num_params


def cells(found: Found) -> list[Cell]:
    """Return the grid's cells, sorted by group, q and p; cells without a run included.

    Where a manifest tells what was planned, that is the grid; elsewhere it is the product of the
    values seen, in each group. Two runs of one repetition in a cell count once.
    """
    finished = found.finished().runs
    items: list[Run | ForeseenRun] = [*found.runs, *found.planned]
    names = group_keys(items)

    def place(keys: Mapping[str, Value]) -> tuple[Group, float, Value]:
        return tuple((n, keys.get(n)) for n in names), mask_of(keys), drop_of(keys)

    runs: dict[tuple[Group, float, Value], dict[Replicate, Run]] = {}
    foreseen: dict[tuple[Group, float, Value], set[Replicate]] = {}
    for item in items:
        foreseen.setdefault(place(item.keys), set()).add(replicate(item.keys))
    for run in finished:
        runs.setdefault(place(run.keys), {}).setdefault(replicate(run.keys), run)
    if not found.planned:
        for group in {at[0] for at in foreseen}:
            for q in {at[2] for at in foreseen if at[0] == group}:
                for p in {at[1] for at in foreseen if at[0] == group}:
                    foreseen.setdefault((group, p, q), set())
    found_cells = [
        Cell(*at, _by_seed(runs.get(at, {})), len(seeds)) for at, seeds in foreseen.items()
    ]
    return sorted(found_cells, key=_order)


def by_group(found_cells: Sequence[Cell]) -> dict[Group, list[Cell]]:
    """Return the cells of each group, in order."""
    groups: dict[Group, list[Cell]] = {}
    for cell in found_cells:
        groups.setdefault(cell.group, []).append(cell)
    return groups


def group_text(group: Group) -> str:
    """Return a group's keys and values in words."""
    return ", ".join(f"{key} = {value_text(value)}" for key, value in group)


def sort_key(value: Value) -> tuple[int, float, str]:
    """Order values of any kind: numbers first, by size."""
    if isinstance(value, int | float):
        return 0, value, ""  # as it is: a float does not tell large seeds apart
    return 1, 0.0, value_text(value)


def _order(cell: Cell) -> tuple[object, ...]:
    groups = [sort_key(value) for _, value in cell.group]
    return groups, mean_drop(cell.drop), str(cell.drop), cell.mask


def _by_seed(runs: Mapping[Replicate, Run]) -> tuple[Run, ...]:
    return tuple(runs[seeds] for seeds in sorted(runs, key=lambda s: [sort_key(v) for v in s]))
