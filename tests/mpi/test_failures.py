"""What goes wrong on one rank: who says so, how soon all ranks end, what is left."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

from hpcfed.records.runfile import Record, read_record
from hpcfed.records.schema import RUN_FILE
from tests.mpi import ways
from tests.mpi.in_turn import Run
from tests.mpi.launch import end, mpirun, start, toy, toy_arguments
from tests.mpi.ways import TOY
from tests.places import PLAIN
from tests.run_files import edited
from tests.toy_world import FAULT_VARIABLE

pytestmark = pytest.mark.mpi

START_S = 10  # of three interpreters on a busy machine
BAD, TRANSPORTS = ("nan", "huge"), ("gather", "reduce")
WITHOUT_3 = "participation.drop_probability=[0.0,0.0,0.0,1.0,0.0,0.0,0.0]"
EVERYBODY = "participation.drop_probability=0.0"
STOPS = (EVERYBODY, "server.on_rejected=stop")
DIVERGES = (EVERYBODY, "stop.diverged=true")
TWO = (EVERYBODY, "partition.num_clients=2")
VERDICTS = {"": 9, "diverged": 2}  # and the round in which all updates are bad


def faulty(fault: str, num_ranks: int, out: Path, *sets: str):
    return toy(num_ranks, out, *sets, environment={FAULT_VARIABLE: fault}, limit_s=30)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Record]:
    """Return runs on one rank: without client 3, of all clients, of two."""
    folder = tmp_path_factory.mktemp("alone")
    runs = {"without client 3": (WITHOUT_3,), "all": STOPS, "two": TWO}
    ways.train(folder, 1, [Run(TOY, sets, str(folder / name)) for name, sets in runs.items()])
    return {name: read_record(folder / name) for name in runs}


@pytest.fixture(scope="module")
def survived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of runs on two ranks that no fault ends."""
    folder = tmp_path_factory.mktemp("survived")
    runs = [
        Run(TOY, (EVERYBODY, f"uplink.transport={transport}"), str(folder / f"{bad} {transport}"),
            fault=f'{{"do": "{bad}", "client": 3}}')
        for bad in BAD for transport in TRANSPORTS
    ]  # fmt: skip
    for verdict, round_index in VERDICTS.items():
        fault = f'{{"do": "nan", "round": {round_index}}}'
        runs.append(Run(TOY, DIVERGES, str(folder / f"verdict {verdict}"), fault=fault))
    momentum = ("server.optimizer=momentum", EVERYBODY)
    nobody = '{"do": "nan", "round": 2}'
    runs.append(Run(TOY, momentum, str(folder / "nobody"), fault=nobody))
    ways.train(folder, 2, runs, PLAIN)
    return folder


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_rejected_update_is_left_out_and_recorded(
    survived: Path, alone: dict[str, Record], bad: str, transport: str
) -> None:
    rounds = read_record(survived / f"{bad} {transport}").log.rounds
    assert rounds["num_rejected"] == [1] * 4
    assert rounds["num_participants"] == [7] * 4
    without = alone["without client 3"].log.rounds["params_digest"]
    assert [bytes(d) for d in rounds["params_digest"]] == [bytes(d) for d in without]


def test_a_round_of_rejected_updates_alone_changes_nothing(survived: Path) -> None:
    rounds = read_record(survived / "nobody").log.rounds
    assert rounds["num_rejected"] == [0, 0, 7, 0]
    digests = [bytes(d) for d in rounds["params_digest"]]
    assert digests[2] == digests[1] != digests[3]


@pytest.mark.parametrize("num_ranks", [1, 3])
def test_a_rejected_update_stops_the_run_if_it_is_told_to(tmp_path: Path, num_ranks: int) -> None:
    ended = faulty(
        '{"do": "nan", "client": 3, "round": 2}', num_ranks, tmp_path / "a",
        "participation.drop_probability=0.0", "server.on_rejected=stop",
    )  # fmt: skip
    assert ended.rc == 1
    message = "round 2: updates of clients [3]"
    assert message in ended.stderr
    assert ended.stderr.count(message) == 1
    assert "Traceback" not in ended.stderr
    record = read_record(tmp_path / "a")
    assert record.attributes["status"] == "failed"
    assert message in record.attributes["error"]
    assert record.attempts[-1]["ended"].startswith("failed: ")
    assert record.log.num_rounds == record.checkpoint["round"] == 2


def test_a_failed_run_can_be_resumed(tmp_path: Path, alone: dict[str, Record]) -> None:
    faulty('{"do": "nan", "client": 3, "round": 2}', 2, tmp_path / "a", *STOPS)
    assert toy(2, tmp_path / "a", *STOPS, options=["--resume"]).rc == 0
    resumed = read_record(tmp_path / "a")
    assert resumed.params.tobytes() == alone["all"].params.tobytes()
    assert resumed.attributes["status"] == "finished"
    assert resumed.attributes["error"] == ""


