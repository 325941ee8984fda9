"""What a plan proposes and says: by hand from timings, and bytes against those of a run."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest
from sweep_files import norse, planned, written

from hpcfed.datasets import load
from hpcfed.errors import InputError
from hpcfed.federation.run import Request, run
from hpcfed.records.log import uplink_bytes
from hpcfed.records.runfile import read_record
from hpcfed.records.sweepfolder import Paths
from hpcfed.sweep.planning import timing
from hpcfed.sweep.planning.planned_run import PlannedRun
from hpcfed.sweep.planning.prediction import Prediction
from hpcfed.sweep.planning.proposal import Proposal, lines, lines_of_search, propose
from hpcfed.sweep.planning.resources import Resources, Site
from hpcfed.sweep.planning.searches import plan_search
from hpcfed.sweep.planning.timing import Costs, Measured
from hpcfed.sweep.planning.traffic import traffic
from tests.toy_world import SETS

MIB = 2**20
SEARCH = """
[set]
data.validation_fraction = 0.2
[search]
maximise = "validation_accuracy"
evaluations = 8
[search.space]
"client.learning_rate" = { log = [1e-3, 1e-1] }
"""
FOUND = Prediction(
    core_hours=1.5,
    gpu_hours=None,
    run_seconds=(600.0, 900.0),
    start_seconds=30.0,
    memory_bytes=400 * MIB,
    uplink_bytes=3e6,
    downlink_bytes=5e9,
    num_timed=2,
    seconds=9.0,
)


def proposed(num_runs: int = 50, found: Prediction = FOUND, **keys: int) -> Proposal:
    return propose(found, Resources.model_validate(keys), Site(warn_s=90), num_runs)


def test_a_task_is_an_hour_of_runs_and_its_limit_half_as_long_again() -> None:
    # 3600 s / 600 s; 1.5 (30 + 6 x 900) s + 90 s = 137.25 min; 1.25 x 400 MiB = 500
    assert proposed() == Proposal(6, 140, 512)


def test_runs_at_once_and_few_runs_and_long_runs() -> None:
    assert proposed(concurrent_runs=4).runs_per_task == 24
    assert proposed(num_runs=3) == Proposal(3, 70, 512)  # 1.5 (30 + 2700) s + 90 s = 69.75 min
    assert proposed(num_runs=3, concurrent_runs=2) == Proposal(3, 50, 512)  # two in turn
    slow = replace(FOUND, run_seconds=(9000.0, 9000.0))
    assert proposed(found=slow) == Proposal(1, 230, 512)  # 1.5 x 9030 s + 90 s = 227.25 min


def test_memory_is_that_of_all_ranks() -> None:
    assert proposed(ranks_per_run=3).memory_mib == 1536


def test_a_run_on_ranks_shares_what_can_be_shared(tmp_path: Path) -> None:
    experiment = planned(tmp_path, '[set]\n"participation.drop_probability" = 0.25')[0].runs[0]
    costs = Costs(0.5, 0.1, 2.0, 3.0, num_clients=8, share=1.0, on_gpu=False)
    # three rounds of six participants, three evaluations
    assert costs.seconds(experiment.experiment, 1) == pytest.approx(3 * 0.5 * 6 + 6 + 0.3 + 3)
    assert costs.seconds(experiment.experiment, 4) == pytest.approx(15 / 4 + 3.3)


def test_the_plan_says_engine_bytes_and_what_changes(tmp_path: Path) -> None:
    manifest, _ = planned(tmp_path, "[resources]\ntime_min = 140\ngpus = 2")
    told = list(lines(FOUND, manifest, 50))
    assert told[0] == "predicted: 1.5 core-hours for 50 runs (2 kinds timed in 9 s)"
    assert "  all runs: clients send 3 MB and receive 5 GB" in told
    assert any(line.startswith("  GPU-hours are not known") for line in told)
    assert told[-4:] == [
        "[resources]",
        "runs_per_task = 6   # now 1",
        "time_min = 140",
        "memory_mib = 512   # now absent",
    ]
    known = list(lines(replace(FOUND, gpu_hours=12.0), manifest, 50))
    assert "  all runs: 12 GPU-hours, on 2 at once" in known


def test_the_plan_of_a_search_says_what_a_whole_run_takes(tmp_path: Path) -> None:
    sweep = written(tmp_path, SEARCH)
    assert sweep.search is not None
    manifest = plan_search(sweep, sweep.search, Paths(tmp_path / "out"), norse).manifest
    told = list(lines_of_search(FOUND, manifest, 2))
    assert told[0].startswith("predicted: 0.75 core-hours a whole run, 6 for 8 without stops")
    assert "  a whole run: clients send 1.5 MB and receive 2.5 GB" in told
    # a worker tries two points: 1.5 (30 + 2 x 900) s + 90 s = 47.25 min
    assert told[-2:] == ["time_min = 50   # now 60", "memory_mib = 512   # now absent"]


@pytest.mark.parametrize(
    "keys",
    [
        ("uplink.mask=none",),
        ("uplink.mask=top-k", "uplink.mask_probability=0.75", "participation.clients_per_round=3"),
        ("uplink.mask=random-k", "uplink.mask_probability=0.5", "uplink.dtype=int8"),
    ],
)
def test_bytes_are_those_that_a_run_then_sends(tmp_path: Path, keys: tuple[str, ...]) -> None:
    pairs = (item.partition("=") for item in (*SETS, *keys))
    toys = "\n".join(f'"{key}" = {_toml(value)}' for key, _, value in pairs)
    manifest, _ = planned(tmp_path, f"[set]\n{toys}")
    one: PlannedRun = manifest.runs[0]
    said = traffic([one], load)[one.digest]
    run(Request(lambda: one.experiment, tmp_path / "run"))
    rounds = read_record(tmp_path / "run").log.rounds
    assert said.up == pytest.approx(float(uplink_bytes(rounds).sum()))
    assert said.down == pytest.approx(sum(rounds["downlink_bytes"]))


def _toml(value: str) -> str:
    return value if value[0] in "[0123456789" else f'"{value}"'


def test_a_process_that_is_killed_while_it_times_is_one_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(timing, "get_context", lambda kind: get_context("fork"))
    with pytest.raises(InputError, match="timing runs: their process was killed"):
        timing._elsewhere(_killed, [])


def _killed(experiments: object) -> Measured:
    os._exit(137)


def test_a_process_knows_its_peak_of_memory() -> None:
    script = (
        "from hpcfed.base.machine import peak_memory_bytes as peak\n"
        f"before, held = peak(), b'x' * {64 * MIB}\n"
        "del held\n"
        "print(before, peak())"
    )
    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    )
    before, after = map(int, told.stdout.split())
    assert before + 60 * MIB < after < before + 100 * MIB
