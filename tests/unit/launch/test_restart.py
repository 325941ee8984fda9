"""A job that has died is started again; what it has come to is read in its run file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from hpcfed.config.file import parse_experiment
from hpcfed.launch.hosts import host_options, reachable
from hpcfed.launch.restart import JobEnd, Ranks, first_start, place_left, policy, see_through
from hpcfed.launch.settings import Launcher, loss_options
from hpcfed.records.runfile import write_record
from hpcfed.records.schema import RUN_FILE
from tests.run_files import record

DIED = JobEnd(137, asked=False, failed=False)
ROUNDS = 3


def write(
    folder: Path, status: str, attempt: int, num_rounds: int = ROUNDS, hosts: str = "a"
) -> None:
    """Write a run file as the given start would."""
    whole = record(num_rounds)
    attributes = whole.attributes | {"status": status, "attempt": attempt, "writer": "w"}
    row = whole.attempts[0] | {"hosts": hosts}
    write_record(folder / RUN_FILE, replace(whole, attributes=attributes, attempts=[row]))


@dataclass
class Launches:
    """Stands in for a launcher: each job does the next thing of a list, and ends."""

    folder: Path
    jobs: list[tuple[Callable[[Path], None], JobEnd]]
    places: list[Ranks] = field(default_factory=list)
    variables: list[Mapping[str, str]] = field(default_factory=list)

    def __call__(self, place: Ranks, variables: Mapping[str, str]) -> JobEnd:
        """Be the next job."""
        self.places.append(place)
        self.variables.append(variables)
        does, ended = self.jobs[len(self.places) - 1]
        does(self.folder)
        return ended


def nothing(folder: Path) -> None:
    """Die before the first write."""


def writes(status: str, attempt: int, num_rounds: int = ROUNDS) -> Callable[[Path], None]:
    return lambda folder: write(folder, status, attempt, num_rounds)


def outcome(folder: Path, *jobs: tuple[Callable[[Path], None], JobEnd], sets: str = "") -> tuple:
    """Return the exit code and how many jobs were started."""
    launches = Launches(folder, list(jobs))
    experiment = parse_experiment(sets, [f"server.rounds={ROUNDS}"])
    code = see_through(launches, policy(experiment, folder, 4), lambda hosts: list(hosts))
    return code, len(launches.places)


@pytest.mark.parametrize("code", [0, 1, 75, 137, -9])
def test_the_run_file_is_believed_whatever_the_launcher_returns(tmp_path: Path, code: int) -> None:
    ended = JobEnd(code, asked=False, failed=False)
    assert outcome(tmp_path, (writes("finished", 1), ended)) == (0, 1)


@pytest.mark.parametrize("code", [0, 1, 75, 137])
def test_a_job_that_has_died_is_started_again(tmp_path: Path, code: int) -> None:
    died = (writes("running", 1, 2), JobEnd(code, asked=False, failed=False))
    assert outcome(tmp_path, died, (writes("finished", 2), DIED)) == (0, 2)


def test_a_job_that_dies_before_it_writes_is_started_again(tmp_path: Path) -> None:
    assert outcome(tmp_path, (nothing, DIED), (writes("finished", 1), DIED)) == (0, 2)


def test_what_an_earlier_job_has_written_says_nothing_of_this_one(tmp_path: Path) -> None:
    for status in ("failed", "stopped"):
        write(tmp_path, status, 1, 2)
        assert outcome(tmp_path, (nothing, DIED), (writes("finished", 2), DIED)) == (0, 2)


def test_a_finished_run_that_is_to_have_more_rounds_is_not_done(tmp_path: Path) -> None:
    write(tmp_path, "finished", 1, 2)
    assert outcome(tmp_path, (nothing, DIED), (writes("finished", 2), DIED)) == (0, 2)


def test_restarts_are_bounded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [(writes("running", n, 2), DIED) for n in range(1, 9)]
    assert outcome(tmp_path, *jobs) == (1, 4)
    assert capsys.readouterr().err.count("starting it again") == 3
    (tmp_path / RUN_FILE).unlink()
    assert outcome(tmp_path, *jobs, sets="[run]\nmax_restarts = 0") == (1, 1)


@pytest.mark.parametrize(
    ("does", "ended", "code"),
    [
        (nothing, JobEnd(2, asked=False, failed=False), 2),
        (nothing, JobEnd(1, asked=False, failed=True), 1),
        (writes("failed", 1, 2), JobEnd(1, asked=False, failed=False), 1),
        (writes("stopped", 1, 2), JobEnd(75, asked=True, failed=False), 75),
        (writes("stopped", 1, 2), JobEnd(0, asked=False, failed=False), 75),
        (writes("running", 1, 2), JobEnd(137, asked=True, failed=False), 1),
    ],
    ids=[
        "bad input",
        "message",
        "failed",
        "stopped",
        "stopped from elsewhere",
        "killed on request",
    ],
)
def test_an_end_that_was_chosen_is_no_death(
    tmp_path: Path, does: Callable[[Path], None], ended: JobEnd, code: int
) -> None:
    assert outcome(tmp_path, (does, ended)) == (code, 1)


def test_a_run_that_is_to_stop_is_not_started_again(tmp_path: Path) -> None:
    sets = '[run]\non_rank_failure = "stop"'
    assert outcome(tmp_path, (writes("running", 1, 2), DIED), sets=sets) == (75, 1)


def test_the_next_start_knows_when_the_first_one_was(tmp_path: Path) -> None:
    launches = Launches(tmp_path, [(nothing, DIED), (nothing, DIED), (writes("finished", 1), DIED)])
    aim = policy(parse_experiment("", [f"server.rounds={ROUNDS}"]), tmp_path, 4)
    assert see_through(launches, aim, lambda hosts: list(hosts)) == 0
    first, second, third = (first_start(variables) for variables in launches.variables)
    assert first is None
    assert second is not None
    assert second == third


def test_hosts_that_are_gone_are_left_out_with_their_ranks(tmp_path: Path) -> None:
    place = Ranks(8)
    assert place_left(place, tmp_path / RUN_FILE, lambda hosts: []) == place
    write(tmp_path, "running", 1, hosts="a,b,c,d")
    path = tmp_path / RUN_FILE
    assert place_left(place, path, lambda hosts: list(hosts)) == place
    assert place_left(place, path, lambda hosts: []) == place
    assert place_left(place, path, lambda hosts: ["a", "c", "d"]) == Ranks(6, ("a", "c", "d"))
    assert place_left(Ranks(2), path, lambda hosts: ["d"]) == Ranks(1, ("d",))


def test_one_host_is_not_looked_for(tmp_path: Path) -> None:
    write(tmp_path, "running", 1)

    def never(hosts: object) -> list[str]:
        raise AssertionError

    assert place_left(Ranks(2), tmp_path / RUN_FILE, never) == Ranks(2)


def test_a_host_on_which_nothing_can_be_started_is_gone(tmp_path: Path) -> None:
    mpirun = tmp_path / "mpirun"
    mpirun.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "mpirun (Open MPI) 5.0.0" && exit\n'
        'echo "$*" >> "$0.log"\n[ "$2" != b ]\n'
    )
    mpirun.chmod(0o755)
    assert reachable(mpirun, ["a", "b", "c"]) == ["a", "c"]
    asked = sorted((tmp_path / "mpirun.log").read_text().splitlines())
    assert asked == [f"--host {host} -n 1 true" for host in "abc"]


def test_each_mpirun_is_told_of_hosts_and_losses_in_its_own_words() -> None:
    open_mpi_5, open_mpi_4, mpich = (Launcher(n, wheel=False) for n in (5, 4, 0))
    assert loss_options(open_mpi_5) == ["--with-ft", "ulfm"]
    assert loss_options(open_mpi_4) == loss_options(mpich) == []
    assert host_options(open_mpi_5, ["a", "b"]) == ["--host", "a,b"]
    assert host_options(mpich, ["a"]) == ["-hosts", "a"]
    assert host_options(mpich, []) == []