def test_a_run_that_failed_after_its_last_round_is_finished_without_another(
    tmp_path: Path, survived: Path
) -> None:
    before = {verdict: read_record(survived / f"verdict {verdict}") for verdict in VERDICTS}
    runs = [
        Run(TOY, DIVERGES, str(survived / f"verdict {verdict}"), resume=True)
        for verdict in VERDICTS
    ]
    for run in runs:
        with edited(Path(run.out) / RUN_FILE) as file:
            file.attrs["status"], file.attrs["error"] = "failed", "the disk was full"
    ways.train(tmp_path, 3, runs)
    for verdict, whole in before.items():
        assert whole.attributes["verdict"] == verdict
        assert whole.log.num_rounds == (3 if verdict else 4)
        found = read_record(survived / f"verdict {verdict}")
        assert (found.attributes["status"], found.attributes["error"]) == ("finished", "")
        assert found.log.num_rounds == whole.log.num_rounds
        assert found.params.tobytes() == whole.params.tobytes()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ('{"do": "raise", "rank": RANK, "round": 1}', "ValueError: the toy network broke"),
        ('{"do": "load", "rank": RANK}', "RuntimeError: the toy data cannot be read"),
    ],
    ids=["training", "loading"],
)
@pytest.mark.parametrize("rank", [0, 2])
def test_an_exception_on_one_rank_ends_all_with_its_message_first(
    tmp_path: Path, fault: str, error: str, rank: int
) -> None:
    ended = faulty(fault.replace("RANK", str(rank)), 3, tmp_path / "a")
    assert ended.rc == 1
    assert ended.seconds < 10 + START_S
    first = next(line for line in ended.stderr.splitlines() if line.strip())
    assert first == f"rank {rank}: {error}"
    assert ended.stderr.count("Traceback") == 1
    assert (tmp_path / "a").exists() == ("raise" in fault)
    if "raise" in fault:
        record = read_record(tmp_path / "a")
        assert record.attributes["status"] == "failed"
        assert f"rank {rank}: {error}" in record.attributes["error"]
        assert record.log.num_rounds == 1


def test_an_exception_where_no_rank_expects_it_ends_all(tmp_path: Path) -> None:
    ended = faulty('{"do": "display"}', 3, tmp_path / "a")
    assert ended.rc != 0
    assert ended.seconds < 10 + START_S
    assert ended.stderr.splitlines()[0] == "rank 0: RuntimeError: the display broke"
    assert read_record(tmp_path / "a").attributes["status"] == "running"


def test_a_killed_rank_ends_all_and_leaves_a_readable_file(tmp_path: Path) -> None:
    ended = faulty('{"do": "SIGKILL", "rank": 1, "round": 2}', 3, tmp_path / "a")
    assert ended.rc != 0
    assert ended.seconds < 10 + START_S
    assert read_record(tmp_path / "a").log.num_rounds == 2


@pytest.mark.parametrize("how", ["SIGSTOP", "sleep"])
@pytest.mark.parametrize("rank", [0, 1])
def test_the_watchdog_names_the_rank_that_others_wait_for(
    tmp_path: Path, how: str, rank: int
) -> None:
    arguments = toy_arguments(
        tmp_path / "a", "run.watchdog_min=0.01", "participation.drop_probability=0.0"
    )
    fault = f'{{"do": "{how}", "rank": {rank}, "round": 2}}'
    process = start(3, *arguments, environment={FAULT_VARIABLE: fault})
    limit = threading.Timer(60, end, [process])
    limit.start()
    # a stopped rank last spoke up to a beat before it stopped, a sleeping one goes on speaking
    state = "training" if how == "sleep" else "silent: stopped or dead"
    found: list[tuple[str, str]] = []
    try:
        # on a busy machine another rank may be late as well at first, or this one earlier
        while [(number, state in text) for number, text in found] != [(str(rank), True)]:
            said = process.stderr.readline()
            assert said, "the job was ended before the watchdog named the rank"
            found = re.findall(r"rank (\d) \((.*?)\)", said.partition("late: ")[2])
    finally:
        limit.cancel()
        end(process)
    assert "hpcfed watchdog: " in said
    assert "0.01 min" in said


def test_a_full_disk_is_an_error_with_a_message_and_the_last_checkpoint_stays(
    tmp_path: Path,
) -> None:
    runs = [
        Run(TOY, sets, str(tmp_path / name), resume=True)
        for name, sets in {"plain": (), "feedback": ("uplink.error_feedback=true",)}.items()
    ]
    for run in runs:
        out = Path(run.out)
        ended = faulty('{"do": "full disk", "rank": 0, "round": 2}', 2, out, *run.sets)
        assert ended.rc == 1, ended.stderr
        assert ended.stderr.startswith("error: "), ended.stderr
        assert "cannot be written: File too large" in ended.stderr
        assert "Traceback" not in ended.stderr
        record = read_record(out)
        assert record.checkpoint["round"] == record.log.num_rounds
    ways.train(tmp_path, 2, runs)
    for run in runs:
        assert read_record(Path(run.out)).attributes["status"] == "finished"
        left = {path.name for path in Path(run.out).iterdir()}
        assert left <= {"run.h5", "memory-4.npy"}


def test_more_ranks_than_clients_leave_ranks_with_nothing_to_do(
    tmp_path: Path, alone: dict[str, Record]
) -> None:
    assert toy(5, tmp_path / "a", *TWO).rc == 0
    many = read_record(tmp_path / "a")
    assert many.params.tobytes() == alone["two"].params.tobytes()
    assert many.log.participated(2).tolist() == [[True, True]] * 4


@pytest.mark.parametrize("setting", ["server.learning_rate=1e18", "client.learning_rate=1e18"])
def test_a_run_that_diverges_says_so_or_goes_on(tmp_path: Path, setting: str) -> None:
    command = ["-m", "hpcfed", "run", "quickstart", "--out", str(tmp_path / "a")]
    settings = [setting, "client.steps=1", "server.rounds=3", "data.classes=[0, 1]"]
    ended = mpirun(2, *command, *(part for item in settings for part in ("--set", item)))
    assert ended.rc in {0, 1}
    assert "Traceback" not in ended.stderr
