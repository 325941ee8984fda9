"""Weights & Biases: a run of the account that this machine has the key of, else an offline one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from hpcfed.tracking.tracker import TrackedRun

if TYPE_CHECKING:
    import wandb


class Writer:
    """The run of this run's identity; files lie in the folder ``wandb`` beside the run file."""

    def open(self, run: TrackedRun) -> None:
        """Begin or resume; without a key, and where WANDB_MODE says nothing, offline."""
        import wandb

        told = bool(os.environ.get("WANDB_MODE"))
        has_key = not told and wandb.login(prompt=False, verify=False)
        self._run: wandb.Run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or "hpcfed",
            group=run.name,
            name=run.folder.resolve().name,
            id=run.identity,
            resume="allow",
            dir=str(run.folder),
            config=run.keys,
            mode=None if told or has_key else "offline",
            settings=wandb.Settings(console="off", silent=True),
        )

    def log(self, round_number: int, values: Mapping[str, float]) -> None:
        """Send the figures, unless the run is further already."""
        if round_number >= self._run.step:
            self._run.log(dict(values), step=round_number)

    def close(self, status: str) -> None:
        """End the run; one that failed is marked so."""
        self._run.finish(exit_code=int(status == "failed"))
