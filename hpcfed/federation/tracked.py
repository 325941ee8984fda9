"""What trackers learn of a run: its identity, which the run file keeps, and every round so far."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hpcfed.config.file import flat_keys, to_toml
from hpcfed.federation.job import Job
from hpcfed.federation.recorder import RoundReport
from hpcfed.records.log import uplink_bytes
from hpcfed.records.runfile import Record
from hpcfed.records.schema import TRACKED_AS, TRACKING_ERROR
from hpcfed.tracking.tracker import TrackedRun
from hpcfed.tracking.tracking import Tracking

TOTAL = "uplink_bytes_total"  # beside the columns of the run file


def tracking(
    job: Job, record: Record, folder: Path, is_root: bool, say: Callable[[str], None]
) -> Tracking:
    """Return the trackers of this start, told of the rounds so far; none but at the root.

    ``record.attributes`` gets the identity, if it has none.
    """
    experiment = job.experiment
    names = experiment.run.track if is_root else None
    identity = ""
    if names:
        identity = record.attributes.setdefault(TRACKED_AS, secrets.token_hex(8))
        record.attributes.pop(TRACKING_ERROR, None)
    run = TrackedRun(identity, experiment.name, folder, flat_keys(experiment), to_toml(experiment))
    begun = Tracking(names or (), run, say)
    if names:
        rounds = record.log.rounds
        totals = np.cumsum(uplink_bytes(rounds))
        for index, total in enumerate(totals):
            values = {name: column[index] for name, column in rounds.items()}
            begun.log(index + 1, values | {TOTAL: total})
    return begun


def track_with(begun: Tracking) -> Callable[[RoundReport], str]:
    """Return what gives trackers a finished round, and returns what has failed."""
    return lambda report: begun.log(report.round, {**report.values, TOTAL: report.uplink_bytes})
