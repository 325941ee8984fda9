"""A killed run is not called running for ever; names of hosts, and files that say what they are."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from run_files import record

from hpcfed.config.file import read_experiment
from hpcfed.config.jobs import packaged_jobs
from hpcfed.errors import InputError
from hpcfed.launch.hosts import is_host
from hpcfed.launch.restart import Ranks, place_left
from hpcfed.records.runfile import write_record
from hpcfed.records.schema import RUN_FILE
from hpcfed.records.state import status_of
from hpcfed.report.runs import find
from hpcfed.report.summary import summary
from hpcfed.sweep.planning.sweepfile import read_sweep

HERE = os.uname().nodename


def attributes(process: int, began_ns: int, host: str = HERE, status: str = "running") -> dict:
    return {"status": status, "writer": f"{host}.{process}.{began_ns}"}


def dead_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        return process.pid


def test_a_running_process_is_running() -> None:
    assert status_of(attributes(os.getpid(), time.time_ns())) == "running"


def test_a_dead_one_of_this_host_is_not() -> None:
    assert status_of(attributes(dead_process(), time.time_ns())) == "stopped"
    long_ago = time.time_ns() - 10**18
    assert status_of(attributes(os.getpid(), long_ago)) == "stopped"  # another has its number now


@pytest.mark.parametrize("writer", ["", "a", "a.b.c", f"{HERE}.x.1", "elsewhere.1.1"])
def test_of_others_nothing_is_known(writer: str) -> None:
    assert status_of({"status": "running", "writer": writer}) == "running"


def test_a_finished_run_stays_finished() -> None:
    assert status_of(attributes(dead_process(), 1, status="finished")) == "finished"


def test_show_and_report_say_that_a_killed_run_has_died(tmp_path: Path) -> None:
    killed = record()
    killed.attributes.update(attributes(dead_process(), time.time_ns()))
    write_record(tmp_path / RUN_FILE, killed)
    assert dict(summary(tmp_path / RUN_FILE))["status"].startswith("stopped: its process has died")
    assert find(tmp_path).runs[0].status == "stopped"


@pytest.mark.parametrize("name", ["node1", "n-1.cluster.org", "10.0.0.1", "A_b"])
def test_names_of_hosts(name: str) -> None:
    assert is_host(name)


@pytest.mark.parametrize(
    "name", ["", "-x", "a b", "a;b", "a\nb", "$(x)", "a,b", "ä", "--host", "x" * 300]
)
def test_what_is_no_name_of_a_host_never_reaches_mpirun(name: str, tmp_path: Path) -> None:
    assert not is_host(name)
    other = record()
    other.attempts[-1]["hosts"] = f"node1,{name}"
    write_record(tmp_path / RUN_FILE, other)
    asked: list[object] = []
    if "," not in name:
        place = place_left(Ranks(4), tmp_path / RUN_FILE, lambda hosts: asked.append(hosts) or [])
        assert place == Ranks(4)
        assert asked == []


def test_a_sweep_file_and_an_experiment_say_what_they_are() -> None:
    jobs = packaged_jobs()
    with pytest.raises(InputError, match=r"is a sweep file \(it has base, grid\).*hpcfed sweep"):
        read_experiment(jobs["tradeoff"])
    with pytest.raises(InputError, match=r"is an experiment, not a sweep file.*hpcfed run"):
        read_sweep(jobs["quickstart"])
