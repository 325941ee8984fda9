"""The first state of a run, fresh or continued, and what its record says of this start."""

from __future__ import annotations

import json
import platform
import sys
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any  # Any: attributes of a run file are of any scalar type

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.atomic import remove_leftovers
from hpcfed.base.versions import versions
from hpcfed.config.file import digest, to_toml
from hpcfed.errors import InputError
from hpcfed.federation.decision import Decision
from hpcfed.federation.job import Job
from hpcfed.federation.mpi import transport as mpi
from hpcfed.federation.mpi.survivors import Past
from hpcfed.federation.mpi.transport import Transport
from hpcfed.federation.origins import check_same, digest_of, origins
from hpcfed.federation.remarks import num_cut
from hpcfed.federation.server import ServerState, first_state
from hpcfed.learning.depths import DEPTH
from hpcfed.learning.trainer import initial_of
from hpcfed.networks.layout import initial_params
from hpcfed.records.log import Log
from hpcfed.records.origins import read as read_origins
from hpcfed.records.runfile import Record, read_record
from hpcfed.records.schema import RUN_FILE


@dataclass(frozen=True)
class Start:
    """Where a run begins: its record so far and the server's state, complete at the root."""

    record: Record
    state: ServerState


def begin(job: Job, plan: Decision, transport: Transport, past: Past) -> Start:
    """Return where the run begins; makes the folder of a fresh run. Complete at the root."""
    size, folder = job.trainer.layout.size, Path(plan.folder)
    if transport.rank != 0:
        buffer = np.zeros(size, np.float32)
        return Start(_empty_record(job), ServerState(plan.round, buffer, np.zeros((0, 0))))
    if plan.resumed:
        start, since = _continued(job, folder, past)
    else:
        start = _fresh(job)
        since = past.began
        _make(folder)
        if (folder / RUN_FILE).exists():
            raise InputError(f"{folder}: another run has just begun there; choose another folder")
    remove_leftovers(folder, RUN_FILE)
    attributes = start.record.attributes | {
        "name": job.experiment.name,
        "config_toml": to_toml(job.experiment),
        "config_digest": digest(job.experiment),
        "attempt": plan.holder.attempt,
        "writer": plan.holder.writer,
    }
    attempt = _attempt(transport, start.state.round) | {
        "lost": past.lost,
        # clocks of hosts differ
        "seconds_lost": 0.0 if since is None else max(0.0, time.time() - since),
    }
    record = replace(
        start.record,
        attributes=attributes,
        attempts=[*start.record.attempts, attempt],
        params=start.state.params.copy(),
        checkpoint={
            "round": start.state.round,
            "moments": start.state.moments,
            "memory": start.record.checkpoint.get("memory", ""),
        },
    )
    return Start(record, start.state)


def _fresh(job: Job) -> Start:
    first, record = _first_params(job), _empty_record(job)
    if job.experiment.model.warm_start is not None:
        known = json.loads(record.attributes["origins"]) | {"warm_start": digest_of(first)}
        record.attributes["origins"] = json.dumps(known, sort_keys=True)
    layout = job.trainer.layout
    num_stepped = min(layout.num_trained, layout.num_shared)
    state = first_state(first, job.experiment.server, num_stepped)
    return Start(record, state)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be made: {error.strerror}; choose another folder with --out"
        ) from None


def _continued(job: Job, folder: Path, past: Past) -> tuple[Start, float | None]:
    """Return the continued run, and since when its work was lost (Unix time; None: nothing was)."""
    record = read_record(folder / RUN_FILE)
    if record.attributes["data_digest"] != job.data.digest:
        raise InputError(
            f"{folder}: was run on other data ({record.attributes['data_source']}); restore it, "
            "or start another run with --out"
        )
    check_same(origins(job), read_origins(record.attributes), str(folder))
    if record.attributes["device"] != _device_kind(job):
        raise InputError(
            f"{folder}: was run on {record.attributes['device']}, this is {_device_kind(job)}, and "
            "the last bits would differ; continue it on the same kind of device"
        )
    checkpoint = record.checkpoint
    state = ServerState(int(checkpoint["round"]), record.params, checkpoint["moments"])
    last, since = record.attempts[-1], past.began
    if not last["ended"]:
        last["ended"] = "killed"
        since = record.attributes.get("written", since)
    return Start(record, state), since


def _first_params(job: Job) -> NDArray[np.float32]:
    source, layout = job.experiment.model.warm_start, job.trainer.layout
    if source is None and job.initial is not None:
        return job.initial(job.experiment, layout)
    if source is None and (own := initial_of(job.trainer)) is not None:
        return own
    if source is None:
        return initial_params(job.experiment.model, layout, job.experiment.seed)
    record = read_record(Path(source))
    if record.layout != (layout.names, layout.shapes):
        raise InputError(
            f"model.warm_start = {source}: its matrices are {record.layout}, this network's are "
            f"{(layout.names, layout.shapes)}; use a run of the same network"
        )
    return np.asarray(record.params, np.float32)


def _empty_record(job: Job) -> Record:
    layout = job.trainer.layout
    provenance = {
        "versions": versions(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "command": sys.argv,
    }
    return Record(
        attributes={
            "status": "running",
            "verdict": "",
            "error": "",
            "engine": job.experiment.client.engine,
            "device": _device_kind(job),
            "data_source": job.data.source,
            "data_digest": job.data.digest,
            "origins": json.dumps(origins(job), sort_keys=True),
            "spikes_cut": num_cut(job),
            "provenance": json.dumps(provenance),
        },
        log=Log(job.figures),
        clients={
            "num_samples": job.num_samples,
            "group": np.array(job.population.group_names(job.data.train), object),
            **_dealt(job),
        },
        evaluation={},
        params=np.zeros(0, np.float32),
        layout=(layout.names, layout.shapes),
        checkpoint={},
        attempts=[],
    )


def _dealt(job: Job) -> dict[str, NDArray[np.int64]]:
    """Return how often each client repeats a block, where that never changes."""
    drawn = job.experiment.model.repetition.drawn
    return {DEPTH: job.depths(0)} if DEPTH in job.figures and not drawn else {}


def _device_kind(job: Job) -> str:
    return job.device.partition(":")[0]


def _attempt(transport: Transport, first_round: int) -> dict[str, Any]:
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "ended": "",
        "num_ranks": transport.size,
        "hosts": ",".join(dict.fromkeys(transport.hosts)),
        "mpi": mpi.library_version(),
        "versions": json.dumps(versions()),
        "first_round": first_round,
        "last_round": first_round,
    }
