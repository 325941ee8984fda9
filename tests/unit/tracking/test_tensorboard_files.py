"""TensorBoard's own reader finds what the run file holds, each round once, resumed or not."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import pytest

from hpcfed.config.file import parse_experiment
from hpcfed.federation.run import Request, run
from hpcfed.records.runfile import read_record
from tests import toy_world


def train(out: Path, rounds: int, resume: bool = False) -> list[str]:
    said: list[str] = []
    sets = [f"server.rounds={rounds}", 'run.track=["tensorboard"]', "run.eval_every=2"]
    experiment = parse_experiment("", [*toy_world.SETS, *sets])
    run(Request(lambda: experiment, out, resume, notify=said.append))
    return said


def scalars(out: Path) -> dict[str, list[tuple[int, float]]]:
    """Return (step, value) by name, as TensorBoard shows them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        found = EventAccumulator(str(out / "tensorboard"), {"scalars": 0}).Reload()
    names = found.Tags()["scalars"]
    return {name: [(item.step, item.value) for item in found.Scalars(name)] for name in names}


def test_the_event_files_hold_every_round_once(tmp_path: Path) -> None:
    train(tmp_path, 3)
    train(tmp_path, 5, resume=True)
    assert len(list((tmp_path / "tensorboard").iterdir())) == 2
    shown, log = scalars(tmp_path), read_record(tmp_path).log.rounds
    assert {"train_loss", "mpi_bytes", "seconds_train", "uplink_bytes_total"} <= shown.keys()
    for name, points in shown.items():
        if name in log:
            known = [(i + 1, v) for i, v in enumerate(log[name]) if math.isfinite(v)]
            assert [step for step, _ in points] == [step for step, _ in known], name
            assert [value for _, value in points] == pytest.approx([v for _, v in known]), name
    assert [step for step, _ in shown["test_accuracy"]] == [2, 3, 4, 5]


def test_a_folder_that_cannot_be_made_ends_the_tracking_and_not_the_run(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").write_text("mine")
    said = train(tmp_path, 2)
    assert read_record(tmp_path).attributes["status"] == "finished"
    assert len([text for text in said if text.startswith("warning: tracking by tensorboard")]) == 1
    assert (tmp_path / "tensorboard").read_text() == "mine"
