"""What goes wrong on one rank: who says so, how soon all ranks end, what is left."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

from hpcfed.records.runfile import read_record
from hpcfed.records.schema import RUN_FILE
from tests.mpi.launch import end, mpirun, start, toy, toy_arguments
from tests.run_files import edited
from tests.toy_world import FAULT_VARIABLE

pytestmark = pytest.mark.mpi

START_S = 10  # of three interpreters on a busy machine


def faulty(fault: str, num_ranks: int, out: Path, *sets: str):
    return toy(num_ranks, out, *sets, environment={FAULT_VARIABLE: fault}, limit_s=30)


@pytest.fixture(scope="module")
def without_client_3(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Return the digests of a run in which client 3 drops out of every round."""
    dropped = "participation.drop_probability=[0.0,0.0,0.0,1.0,0.0,0.0,0.0]"
    out = tmp_path_factory.mktemp("without") / "a"
    assert toy(1, out, dropped).rc == 0
    return [bytes(d) for d in read_record(out).log.rounds["params_digest"]]


@pytest.mark.parametrize("bad", ["nan", "huge"])
@pytest.mark.parametrize("transport", ["gather", "reduce"])
def test_a_rejected_update_is_left_out_and_recorded(
    tmp_path: Path, without_client_3: list[bytes], bad: str, transport: str
) -> None:
    everybody = ("participation.drop_probability=0.0", f"uplink.transport={transport}")
    ended = faulty(f'{{"do": "{bad}", "client": 3}}', 2, tmp_path / "a", *everybody)
    assert ended.rc == 0, ended.stderr
    rounds = read_record(tmp_path / "a").log.rounds
    assert rounds["num_rejected"] == [1] * 4
    assert rounds["num_participants"] == [7] * 4
    assert [bytes(d) for d in rounds["params_digest"]] == without_client_3


def test_a_round_of_rejected_updates_alone_changes_nothing(tmp_path: Path) -> None:
    ended = faulty(
        '{"do": "nan", "round": 2}', 2, tmp_path / "a", "server.optimizer=momentum",
        "participation.drop_probability=0.0",
    )  # fmt: skip
    assert ended.rc == 0, ended.stderr
    rounds = read_record(tmp_path / "a").log.rounds
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


def test_a_failed_run_can_be_resumed(tmp_path: Path) -> None:
    sets = ("participation.drop_probability=0.0", "server.on_rejected=stop")
    faulty('{"do": "nan", "client": 3, "round": 2}', 2, tmp_path / "a", *sets)
    assert toy(2, tmp_path / "a", *sets, options=["--resume"]).rc == 0
    assert toy(1, tmp_path / "b", *sets).rc == 0
    resumed, whole = read_record(tmp_path / "a"), read_record(tmp_path / "b")
    assert resumed.params.tobytes() == whole.params.tobytes()
    assert resumed.attributes["status"] == "finished"
    assert resumed.attributes["error"] == ""


@pytest.mark.parametrize("verdict", ["", "diverged"])
def test_a_run_that_failed_after_its_last_round_is_finished_without_another(
    tmp_path: Path, verdict: str
) -> None:
    sets = ("participation.drop_probability=0.0", "stop.diverged=true")
    nobody = '{"do": "nan", "round": 2}' if verdict else '{"do": "nan", "round": 9}'
    assert faulty(nobody, 2, tmp_path / "a", *sets).rc == 0
    whole = read_record(tmp_path / "a")
    assert whole.attributes["verdict"] == verdict
    assert whole.log.num_rounds == (3 if verdict else 4)
    with edited(tmp_path / "a" / RUN_FILE) as file:
        file.attrs["status"], file.attrs["error"] = "failed", "the disk was full"
    assert toy(3, tmp_path / "a", *sets, options=["--resume"]).rc == 0
    found = read_record(tmp_path / "a")
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
    for name, sets in (("plain", ()), ("feedback", ("uplink.error_feedback=true",))):
        ended = faulty('{"do": "full disk", "rank": 0, "round": 2}', 2, tmp_path / name, *sets)
        assert ended.rc == 1, ended.stderr
        assert ended.stderr.startswith("error: "), ended.stderr
        assert "cannot be written: File too large" in ended.stderr
        assert "Traceback" not in ended.stderr
        record = read_record(tmp_path / name)
        assert record.checkpoint["round"] == record.log.num_rounds
        assert toy(2, tmp_path / name, *sets, options=["--resume"]).rc == 0
        assert read_record(tmp_path / name).attributes["status"] == "finished"
        left = {path.name for path in (tmp_path / name).iterdir()}
        assert left <= {"run.h5", "memory-4.npy"}


def test_more_ranks_than_clients_leave_ranks_with_nothing_to_do(tmp_path: Path) -> None:
    two = ("partition.num_clients=2", "participation.drop_probability=0.0")
    assert toy(5, tmp_path / "a", *two).rc == 0
    assert toy(1, tmp_path / "b", *two).rc == 0
    many, one = read_record(tmp_path / "a"), read_record(tmp_path / "b")
    assert many.params.tobytes() == one.params.tobytes()
    assert many.log.participated(2).tolist() == [[True, True]] * 4


@pytest.mark.parametrize("setting", ["server.learning_rate=1e18", "client.learning_rate=1e18"])
def test_a_run_that_diverges_says_so_or_goes_on(tmp_path: Path, setting: str) -> None:
    command = ["-m", "hpcfed", "run", "quickstart", "--out", str(tmp_path / "a")]
    settings = [setting, "client.steps=1", "server.rounds=3", "data.classes=[0, 1]"]
    ended = mpirun(2, *command, *(part for item in settings for part in ("--set", item)))
    assert ended.rc in {0, 1}
    assert "Traceback" not in ended.stderr
