"""Sweeps whose run files are written as they are: planned, collected and shown in one process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from run_files import record

from hpcfed.config import Experiment
from hpcfed.config.file import to_toml
from hpcfed.records.runfile import write_record
from hpcfed.records.sweepfolder import Paths
from hpcfed.sweep.planning.manifest import Manifest, plan, write_manifest
from hpcfed.sweep.planning.planned_run import PlannedRun
from hpcfed.sweep.planning.sweepfile import Sweep, read_sweep
from hpcfed.sweep.working.supervisor import Supervisor

BASE = '[uplink]\nmask = "bernoulli"\n[server]\nrounds = 3\n'


def written(folder: Path, text: str, base: str = BASE) -> Sweep:
    """Return the sweep of a file in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "base.toml").write_text(base)
    path = folder / "study.toml"
    path.write_text(f'base = "base.toml"\n{text}\n')
    return read_sweep(path)


def norse(experiment: Experiment) -> str:
    """Choose the engine of every run."""
    return "norse"


def planned(folder: Path, text: str) -> tuple[Manifest, Paths]:
    """Plan the sweep in ``folder / "out"``, again if it is there."""
    paths, sweep = Paths(folder / "out"), written(folder, text)
    manifest = plan(sweep, paths, norse).manifest
    write_manifest(paths, manifest, sweep.text)
    return manifest, paths


def given(supervisor: Supervisor) -> list[PlannedRun]:
    """Return the runs that a supervisor would work on."""
    found, stopping = [], threading.Event()
    while (run := supervisor._source.next(stopping)) is not None:
        found.append(run)
    return found


def finish(
    paths: Paths, runs: Sequence[PlannedRun], num_rounds: int = 3, status: str = "finished"
) -> None:
    """Write a run file of so many rounds for each of ``runs``."""
    for run in runs:
        done = record(num_rounds)
        attributes = done.attributes | {
            "config_toml": to_toml(run.experiment),
            "config_digest": run.config_digest,
            "status": status,
        }
        paths.run(run.digest).mkdir(parents=True, exist_ok=True)
        write_record(paths.run_file(run.digest), replace(done, attributes=attributes))
