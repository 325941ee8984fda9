"""Where everything of a sweep lies; nothing else knows a file name.

::

    OUT/sweep.toml               the sweep file, as it was planned last
    OUT/manifest.json            every run: name, point, complete configuration
    OUT/runs/DIGEST/run.h5       a run; failure.json beside it if it was given up
    OUT/claims/DIGEST/OWNER      who works on it
    OUT/logs/DIGEST.log          what it said; JOB_TASK.log what an array task said
    OUT/arrays/NAME.json         the runs of each task of an array
    OUT/arrays/JOB_TASK.stops    how often in a row a task was stopped before a round was finished
    OUT/proposals/SECTION/NNNNNN of a search: what was proposed, one folder a proposal
    OUT/sweep.nc, .csv, .parquet what was collected
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hpcfed.records.schema import RUN_FILE

MANIFEST_FORMAT = "hpcfed-sweep"
COLLECTED_FORMAT = "hpcfed-collected"
COLLECTED = ".nc"  # suffix of a collected sweep


@dataclass(frozen=True)
class Paths:
    """The files of the sweep at ``out``."""

    out: Path

    @property
    def sweep(self) -> Path:
        """The sweep file as it was planned last."""
        return self.out / "sweep.toml"

    @property
    def manifest(self) -> Path:
        """The manifest."""
        return self.out / "manifest.json"

    @property
    def runs(self) -> Path:
        """Folder of all runs."""
        return self.out / "runs"

    @property
    def claims(self) -> Path:
        """Folder of all claims."""
        return self.out / "claims"

    @property
    def logs(self) -> Path:
        """Folder of all logs."""
        return self.out / "logs"

    @property
    def arrays(self) -> Path:
        """Folder of what was submitted."""
        return self.out / "arrays"

    @property
    def proposals(self) -> Path:
        """Folder of what a search has proposed, a folder for each of its sections."""
        return self.out / "proposals"

    @property
    def collected(self) -> Path:
        """Every round of every run."""
        return self.out / f"sweep{COLLECTED}"

    def run(self, digest: str) -> Path:
        """Folder of one run."""
        return self.runs / digest

    def run_file(self, digest: str) -> Path:
        """Run file of one run."""
        return self.runs / digest / RUN_FILE

    def failure(self, digest: str) -> Path:
        """Mark of a run that was given up."""
        return self.runs / digest / "failure.json"

    def claim(self, digest: str) -> Path:
        """Claim of one run."""
        return self.claims / digest

    def log(self, digest: str) -> Path:
        """Log of one run."""
        return self.logs / f"{digest}.log"

    def task_log(self, job: str, task: str) -> Path:
        """Log of an array task."""
        return self.logs / f"{job}_{task}.log"

    def array(self, name: str) -> Path:
        """Runs of each task of an array."""
        return self.arrays / f"{name}.json"

    def stops(self, job: str, task: str) -> Path:
        """Count of a task's stops without a finished round."""
        return self.arrays / f"{job}_{task}.stops"

    def table(self, suffix: str) -> Path:
        """Final values, ".csv" or ".parquet"."""
        return self.out / f"sweep{suffix}"
