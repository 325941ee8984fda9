"""Killed, stopped and resumed runs end with the bits of an uninterrupted one."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest

from hpcfed.records.runfile import Record, read_record
from hpcfed.records.schema import RUN_FILE
from tests.mpi.launch import Ended, end, mpirun, start, toy, toy_arguments, wait
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


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], Record]:
    """Return the records of uninterrupted runs."""
    folder = tmp_path_factory.mktemp("whole")
    found = {}
    for index, sets in enumerate((ALL_STATE, STATELESS)):
        ended = toy(1, folder / str(index), *sets)
        assert ended.rc == 0, ended.stderr
        found[sets] = read_record(folder / str(index))
    return found


def with_fault(text: str, num_ranks: int, out: Path, sets: tuple[str, ...]) -> Ended:
    return toy(num_ranks, out, *sets, environment={FAULT_VARIABLE: text})


def resumed(num_ranks: int, out: Path, sets: tuple[str, ...]) -> Record:
    ended = toy(num_ranks, out, *sets, options=["--resume"])
    assert ended.rc == 0, ended.stderr
    return read_record(out)


def assert_same(found: Record, expected: Record) -> None:
    assert found.params.tobytes() == expected.params.tobytes()
    assert found.checkpoint["moments"].tobytes() == expected.checkpoint["moments"].tobytes()
    for name in ("params_digest", "train_loss", "test_loss", "uplink_values", "num_participants"):
        np.testing.assert_array_equal(
            found.log.rounds[name], expected.log.rounds[name], err_msg=name
        )
    for name, rows in expected.log.rows().items():
        np.testing.assert_array_equal(found.log.rows()[name], rows, err_msg=name)


@pytest.mark.parametrize("sets", [ALL_STATE, STATELESS], ids=["all state", "stateless"])
@pytest.mark.parametrize("ranks", [(1, 3), (3, 2)], ids=str)
def test_a_killed_run_continues_bit_for_bit_on_other_ranks(
    tmp_path: Path, whole, sets: tuple[str, ...], ranks: tuple[int, int]
) -> None:
    ended = with_fault('{"do": "SIGKILL", "rank": 0, "round": 5}', ranks[0], tmp_path / "a", sets)
    assert ended.rc != 0
    record = read_record(tmp_path / "a")
    assert record.attributes["status"] == "running"
    assert record.log.num_rounds == record.checkpoint["round"] == 5
    record = resumed(ranks[1], tmp_path / "a", sets)
    assert_same(record, whole[sets])
    assert [attempt["ended"] for attempt in record.attempts] == ["killed", "finished"]
    assert [attempt["num_ranks"] for attempt in record.attempts] == list(ranks)
    assert [(a["first_round"], a["last_round"]) for a in record.attempts] == [(0, 5), (5, 8)]


def test_a_kill_costs_no_more_than_the_rounds_since_the_last_write(tmp_path: Path, whole) -> None:
    seldom = (*ALL_STATE, "run.checkpoint_seconds=1000")
    with_fault('{"do": "SIGKILL", "rank": 0, "round": 5}', 2, tmp_path / "a", seldom)
    assert read_record(tmp_path / "a").log.num_rounds == 0
    assert_same(resumed(2, tmp_path / "a", seldom), whole[ALL_STATE])


@pytest.mark.parametrize(
    ("fault", "status", "num_rounds"),
    [
        ('{"do": "SIGKILL", "rank": 0, "round": 5}', None, 0),
        ('{"do": "raise", "rank": 0, "round": 5}', "failed", 0),
        ("{}", "finished", 8),
    ],
    ids=["killed", "failed", "finished"],
)
def test_a_claimed_run_is_written_once_and_continues_from_whatever_is_there(
    tmp_path: Path, whole, fault: str, status: str | None, num_rounds: int
) -> None:
    seldom = (*ALL_STATE, "run.checkpoint_seconds=1000")
    item = {"sets": seldom, "out": str(tmp_path / "a"), "claimed": True}
    (tmp_path / "runs.json").write_text(json.dumps([item]))
    many = ("-m", "tests.mpi.toy_run", "many", str(tmp_path / "runs.json"))
    ended = mpirun(2, *many, environment={FAULT_VARIABLE: fault})
    assert (ended.rc == 0) == (status == "finished")
    if status is None:
        assert not (tmp_path / "a" / RUN_FILE).exists()
    else:
        record = read_record(tmp_path / "a")
        assert record.attributes["status"] == status
        assert record.log.num_rounds == record.checkpoint["round"] == num_rounds
    assert_same(resumed(3, tmp_path / "a", seldom), whole[ALL_STATE])


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_one_signal_on_any_rank_stops_all_at_the_round_boundary(
    tmp_path: Path, whole, number: signal.Signals
) -> None:
    fault = f'{{"do": "{number.name}", "rank": 1, "round": 5}}'
    ended = with_fault(fault, 3, tmp_path / "a", ALL_STATE)
    assert ended.rc == 75
    record = read_record(tmp_path / "a")
    assert record.attributes["status"] == "stopped"
    assert record.attempts[-1]["ended"] == "stopped"
    assert record.log.num_rounds == 6
    assert "--resume" in ended.stdout
    assert_same(resumed(5, tmp_path / "a", ALL_STATE), whole[ALL_STATE])


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


def test_more_rounds_later_are_the_same_as_at_once(tmp_path: Path, whole) -> None:
    few = ("server.rounds=3", *ALL_STATE[1:])
    assert toy(2, tmp_path / "a", *few).rc == 0
    assert read_record(tmp_path / "a").attributes["status"] == "finished"
    assert_same(resumed(3, tmp_path / "a", ALL_STATE), whole[ALL_STATE])


def test_a_finished_run_is_left_as_it_is(tmp_path: Path) -> None:
    toy(2, tmp_path / "a")
    before = (tmp_path / "a" / RUN_FILE).read_bytes()
    ended = toy(2, tmp_path / "a", options=["--resume"])
    assert ended.rc == 0, ended.stderr
    assert (tmp_path / "a" / RUN_FILE).read_bytes() == before


def test_resume_starts_afresh_where_there_is_nothing(tmp_path: Path) -> None:
    assert toy(2, tmp_path / "a", options=["--resume"]).rc == 0
    assert read_record(tmp_path / "a").log.num_rounds == 4


def test_keys_that_cannot_change_the_result_may_change_on_resume(tmp_path: Path, whole) -> None:
    few = ("server.rounds=3", *ALL_STATE[1:])
    toy(2, tmp_path / "a", *few, "uplink.transport=gather")
    free = ("uplink.transport=reduce", "client.threads=2", "name=renamed", "run.eval_every=1",
            "run.checkpoint_seconds=3.0")  # fmt: skip
    record = resumed(2, tmp_path / "a", (*ALL_STATE, *free))
    assert_same(record, whole[ALL_STATE])
    assert 'transport = "reduce"' in record.attributes["config_toml"]
    assert 'name = "renamed"' in record.attributes["config_toml"]
    assert record.attributes["name"] == "renamed"


def test_resume_under_a_changed_configuration_is_refused_and_names_the_keys(
    tmp_path: Path,
) -> None:
    toy(2, tmp_path / "a")
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


def test_fewer_rounds_than_there_are_is_refused(tmp_path: Path) -> None:
    toy(1, tmp_path / "a")
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


def test_the_memory_file_is_named_by_the_run_file_and_the_only_one(tmp_path: Path) -> None:
    toy(2, tmp_path / "a", *ALL_STATE)
    record = read_record(tmp_path / "a")
    assert record.checkpoint["memory"] == "memory-8.npy"
    with (tmp_path / "a" / "memory-8.npy").open("rb") as stream:
        clients, stored = np.load(stream), np.load(stream)
    assert clients.tolist() == list(range(7))
    assert stored.shape == (7, 48)
    assert stored.any(axis=1).all()
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["memory-8.npy", RUN_FILE]


def test_a_lost_memory_file_is_bad_input_and_changes_nothing(tmp_path: Path) -> None:
    with_fault('{"do": "SIGUSR1", "rank": 1, "round": 5}', 2, tmp_path / "a", ALL_STATE)
    before = (tmp_path / "a" / RUN_FILE).read_bytes()
    (tmp_path / "a" / "memory-6.npy").unlink()
    ended = toy(2, tmp_path / "a", *ALL_STATE, options=["--resume"])
    assert ended.rc == 2
    assert "memory-6.npy" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert (tmp_path / "a" / RUN_FILE).read_bytes() == before


def test_a_kill_while_memories_are_written_leaves_a_run_that_resumes(tmp_path: Path, whole) -> None:
    out = tmp_path / "a"
    with_fault('{"do": "SIGKILL while writing memory-5.npy"}', 2, out, ALL_STATE)
    record = read_record(out)
    assert record.checkpoint["memory"] == "memory-4.npy"
    assert_same(resumed(3, out, ALL_STATE), whole[ALL_STATE])
    # what a killed write has left might be one under way, for an hour
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
