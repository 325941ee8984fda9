"""Several settings of a job, run in one start on so many ranks: their bits have to be the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any  # tables of several depths

import numpy as np

from hpcfed.records.runfile import Record, read_record
from tests.mpi.in_turn import Run
from tests.mpi.launch import Ended, mpirun
from tests.places import REPOSITORY

Ways = Mapping[str, Sequence[str]]
OnRanks = Callable[[int], dict[str, Record]]
Resumed = Callable[[str], Record]

TOY = (REPOSITORY / "tests" / "mpi" / "toy.toml").read_text()
LIMIT_S = 600  # of all files of bits in one start, kernels compiled, beside other tests

PLACES = {  # transports and threads, by ranks
    1: ("uplink.transport=gather",),
    2: ("uplink.transport=reduce", "client.threads=2"),
    3: ("uplink.transport=gather", "client.threads=2"),
}
_FREE = ("seconds_", "mpi_bytes", "predicted_bytes")


def train(
    folder: Path,
    num_ranks: int,
    runs: Sequence[Run],
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run everything one after the other, in one start on so many ranks."""
    ended = start(folder, num_ranks, runs, environment)
    assert ended.rc == 0, ended.stderr


def start(
    folder: Path,
    num_ranks: int,
    runs: Sequence[Run],
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run everything one after the other; return how it ended."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "runs.json").write_text(json.dumps([asdict(run) for run in runs]))
    command = ("-m", "tests.mpi.in_turn", str(folder / "runs.json"))
    return mpirun(num_ranks, *command, limit_s=LIMIT_S, environment=environment)


def toy_runs(num_ranks: int, folder: Path, *settings: Sequence[str]) -> list[Record]:
    """Run the toy world's job with each of some settings, in one start; return the records."""
    outs = [folder / str(index) for index in range(len(settings))]
    runs = [Run(TOY, sets, str(out)) for sets, out in zip(settings, outs, strict=True)]
    train(folder, num_ranks, runs)
    return [read_record(out) for out in outs]


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
