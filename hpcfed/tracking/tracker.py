"""What a tracker is, which there are, and whether the package of each is installed."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from hpcfed.config.tree import Tree
from hpcfed.errors import InputError

# name, of the package as well -> what pip installs it by
PACKAGES = {"tensorboard": "tensorboard", "mlflow": "mlflow", "wandb": "wandb"}


@dataclass(frozen=True)
class TrackedRun:
    """What a tracker is told of a run at each of its starts.

    Attributes:
        identity: the same at every start of the run, and no other run's.
        name: of the experiment.
        folder: where the run file lies; its name tells apart the runs of a sweep.
        keys: the complete configuration, dotted.
        config: the same as TOML.
    """

    identity: str
    name: str
    folder: Path
    keys: Tree
    config: str


class Tracker(Protocol):
    """A run of a tracker. It may raise whatever it likes: that ends its tracking, not the run."""

    def open(self, run: TrackedRun) -> None:
        """Begin, or go on where this run was left."""
        ...

    def log(self, round_number: int, values: Mapping[str, float]) -> None:
        """Take the figures of a round, counted from 1.

        At each start all rounds come from the first on: what is known already is left out.
        """
        ...

    def close(self, status: str) -> None:
        """End, with the status of the run file: finished, stopped or failed."""
        ...


def check_installed(names: Sequence[str]) -> None:
    """Raise InputError where a tracker that is asked for is not installed."""
    missing = [PACKAGES[name] for name in names if not _is_installed(name)]
    if missing:
        raise InputError(
            f"run.track asks for {' and '.join(missing)}, which this Python does not have; install "
            f"with: pip install {' '.join(missing)}, or leave it out of run.track"
        )


def _is_installed(name: str) -> bool:
    spec = find_spec(name)
    return spec is not None and spec.origin is not None  # a folder of that name has none


def tracker(name: str) -> Tracker:
    """Return the tracker of this name; loads its package."""
    found: Tracker = importlib.import_module(f"hpcfed.tracking.to_{name}").Writer()
    return found
