"""A schedule of hyper-parameters: an experiment whose keys change at some rounds, as one file.

A complete experiment, and after it one table for each stage::

    [[stages]]
    until = 10                     # rounds done at its end
    "client.learning_rate" = 0.01

What a population has found is such a file; run from round 0 it gives the winner's bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # Any: values of an experiment's keys are of any TOML type

from hpcfed.config.experiment import Experiment
from hpcfed.config.file import build_experiment, to_text, to_toml
from hpcfed.config.tables import read_toml
from hpcfed.config.tree import set_key
from hpcfed.errors import InputError


@dataclass(frozen=True)
class Stage:
    """An experiment until so many rounds are done; its server.rounds is that number."""

    until: int
    experiment: Experiment


def stages_text(experiment: Experiment, stages: Sequence[tuple[int, dict[str, Any]]]) -> str:
    """Return the file of ``experiment`` with these rounds and keys."""
    tables = (f"\n[[stages]]\n{to_text({'until': until, **keys})}" for until, keys in stages)
    return to_toml(experiment) + "".join(tables)


def read_stages(path: Path) -> list[Stage]:
    """Read a schedule. Raises InputError for anything wrong."""
    tree = read_toml(path, "schedule")[0]
    tables = tree.pop("stages", None)
    if not isinstance(tables, list) or not tables:
        raise InputError(f"{path}: expected stages, as [[stages]] with until and keys")
    found: list[Stage] = []
    for table in tables:
        until = table.pop("until", None) if isinstance(table, dict) else None
        if not isinstance(until, int) or until <= (found[-1].until if found else 0):
            raise InputError(f"{path}: [[stages]]: until: expected rounds in ascending order, "
                             f"found {until!r}")  # fmt: skip
        for key, value in table.items():
            set_key(tree, key, value)
        set_key(tree, "server.rounds", until)
        found.append(Stage(until, build_experiment(tree, str(path))))
    return found
