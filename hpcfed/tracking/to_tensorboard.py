"""TensorBoard: event files in the folder ``tensorboard`` beside the run file."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING

from hpcfed.tracking.tracker import TrackedRun

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"


class Writer:
    """Each start writes a file that stands for all those before."""

    def open(self, run: TrackedRun) -> None:
        """Begin a file; the rounds that earlier ones hold are told again."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer: SummaryWriter = SummaryWriter(str(run.folder / FOLDER), purge_step=1)
        self._writer.add_text("configuration", textwrap.indent(run.config, "    "), 0)

    def log(self, round_number: int, values: Mapping[str, float]) -> None:
        """Write the figures so that TensorBoard sees them at once."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, round_number)
        self._writer.flush()

    def close(self, status: str) -> None:
        """Close the file; TensorBoard knows no status."""
        self._writer.close()
