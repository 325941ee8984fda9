"""Sweeps through a real Slurm: all that interrupts one goes on at the same time, then is looked at.

Node n1 is for preemption, n2 for what needs no node of its own, n3 and n4 lose their power.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import xarray

from hpcfed.launch import find_mpirun, settings
from hpcfed.records.runfile import Record, read_record
from hpcfed.records.sweepfolder import Paths
from hpcfed.sweep.planning.resources import packaged_sites
from hpcfed.sweep.slurm import commands as slurm
from hpcfed.sweep.working import claims
from tests.sweep_world import GRID, assert_same, collected, counts, sweep, wait_for, write_sweep

SITE = 'launcher = "mpirun"\nextra = ["{nodes}"]\nwarn_s = {warn_s}\n'
URGENT = """#!/bin/sh
#SBATCH --partition=urgent --nodelist=n1 --exclusive --output=/dev/null
sleep 1
"""
ALL = {"finished": 4}


@dataclass
class Scenario:
    """A sweep in the queue."""

    job: Path
    out: Path
    more: dict[str, str] = field(default_factory=dict)

    def call(self, command: str, *options: object, fast: bool = False) -> str:
        """Run a command on it; ``fast`` lets the toy train without delay."""
        slow = {} if fast else self.more
        told = sweep(command, self.job, "--out", self.out, *options, more=slow)
        assert told.returncode == 0, told.stdout + told.stderr
        return told.stdout

    def jobs(self) -> list[slurm.Queued]:
        """Return its tasks in the queue."""
        return [job for job in slurm.queue() if job.name.startswith(f"{self.job.stem}-")]

    def running(self) -> bool:
        """Say whether two of its runs have begun."""
        return len(list(self.out.glob("runs/*/run.h5"))) >= 2

    def logs(self) -> str:
        """Return what its tasks said."""
        return "\n".join(p.read_text() for p in sorted((self.out / "logs").glob("*_*.log")))

    def wait_until_out_of_the_queue(self, limit_s: float = 150) -> None:
        """Wait until no task of it is left."""
        wait_for(lambda: not self.jobs(), limit_s, pause_s=0.5)


def scenario(
    folder: Path, name: str, resources: str, nodes: str, round_s: float | str = 0, warn_s: int = 30
) -> Scenario:
    """Write a sweep of four runs for some nodes."""
    path = write_sweep(folder / name)
    (folder / name / "site.toml").write_text(SITE.format(nodes=nodes, warn_s=warn_s))
    text = f'{GRID}[resources]\nsite = "site.toml"\n{resources}\n'
    path = path.rename(path.with_name(f"{name}.toml"))
    path.write_text(text)
    return Scenario(path, folder / name / "out", {"HPCFED_TOY_ROUND_S": str(round_s)})


@pytest.fixture(scope="module")
def scenarios(cluster: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scenario]:
    """Submit everything at once."""
    base = tmp_path_factory.mktemp("sweeps")
    packed = "runs_per_task = 2\ntime_min = {}"
    made = {
        "limit": scenario(base, "limit", packed.format(1), "--nodelist=n2", 1000),
        "warned": scenario(base, "warned", packed.format(2), "--nodelist=n2", 20, warn_s=90),
        "power": scenario(base, "power", packed.format(5), "--exclude=n1,n2", 1),
        "preempted": scenario(base, "preempted", packed.format(5), "--nodelist=n1", 1),
        "killed": scenario(base, "killed", packed.format(5), "--nodelist=n2", "1 1000"),
        "cancelled": scenario(base, "cancelled", packed.format(5), "--nodelist=n2", 3),
    }
    for name, each in made.items():
        assert "array job" in each.call("submit")
        if name == "power":  # that a node is lost is noticed after some time
            wait_for(each.running)
            subprocess.run([cluster, "off", node_of(each)], check=True)
        if name == "preempted":
            wait_for(each.running)
            slurm.submit(URGENT)
    return made


def node_of(each: Scenario) -> str:
    """Return the node on which its tasks run."""
    listing = slurm.call(["squeue", "--noheader", "--array", "--format=%j %N"])
    return next(s.split()[1] for s in listing.splitlines() if s.startswith(f"{each.job.stem}-"))


def finish(each: Scenario, undisturbed: xarray.Dataset) -> None:
    """Retry through Slurm, without delays and with time enough, and compare."""
    each.job.write_text(re.sub(r"time_min = \d+", "time_min = 10", each.job.read_text()))
    assert "(0 new, 4 known)" in each.call("plan")
    assert "array job" in each.call("retry", fast=True)
    wait_for(lambda: counts(each.out) == ALL, 120, pause_s=0.5)
    assert_same(collected(each.out), undisturbed)


def test_a_cancelled_sweep_stops_stays_out_of_the_queue_and_can_be_retried(
    scenarios: dict[str, Scenario], undisturbed: xarray.Dataset
) -> None:
    each = scenarios["cancelled"]
    wait_for(each.running)
    assert "cancelled 1 jobs" in each.call("cancel")
    each.wait_until_out_of_the_queue()
    assert "back into the queue" not in each.logs()
    found = counts(each.out)
    assert found["stopped"] == 2
    stopped = [r for p in each.out.glob("runs/*/run.h5") if (r := read_record(p)).attributes]
    assert {r.attributes["status"] for r in stopped} == {"stopped"}
    finish(each, undisturbed)


def test_a_task_killed_at_once_loses_its_claims_by_the_schedulers_word(
    scenarios: dict[str, Scenario], undisturbed: xarray.Dataset
) -> None:
    each = scenarios["killed"]
    wait_for(each.running)
    owners = claims.all_holders(Paths(each.out).claims).values()
    assert {owner.task for owner in owners} == {"0", "1"}
    for owner in owners:
        os.kill(owner.pid, signal.SIGKILL)
    each.wait_until_out_of_the_queue()
    assert len(list((each.out / "claims").iterdir())) == 2
    assert counts(each.out)["stopped"] == 2
    finish(each, undisturbed)


def test_a_preempted_task_stops_requeues_itself_and_goes_on(
    scenarios: dict[str, Scenario], undisturbed: xarray.Dataset
) -> None:
    each = scenarios["preempted"]
    wait_for(lambda: counts(each.out) == ALL, 120, pause_s=0.5)
    assert each.logs().count("back into the queue") == 2
    assert each.logs().count("start 2 on n1") == 2
    assert_same(collected(each.out), undisturbed)


def test_two_throttled_arrays_at_once_do_all_their_runs(
    cluster: Path, undisturbed: xarray.Dataset, tmp_path: Path
) -> None:
    resources = "throttle = 1\nruns_per_task = 1\ntime_min = 5"
    folder = tmp_path / "a b'c\"d\n$(touch pwned)"
    both = [scenario(folder, name, resources, "--nodelist=n2", 0.1) for name in ("one", "two")]
    for each in both:
        each.job.write_text(each.job.read_text().replace("[0.0, 0.5]", "[0.5]"))
        assert "2 tasks, 2 runs" in each.call("submit")
        assert each.call("submit").endswith("nothing to submit\n")
    most = 0
    while any(each.jobs() for each in both):
        for each in both:
            most = max(most, sum(job.state == "RUNNING" for job in each.jobs()))
        time.sleep(0.2)
    assert most == 1
    for each in both:
        assert counts(each.out) == {"finished": 2}
        assert_same(collected(each.out), undisturbed.sel({"uplink.mask_probability": [0.5]}))
    assert not list(tmp_path.rglob("pwned"))
    assert not Path("pwned").exists()


@pytest.mark.parametrize("launcher", ["plain", "srun-pmix", "srun-pmi2"])
def test_runs_of_several_nodes_have_the_same_bits(
    launcher: str, cluster: Path, undisturbed: xarray.Dataset, tmp_path: Path
) -> None:
    is_open_mpi = settings.identify(find_mpirun()).open_mpi > 0
    if launcher != "plain" and is_open_mpi != (launcher == "srun-pmix"):
        pytest.skip(f"{launcher} is for {'MPICH' if is_open_mpi else 'Open MPI'}")
    each = scenario(tmp_path, "nodes", "", "")
    site = packaged_sites()[launcher].read_text() + 'extra = ["--nodes=2"]\n'
    (each.job.parent / "site.toml").write_text(site)
    each.job.write_text(
        each.job.read_text().replace("[0.0, 0.5]", "[0.5]").replace("[0, 1]", "[0]")
        + "ranks_per_run = 3\ntime_min = 5\n"
    )
    each.call("submit")
    wait_for(lambda: counts(each.out) == {"finished": 1}, 90, pause_s=0.5)
    record = read_record(next(each.out.glob("runs/*/run.h5")))
    assert record.attempts[0]["num_ranks"] == 3
    assert re.fullmatch(r"n\d,n\d", record.attempts[0]["hosts"])
    one = undisturbed.sel({"uplink.mask_probability": 0.5, "seed": 0})
    assert [bytes(d).decode() for d in record.log.rounds["params_digest"]] == [
        bytes(d).decode() for d in one["params_digest"].values
    ]


def test_a_lost_node_costs_no_run(
    cluster: Path, scenarios: dict[str, Scenario], undisturbed: xarray.Dataset
) -> None:
    each = scenarios["power"]
    wait_for(lambda: counts(each.out) == ALL, 200, pause_s=1)
    assert "start 2 on " in each.logs()
    assert_same(collected(each.out), undisturbed)
    for node in ("n3", "n4"):
        subprocess.run([cluster, "on", node], check=True)


def test_a_task_warned_of_its_time_limit_stops_at_a_round_and_goes_on_where_it_was(
    scenarios: dict[str, Scenario], undisturbed: xarray.Dataset
) -> None:
    each = scenarios["warned"]
    wait_for(lambda: "back into the queue" in each.logs(), 150, pause_s=0.5)
    for job in {job.job for job in each.jobs()}:  # what was seen is enough: no need for slow rounds
        slurm.cancel([job])
    each.wait_until_out_of_the_queue()
    record = next(
        r for p in each.out.glob("runs/*/run.h5")
        if (r := read_record(p)).attempts[0]["ended"] == "stopped"
    )  # fmt: skip
    assert 0 < record.attempts[0]["last_round"] < 4
    finish(each, undisturbed)
    record = read_record(each.out / "runs" / _digest(each, record) / "run.h5")
    assert record.attempts[1]["first_round"] == record.attempts[0]["last_round"]


def _digest(each: Scenario, record: Record) -> str:
    for path in each.out.glob("runs/*/run.h5"):
        if read_record(path).attributes["config_toml"] == record.attributes["config_toml"]:
            return path.parent.name
    raise AssertionError("no such run")


def test_a_round_longer_than_the_time_limit_leaves_a_run_that_can_be_retried(
    scenarios: dict[str, Scenario], undisturbed: xarray.Dataset
) -> None:
    each = scenarios["limit"]
    each.wait_until_out_of_the_queue()
    found = counts(each.out)
    assert found == {"stopped": 2, "missing": 2}
    finish(each, undisturbed)


SEARCH = """
base = "base.toml"
[search]
method = "random"
minimise = "validation_loss"
evaluations = 9
workers = 3
[search.space]
"server.learning_rate" = { log = [0.05, 1.0] }
[resources]
site = "site.toml"
time_min = 10
"""


def test_a_search_goes_on_after_a_cancelled_task_and_a_lost_node(
    cluster: Path, tmp_path: Path
) -> None:
    each = scenario(tmp_path, "search", "", "--exclusive", 1.0)
    each.job.write_text(SEARCH)
    assert "3 workers" in each.call("submit")
    wait_for(lambda: len(list(each.out.glob("runs/*/run.h5"))) >= 3, 120)
    first, second, third = sorted(each.jobs(), key=lambda job: job.task)
    listing = slurm.call(["squeue", "--noheader", "--array", "--format=%F_%K %N"])
    nodes = dict(line.split()[:2] for line in listing.splitlines() if len(line.split()) == 2)
    slurm.cancel([f"{first.job}_{first.task}"])
    # as before the time limit: it stops its run at the end of a round, and queues itself again
    slurm.call(["scancel", "--signal=USR1", "--batch", f"{third.job}_{third.task}"])
    lost = nodes[f"{second.job}_{second.task}"]
    subprocess.run([cluster, "off", lost], check=True)
    assert "worker" in each.call("retry")  # in place of the one that was cancelled
    wait_for(lambda: counts(each.out) == {"finished": 9}, 200, pause_s=1)
    subprocess.run([cluster, "on", lost], check=True)
    each.call("cancel")
    each.wait_until_out_of_the_queue()
    assert not [claim for claim in (each.out / "claims").iterdir() if claim.name[0] != "."]
    assert "9 proposals come out as recorded" in each.call("replay")
    assert each.logs().count("back into the queue") == 1
    attempts = [len(read_record(path).attempts) for path in each.out.glob("runs/*/run.h5")]
    assert max(attempts) == 2  # what was interrupted has gone on
