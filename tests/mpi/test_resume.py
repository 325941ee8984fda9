"""Killed, stopped and resumed runs end with the bits of an uninterrupted one.

What a fault ends has a start of its own; what ends well, whole runs and what goes on, shares one
for each number of ranks.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from hpcfed.records.runfile import Record, read_record
from hpcfed.records.schema import RUN_FILE
from tests.mpi import ways
from tests.mpi.in_turn import Run
from tests.mpi.launch import Ended, end, mpirun, start, toy, toy_arguments, wait
from tests.mpi.ways import TOY
from tests.places import PLAIN
from tests.toy_world import FAULT_VARIABLE

pytestmark = pytest.mark.mpi

ALL_STATE = (
    "server.rounds=8",
    "server.optimizer=adam",
    "uplink.mask=top-k",
    "uplink.mask_probability=0.75",
    "uplink.dtype=float16",
    "uplink.error_feedback=true",
)
STATELESS = ("server.rounds=8", "uplink.mask=bernoulli", "uplink.mask_probability=0.5")
FEW = ("server.rounds=3", *ALL_STATE[1:])
SELDOM = (*ALL_STATE, "run.checkpoint_seconds=1000")
FREE = ("uplink.transport=reduce", "client.threads=2", "name=renamed", "run.eval_every=1",
        "run.checkpoint_seconds=3.0")  # fmt: skip
KILL = '{"do": "SIGKILL", "rank": 0, "round": 5}'


@dataclass(frozen=True)
class Cut:
    """A run that ends on ``ranks[0]`` ranks and goes on, with ``rest``, on ``ranks[1]``.

    Without a fault it ends by itself, or in round ``copied`` its folder is taken as it is.
    """

    ranks: tuple[int, int]
    sets: tuple[str, ...] = ALL_STATE
    rest: tuple[str, ...] = ALL_STATE
    fault: str = ""
    claimed: bool = False
    copied: int = 0


CUTS = {
    "killed alone": Cut((1, 3), fault=KILL),
    "killed": Cut((3, 2), fault=KILL),
    "stateless, alone": Cut((1, 3), STATELESS, STATELESS, copied=6),
    "stateless": Cut((3, 2), STATELESS, STATELESS, copied=6),
    "killed before a write": Cut((2, 2), SELDOM, SELDOM, KILL),
    "killed while writing": Cut((2, 3), fault='{"do": "SIGKILL while writing memory-5.npy"}'),
    "claimed, killed": Cut((2, 3), SELDOM, SELDOM, KILL, claimed=True),
    "claimed, failed": Cut((2, 3), SELDOM, SELDOM, KILL.replace("SIGKILL", "raise"), claimed=True),
    "claimed, finished": Cut((2, 3), SELDOM, SELDOM, claimed=True),
    "SIGUSR1": Cut((3, 2), fault='{"do": "SIGUSR1", "rank": 1, "round": 5}'),
    "SIGTERM": Cut((2, 3), fault='{"do": "SIGTERM", "rank": 1, "round": 5}'),
    "few rounds": Cut((2, 3), FEW),
    "free keys": Cut((2, 2), (*FEW, "uplink.transport=gather"), (*ALL_STATE, *FREE)),
}
WHOLE = {
    1: {"all state": ALL_STATE, "no state": STATELESS},
    2: {"plain": (), "memory": ALL_STATE},
}

Begun = Callable[[int], Path]
Left = Callable[[str], tuple[Ended | None, Record | None]]
Resumed = Callable[[str], Record]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Begun:
    """Return what runs all that ends without a fault on so many ranks, and where it lies."""
    folder = tmp_path_factory.mktemp("resume")

    @cache
    def begin(num_ranks: int) -> Path:
        runs = [
            Run(TOY, sets, str(folder / name)) for name, sets in WHOLE.get(num_ranks, {}).items()
        ]
        for name, cut in CUTS.items():
            if not cut.fault and cut.ranks[0] == num_ranks:
                out = folder / (f"{name}, whole" if cut.copied else name)
                left = str(folder / name)
                runs.append(
                    Run(TOY, cut.sets, str(out), cut=cut.copied, left=left, claimed=cut.claimed)
                )
        ways.train(folder, num_ranks, runs)
        return folder

    return begin


@pytest.fixture(scope="module")
def left(begun: Begun) -> Left:
    """Return how a run was ended by its fault, if it has one, and what it left."""

    @cache
    def ended(name: str) -> tuple[Ended | None, Record | None]:
        cut = CUTS[name]
        num_ranks = cut.ranks[0]
        folder = begun(num_ranks)
        how = None
        if cut.claimed and cut.fault:
            run = Run(TOY, cut.sets, str(folder / name), claimed=True, fault=cut.fault)
            how = ways.start(folder, num_ranks, [run])
        elif cut.fault:
            how = with_fault(cut.fault, num_ranks, folder / name, cut.sets)
        there = (folder / name / RUN_FILE).exists()
        return how, read_record(folder / name) if there else None

    return ended


@pytest.fixture(scope="module")
def resumed(begun: Begun, left: Left) -> Resumed:
    """Return what becomes of a run that goes on."""

    @cache
    def go_on(num_ranks: int) -> Path:
        folder = begun(1)
        names = [name for name, cut in CUTS.items() if cut.ranks[1] == num_ranks]
        for name in names:
            left(name)
        rest = [Run(TOY, CUTS[name].rest, str(folder / name), resume=True) for name in names]
        ways.train(folder, num_ranks, rest, PLAIN)
        return folder

    return lambda name: read_record(go_on(CUTS[name].ranks[1]) / name)


@pytest.fixture(scope="module")
def whole(begun: Begun) -> dict[tuple[str, ...], Record]:
    """Return the records of uninterrupted runs."""
    return {sets: read_record(begun(1) / name) for name, sets in WHOLE[1].items()}


def with_fault(text: str, num_ranks: int, out: Path, sets: tuple[str, ...]) -> Ended:
    return toy(num_ranks, out, *sets, environment={FAULT_VARIABLE: text})


def assert_same(found: Record, expected: Record) -> None:
    assert found.params.tobytes() == expected.params.tobytes()
    assert found.checkpoint["moments"].tobytes() == expected.checkpoint["moments"].tobytes()
    for name in ("params_digest", "train_loss", "test_loss", "uplink_values", "num_participants"):
        np.testing.assert_array_equal(
            found.log.rounds[name], expected.log.rounds[name], err_msg=name
        )
    for name, rows in expected.log.rows().items():
        np.testing.assert_array_equal(found.log.rows()[name], rows, err_msg=name)


@pytest.mark.parametrize("name", ["killed alone", "killed", "stateless, alone", "stateless"])
def test_a_killed_run_continues_bit_for_bit_on_other_ranks(
    whole, left: Left, resumed: Resumed, name: str
) -> None:
    cut = CUTS[name]
    ended, record = left(name)
    assert ended is None or ended.rc != 0
    assert record.attributes["status"] == "running"
    assert record.log.num_rounds == record.checkpoint["round"] == 5
    record = resumed(name)
    assert_same(record, whole[cut.sets])
    assert [attempt["ended"] for attempt in record.attempts] == ["killed", "finished"]
    assert [attempt["num_ranks"] for attempt in record.attempts] == list(cut.ranks)
    assert [(a["first_round"], a["last_round"]) for a in record.attempts] == [(0, 5), (5, 8)]


def test_a_kill_costs_no_more_than_the_rounds_since_the_last_write(
    whole, left: Left, resumed: Resumed
) -> None:
    ended, record = left("killed before a write")
    assert ended.rc != 0
    assert record.log.num_rounds == 0
    assert_same(resumed("killed before a write"), whole[ALL_STATE])


@pytest.mark.parametrize(
    ("name", "status", "num_rounds"),
    [
        ("claimed, killed", None, 0),
        ("claimed, failed", "failed", 0),
        ("claimed, finished", "finished", 8),
    ],
)
def test_a_claimed_run_is_written_once_and_continues_from_whatever_is_there(
    whole, left: Left, resumed: Resumed, name: str, status: str | None, num_rounds: int
) -> None:
    ended, record = left(name)
    assert (ended is None or ended.rc == 0) == (status == "finished")
    if status is None:
        assert record is None
    else:
        assert record.attributes["status"] == status
        assert record.log.num_rounds == record.checkpoint["round"] == num_rounds
    assert_same(resumed(name), whole[ALL_STATE])


@pytest.mark.parametrize("name", ["SIGUSR1", "SIGTERM"])
def test_one_signal_on_any_rank_stops_all_at_the_round_boundary(
    whole, left: Left, resumed: Resumed, name: str
) -> None:
    ended, record = left(name)
    assert ended.rc == 75
    assert record.attributes["status"] == "stopped"
    assert record.attempts[-1]["ended"] == "stopped"
    assert record.log.num_rounds == 6
    assert "--resume" in ended.stdout
    assert_same(resumed(name), whole[ALL_STATE])


def test_a_signal_to_mpirun_reaches_the_ranks(tmp_path: Path) -> None:
    process = start(2, *toy_arguments(tmp_path / "a", "server.rounds=100000"))
    try:
        line = ""
        while not line.startswith("round 3/"):
            line = process.stdout.readline()
            assert line
        process.send_signal(signal.SIGUSR1)
        ended = wait(process, 30)
    except BaseException:
        end(process)
        raise
    assert ended.rc == 75
    assert read_record(tmp_path / "a").attributes["status"] == "stopped"


def test_more_rounds_later_are_the_same_as_at_once(whole, left: Left, resumed: Resumed) -> None:
    _, record = left("few rounds")
    assert (record.attributes["status"], record.log.num_rounds) == ("finished", 3)
    assert_same(resumed("few rounds"), whole[ALL_STATE])


def test_a_finished_run_is_left_as_it_is(tmp_path: Path, begun: Begun) -> None:
    shutil.copytree(begun(2) / "plain", tmp_path / "a")
    before = (tmp_path / "a" / RUN_FILE).read_bytes()
    ended = toy(2, tmp_path / "a", options=["--resume"])
    assert ended.rc == 0, ended.stderr
    assert (tmp_path / "a" / RUN_FILE).read_bytes() == before


def test_resume_starts_afresh_where_there_is_nothing(tmp_path: Path) -> None:
    assert toy(2, tmp_path / "a", options=["--resume"]).rc == 0
    assert read_record(tmp_path / "a").log.num_rounds == 4


def test_keys_that_cannot_change_the_result_may_change_on_resume(whole, resumed: Resumed) -> None:
    record = resumed("free keys")
    assert_same(record, whole[ALL_STATE])
    assert 'transport = "reduce"' in record.attributes["config_toml"]
    assert 'name = "renamed"' in record.attributes["config_toml"]
    assert record.attributes["name"] == "renamed"


def test_resume_under_a_changed_configuration_is_refused_and_names_the_keys(
    tmp_path: Path, begun: Begun
) -> None:
    shutil.copytree(begun(2) / "plain", tmp_path / "a")
    before = (tmp_path / "a" / RUN_FILE).read_bytes()
    ended = toy(
        2, tmp_path / "a", "server.rounds=9", "client.learning_rate=0.5", "seed=4",
        options=["--resume"],
    )  # fmt: skip
    assert ended.rc == 2
    assert "client.learning_rate, seed" in ended.stderr
    assert "server.rounds" not in ended.stderr
    assert "Traceback" not in ended.stderr
    assert (tmp_path / "a" / RUN_FILE).read_bytes() == before


def test_fewer_rounds_than_there_are_is_refused(tmp_path: Path, begun: Begun) -> None:
    shutil.copytree(begun(2) / "plain", tmp_path / "a")
    ended = toy(1, tmp_path / "a", "server.rounds=2", options=["--resume"])
    assert ended.rc == 2
    assert "only grow" in ended.stderr


def test_the_last_evaluation_is_kept_with_its_round(tmp_path: Path) -> None:
    seldom = ("server.rounds=8", "run.eval_every=2")
    with_fault('{"do": "SIGUSR1", "rank": 0, "round": 4}', 2, tmp_path / "a", seldom)
    record = read_record(tmp_path / "a")
    assert record.log.num_rounds == 5
    assert np.isnan(record.log.rounds["test_loss"]).tolist() == [True, False, True, False, True]
    assert record.evaluation["round"] == 4
    assert np.trace(record.evaluation["confusion"]) / 6 == record.log.rounds["test_accuracy"][3]


def test_the_memory_file_is_named_by_the_run_file_and_the_only_one(begun: Begun) -> None:
    out = begun(2) / "memory"
    record = read_record(out)
    assert record.checkpoint["memory"] == "memory-8.npy"
    with (out / "memory-8.npy").open("rb") as stream:
        clients, stored = np.load(stream), np.load(stream)
    assert clients.tolist() == list(range(7))
    assert stored.shape == (7, 48)
    assert stored.any(axis=1).all()
    assert sorted(p.name for p in out.iterdir()) == ["memory-8.npy", RUN_FILE]


def test_a_lost_memory_file_is_bad_input_and_changes_nothing(tmp_path: Path) -> None:
    with_fault('{"do": "SIGUSR1", "rank": 1, "round": 5}', 2, tmp_path / "a", ALL_STATE)
    before = (tmp_path / "a" / RUN_FILE).read_bytes()
    (tmp_path / "a" / "memory-6.npy").unlink()
    ended = toy(2, tmp_path / "a", *ALL_STATE, options=["--resume"])
    assert ended.rc == 2
    assert "memory-6.npy" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert (tmp_path / "a" / RUN_FILE).read_bytes() == before


def test_a_kill_while_memories_are_written_leaves_a_run_that_resumes(
    whole, begun: Begun, left: Left, resumed: Resumed
) -> None:
    _, record = left("killed while writing")
    assert record.checkpoint["memory"] == "memory-4.npy"
    assert_same(resumed("killed while writing"), whole[ALL_STATE])
    # what a killed write has left might be one under way, for an hour
    out = begun(2) / "killed while writing"
    seen = sorted(p.name for p in out.iterdir() if not p.name.startswith("."))
    assert seen == ["memory-8.npy", RUN_FILE]


def test_the_same_job_from_python_gives_the_same_bits(tmp_path: Path) -> None:
    toy(2, tmp_path / "a", "server.rounds=2")
    script = tmp_path / "job.py"
    script.write_text(
        "import sys; sys.path.insert(0, '.')\n"
        "import hpcfed\n"
        "from pathlib import Path\n"
        "from hpcfed.config.file import read_experiment\n"
        "job = read_experiment(Path('tests/mpi/toy.toml'), ['server.rounds=2'])\n"
        "result = hpcfed.run(job, out=Path(sys.argv[1]))\n"
        "assert result.status == 'finished', result\n"
    )
    ended = mpirun(2, str(script), str(tmp_path / "b"))
    assert ended.rc == 0, ended.stderr
    pair = [read_record(tmp_path / name).params.tobytes() for name in "ab"]
    assert pair[0] == pair[1]
