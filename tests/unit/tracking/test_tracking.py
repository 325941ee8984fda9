"""Trackers: they get what the run file holds, at every start, and cannot harm the run."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sweep_files import planned

from hpcfed.config.file import parse_experiment
from hpcfed.errors import InputError
from hpcfed.federation import tracked
from hpcfed.federation.run import Request, run
from hpcfed.records.fork import fork
from hpcfed.records.log import uplink_bytes
from hpcfed.records.runfile import Record, read_record
from hpcfed.sweep.planning.checks import check_against_data
from hpcfed.tracking.tracker import TrackedRun
from hpcfed.tracking.tracking import Tracking, finite
from tests import toy_world

NOTHING = TrackedRun("identity", "name", Path("folder"), {}, "")


class Notes:
    """A tracker that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def open(self, run: TrackedRun) -> None:
        """Note the run."""
        self.told.append(run)

    def log(self, round_number: int, values: Mapping[str, float]) -> None:
        """Note the round."""
        self.told.append((round_number, dict(values)))

    def close(self, status: str) -> None:
        """Note the status."""
        self.told.append(status)


class Broken(Notes):
    """One whose server is gone."""

    def log(self, round_number: int, values: Mapping[str, float]) -> None:
        """Note the round, and fail."""
        super().log(round_number, values)
        raise ConnectionError("no such\nserver")


class Hanging(Notes):
    """One that begins when it is released."""

    def __init__(self, released: threading.Event) -> None:
        super().__init__()
        self.released = released

    def open(self, run: TrackedRun) -> None:
        """Wait."""
        self.released.wait()


def train(out: Path, *sets: str, resume: bool = False) -> tuple[Record, list[str]]:
    """Run the toy world; return the record, and what was said."""
    said: list[str] = []
    experiment = parse_experiment("", [*toy_world.SETS, "server.rounds=3", *sets])
    run(Request(lambda: experiment, out, resume, notify=said.append))
    return read_record(out), said


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> list[Notes]:
    """Let every tracker be one that notes; return those that were made."""
    made: list[Notes] = []

    def make(name: str) -> Notes:
        made.append(Notes())
        return made[-1]

    monkeypatch.setattr(tracked, "Tracking", lambda *given: Tracking(*given, make=make))
    monkeypatch.setattr(
        "hpcfed.tracking.tracker.find_spec", lambda name: SimpleNamespace(origin=name)
    )
    return made


TRACK = 'run.track=["mlflow"]'


def test_a_tracker_gets_the_finite_numbers_of_every_round(
    notes: list[Notes], tmp_path: Path
) -> None:
    record, said = train(tmp_path / "out", TRACK, "run.eval_every=2")
    (tracker,) = notes
    begun, *rounds, status = tracker.told
    assert (begun.name, begun.folder) == ("experiment", tmp_path / "out")
    assert begun.keys["server.rounds"] == 3
    assert "[server]\nrounds = 3" in begun.config
    assert begun.identity == record.attributes["tracked_as"]
    assert status == "finished"
    assert [number for number, _ in rounds] == [1, 2, 3]
    total = 0.0
    for number, values in rounds:
        columns = record.log.rounds
        total += float(uplink_bytes(columns)[number - 1])
        assert values.pop("uplink_bytes_total") == total
        assert "params_digest" not in values
        assert ("test_accuracy" in values) == (number != 1)  # not evaluated after round 1
        expected = finite({name: column[number - 1] for name, column in columns.items()})
        assert values == expected
    assert not [text for text in said if "track" in text]


def test_a_resumed_run_is_the_same_run_and_is_told_from_its_first_round(
    notes: list[Notes], tmp_path: Path
) -> None:
    train(tmp_path / "out", TRACK)
    train(tmp_path / "out", TRACK, "server.rounds=5", resume=True)
    first, second = (tracker.told for tracker in notes)
    assert first[0].identity == second[0].identity
    assert [item[0] for item in second[1:-1]] == [1, 2, 3, 4, 5]
    assert second[1:4] == first[1:4]
    train(tmp_path / "other", TRACK)
    assert notes[2].told[0].identity != first[0].identity


def test_a_run_that_is_tracked_from_its_resume_on_is_told_whole(
    notes: list[Notes], tmp_path: Path
) -> None:
    train(tmp_path / "out")
    assert notes == []
    train(tmp_path / "out", TRACK, "server.rounds=4", resume=True)
    assert [item[0] for item in notes[0].told[1:-1]] == [1, 2, 3, 4]


def test_only_the_root_speaks_to_trackers(notes: list[Notes], tmp_path: Path) -> None:
    record, _ = train(tmp_path / "out", TRACK)
    experiment = parse_experiment("", [*toy_world.SETS, TRACK])
    job: Any = SimpleNamespace(experiment=experiment)
    with tracked.tracking(job, record, tmp_path, False, str) as elsewhere:
        assert elsewhere.log(1, {"a": 1.0}) == ""
    assert len(notes) == 1  # the root's


