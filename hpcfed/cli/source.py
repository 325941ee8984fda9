"""What is to be run: a job file, a packaged job, or what the folder of a run says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpcfed.errors import InputError
from hpcfed.records.schema import RUN_FILE

if TYPE_CHECKING:
    from hpcfed.config import Experiment


def folder_of(path: Path) -> Path | None:
    """Return the folder of the run that ``path`` names, itself or by its file; None without one."""
    if (path / RUN_FILE).is_file():
        return path
    return path.parent if path.name == RUN_FILE and path.is_file() else None


def continued(folder: Path, overrides: Sequence[str]) -> Experiment:
    """Return the experiment of the run in ``folder``. Raises InputError."""
    from hpcfed.records.configuration import configured

    return configured(folder, overrides)


def asked(job: Path, overrides: Sequence[str]) -> Experiment:
    """Return the experiment of a job file or of a packaged job. Raises InputError."""
    from hpcfed.config.file import read_experiment
    from hpcfed.config.jobs import find_job, packaged_jobs

    if (folder := folder_of(job)) is not None and job.name not in packaged_jobs():
        raise InputError(
            f"{job}: is a run, not a job file; go on with it by hpcfed run --resume {folder}, or "
            f"start another of its configuration by hpcfed rerun {folder}"
        )
    if job.is_dir() and job.name not in packaged_jobs():
        raise InputError(
            f"{job}: is a folder, and holds no run ({RUN_FILE}); name a job file, a packaged job, "
            "or with --resume the folder of a run"
        )
    return read_experiment(find_job(job), overrides)
