"""Several settings of a job, run in one start on so many ranks: their bits have to be the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any  # tables of several depths

import numpy as np
import pytest

from hpcfed.records.runfile import Record, read_record
from tests.mpi.launch import mpirun

Ways = Mapping[str, Sequence[str]]
OnRanks = Callable[[int], dict[str, Record]]

PLACES = {  # transports and threads, by ranks
    1: ("uplink.transport=gather",),
    2: ("uplink.transport=reduce", "client.threads=2"),
    3: ("uplink.transport=gather", "client.threads=2"),
    5: ("uplink.transport=reduce",),
}
_FREE = ("seconds_", "mpi_bytes", "predicted_bytes")


def on_ranks(factory: pytest.TempPathFactory, job: str, ways: Ways) -> OnRanks:
    """Return what runs all ways of a job on so many ranks; each number is started once."""
    return cache(lambda number: _trained(factory.mktemp(f"ranks{number}"), number, job, ways))


def killed_and_resumed(folder: Path, job: str, sets: Sequence[str], rounds: int) -> Record:
    """Kill two ranks in round ``rounds``, go on with three; return what they leave."""
    path, out = folder / "job.toml", folder / "run"
    path.write_text(job)
    command = ("-m", "tests.mpi.killed_run", str(path), str(out), str(rounds), *sets)
    killed = mpirun(2, *command, "run.checkpoint_seconds=0.0", limit_s=120)
    assert killed.rc != 0
    assert read_record(out).checkpoint["round"] == rounds - 1
    options = [part for item in sets for part in ("--set", item)]
    resumed = mpirun(3, "-m", "hpcfed", "run", str(path), "--quiet", "--resume",
                     "--out", str(out), *options, limit_s=120)  # fmt: skip
    assert resumed.rc == 0, resumed.stderr
    return read_record(out)


def assert_same_rounds(found: Record, expected: Record) -> None:
    """Fail unless parameters, rounds, participations and all that is said at the end are the same.

    Times and payloads are left out.
    """
    assert found.params.tobytes() == expected.params.tobytes()
    assert_same(found.log.groups, expected.log.groups, "groups")
    assert_same(found.log.rounds, expected.log.rounds, "rounds")
    assert_same(found.log.participations, expected.log.participations, "participations")
    assert_same(found.curves, expected.curves, "curves")
    assert_same(found.answers, expected.answers, "answers")
    units = (record.evaluation.get("example_units", {}) for record in (found, expected))
    assert_same(*units, "example_units")


def assert_same(found: Any, expected: Any, what: str) -> None:
    """Fail unless two values are the same; of tables, column by column, but for what is free."""
    if isinstance(expected, Mapping):
        assert found.keys() == expected.keys(), what
        for name, column in expected.items():
            if not name.startswith(_FREE):
                assert_same(found[name], column, f"{what}: {name}")
    elif isinstance(expected, Sequence) and len(expected) and isinstance(expected[0], np.ndarray):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=what)
    else:
        np.testing.assert_array_equal(found, expected, err_msg=what)


def _trained(folder: Path, num_ranks: int, job: str, ways: Ways) -> dict[str, Record]:
    (folder / "job.toml").write_text(job)
    runs = [
        {"job": str(folder / "job.toml"), "sets": [*sets, *PLACES[num_ranks]],
         "out": str(folder / name)}
        for name, sets in ways.items()
    ]  # fmt: skip
    (folder / "runs.json").write_text(json.dumps(runs))
    command = ("-m", "tests.mpi.toy_run", "many", str(folder / "runs.json"))
    ended = mpirun(num_ranks, *command, limit_s=240)
    assert ended.rc == 0, ended.stderr
    return {name: read_record(folder / name) for name in ways}