def test_a_fork_is_another_run_to_trackers(notes: list[Notes], tmp_path: Path) -> None:
    train(tmp_path / "out", TRACK)
    experiment = parse_experiment("", [*toy_world.SETS, "server.rounds=4", TRACK])
    fork(tmp_path / "out", 3, tmp_path / "fork", experiment)
    assert "tracked_as" not in read_record(tmp_path / "fork").attributes


def test_results_have_the_same_bits_with_and_without(notes: list[Notes], tmp_path: Path) -> None:
    with_trackers, _ = train(tmp_path / "a", TRACK)
    without, _ = train(tmp_path / "b")
    assert notes
    assert "tracked_as" not in without.attributes
    assert with_trackers.log.rounds["params_digest"] == without.log.rounds["params_digest"]
    digests = {record.attributes["config_digest"] for record in (with_trackers, without)}
    assert len(digests) == 1


def test_a_run_that_fails_is_closed_as_failed(
    notes: list[Notes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(toy_world.FAULT_VARIABLE, '{"do": "nan", "round": 1}')
    with pytest.raises(Exception, match="not finite"):
        train(tmp_path / "out", TRACK, "server.on_rejected=stop")
    assert notes[0].told[-1] == "failed"


def test_a_tracker_that_fails_is_told_once_and_gets_no_more() -> None:
    said: list[str] = []
    broken, fine = Broken(), Notes()
    made = {"mlflow": broken, "wandb": fine}
    with Tracking(("mlflow", "wandb"), NOTHING, said.append, made.__getitem__) as tracking:
        tracking.log(1, {"a": 1.0})
        tracking._lines[0].join(60)
        texts = [tracking.log(number, {"a": 1.0}) for number in (2, 3)]
        tracking.status = "finished"
    assert texts == ["mlflow: ConnectionError: no such server"] * 2
    assert said == ["warning: tracking by mlflow: ConnectionError: no such server; "
                    "the run goes on without"]  # fmt: skip
    assert broken.told == [NOTHING, (1, {"a": 1.0})]
    assert [item[0] for item in fine.told[1:-1]] == [1, 2, 3]
    assert fine.told[-1] == "finished"


def test_a_tracker_that_hangs_delays_no_round_and_is_left_at_the_end() -> None:
    said: list[str] = []
    released = threading.Event()
    with Tracking(("wandb",), NOTHING, said.append, lambda name: Hanging(released), 0.0) as found:
        assert [found.log(number, {"a": 1.0}) for number in range(1000)] == [""] * 1000
    released.set()
    assert said == ["warning: tracking by wandb: has not sent everything in time; "
                    "the run goes on without"]  # fmt: skip


def test_what_has_failed_is_kept_in_the_run_file_until_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Prompt(Tracking):
        def log(self, round_number: int, values: Mapping[str, Any]) -> str:
            super().log(round_number, values)
            self._lines[0].join(60)
            return super().log(round_number, values)

    monkeypatch.setattr(
        tracked, "Tracking", lambda *given: Prompt(*given, make=lambda name: Broken())
    )
    monkeypatch.setattr(
        "hpcfed.tracking.tracker.find_spec", lambda name: SimpleNamespace(origin=name)
    )
    record, said = train(tmp_path / "out", TRACK)
    assert record.attributes["status"] == "finished"
    assert record.attributes["tracking_error"] == "mlflow: ConnectionError: no such server"
    assert len([text for text in said if "tracking by mlflow" in text]) == 1
    monkeypatch.setattr(
        tracked, "Tracking", lambda *given: Tracking(*given, make=lambda name: Notes())
    )
    record, _ = train(tmp_path / "out", TRACK, "server.rounds=4", resume=True)
    assert "tracking_error" not in record.attributes


@pytest.mark.parametrize("spec", [None, SimpleNamespace(origin=None)])  # or but a folder
def test_what_is_not_installed_is_one_error_before_anything_is_written(
    spec: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpcfed.tracking.tracker.find_spec", lambda name: spec)
    with pytest.raises(InputError, match=r"asks for mlflow.* pip install mlflow"):
        train(tmp_path / "out", TRACK)
    assert not (tmp_path / "out").exists()


def test_a_sweep_says_at_its_planning_that_a_tracker_is_not_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpcfed.tracking.tracker.find_spec", lambda name: None)
    sets = "\n".join(
        ['"data.dataset" = "tests.toy_world:load"', '"run.track" = ["mlflow", "wandb"]']
    )
    manifest, _ = planned(tmp_path, f"[grid]\nseed = [0, 1]\n[set]\n{sets}")
    (note,) = check_against_data(manifest.current)
    assert "asks for mlflow and wandb" in note
