"""What files of bits share: the jobs of all of them, in one start for each number of ranks.

A file says its JOB and the WAYS to run it: on one rank, and on three with threads. CUT says in
which round some of them are left on two ranks, and by the other transport, as a kill would leave
them. ``{runs}`` in a setting is the folder of the file's runs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from hpcfed.records.runfile import Record, read_record
from tests.mpi import ways
from tests.mpi.in_turn import Run
from tests.mpi.ways import PLACES, OnRanks, Resumed

Started = Callable[[int], Path]

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the first test that asks for a number of ranks wait for the runs of all."""
    for item in items:
        if item.path.parent == HERE:
            item.add_marker(pytest.mark.timeout(2 * ways.LIMIT_S + 100))


@pytest.fixture(scope="session")
def started(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Started:
    """Return what runs all that this session's files of bits say, and where the runs lie.

    Two ranks leave what is cut, and three go on with it; both find other runs among those of one.
    """
    found = {item.module.__name__: item.module for item in request.session.items
             if item.path.parent == HERE}  # fmt: skip
    base = tmp_path_factory.mktemp("bits")

    @cache
    def start(num_ranks: int) -> Path:
        folder, names = base / str(num_ranks), sorted(found)
        if num_ranks == 2:
            ones = start(1)
            runs = [run for n in names for run in begun(found[n], folder / n, ones / n)]
        else:
            runs = [run for n in names for run in whole(found[n], folder / n, num_ranks)]
        if num_ranks == 3:
            left, ones = start(2), start(1)
            runs += [run for n in names for run in rest(found[n], left / n, ones / n)]
        ways.train(folder, num_ranks, runs)
        return folder

    return start


def whole(module: ModuleType, folder: Path, num_ranks: int) -> list[Run]:
    """Return a file's runs from start to end."""
    return [
        Run(module.JOB, (*settings(module, way, folder), *PLACES[num_ranks]), str(folder / way))
        for way in module.WAYS
    ]


def begun(module: ModuleType, folder: Path, ones: Path) -> list[Run]:
    """Return those of a file's runs that are cut, on two ranks."""
    often = (*PLACES[2], "run.checkpoint_seconds=0.0")
    return [
        Run(module.JOB, (*settings(module, way, ones), *often), str(folder / way), cut=number,
            left=str(folder / f"{way}, left"))
        for way, number in getattr(module, "CUT", {}).items()
    ]  # fmt: skip


def rest(module: ModuleType, folder: Path, ones: Path) -> list[Run]:
    """Return a file's runs that two ranks have left, to be ended by three."""
    return [
        Run(module.JOB, (*settings(module, way, ones), *PLACES[3]),
            str(folder / f"{way}, left"), resume=True)
        for way in getattr(module, "CUT", {})
    ]  # fmt: skip


def settings(module: ModuleType, way: str, folder: Path) -> list[str]:
    return [item.replace("{runs}", str(folder)) for item in module.WAYS[way]]


@pytest.fixture(scope="module")
def on_ranks(request: pytest.FixtureRequest, started: Started) -> OnRanks:
    """Return all ways of the module's job on so many ranks."""
    module = request.module

    @cache
    def read(num_ranks: int) -> dict[str, Record]:
        folder = started(num_ranks) / module.__name__
        return {way: read_record(folder / way) for way in module.WAYS}

    return read


@pytest.fixture(scope="module")
def alone(on_ranks: OnRanks) -> dict[str, Record]:
    """Return them on one rank."""
    return on_ranks(1)


@pytest.fixture(scope="module")
def resumed(request: pytest.FixtureRequest, started: Started) -> Resumed:
    """Return what comes of a way that is cut on two ranks and goes on on three."""

    def read(way: str) -> Record:
        started(3)
        record = read_record(started(2) / request.module.__name__ / f"{way}, left")
        first, second = record.attempts
        assert (first["ended"], second["ended"]) == ("killed", "finished")
        assert first["last_round"] == second["first_round"] == request.module.CUT[way] - 1
        assert (first["num_ranks"], second["num_ranks"]) == (2, 3)
        return record

    return read
