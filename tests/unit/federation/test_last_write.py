"""A run that ends, and cannot write its end: what it keeps, and how it goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpcfed.config.file import parse_experiment
from hpcfed.errors import StoppedRunError
from hpcfed.federation import recorder
from hpcfed.federation.run import Request, run
from hpcfed.records.runfile import Record, read_record
from tests import toy_world

ENDS = ("participation.drop_probability=0.0", "stop.diverged=true", "run.checkpoint_seconds=0.0")


def train(out: Path, *, resume: bool = False) -> Record:
    """Run the toy world until its updates are all rejected, in round 3; return what is left."""
    experiment = parse_experiment("", [*toy_world.SETS, *ENDS, "server.rounds=6"])
    run(Request(lambda: experiment, out, resume))
    return read_record(out)


def test_a_verdict_on_a_round_that_is_not_kept_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(toy_world.FAULT_VARIABLE, '{"do": "nan", "round": 2}')
    whole = train(tmp_path / "whole")
    assert (whole.attributes["verdict"], whole.log.num_rounds) == ("diverged", 3)

    def full(*_: object) -> None:
        raise StoppedRunError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(recorder, "every_answer", full)  # before anything of the end is written
        with pytest.raises(StoppedRunError):
            train(tmp_path / "a")
    left = read_record(tmp_path / "a")
    assert (left.attributes["status"], left.attributes["verdict"]) == ("failed", "")
    assert left.log.num_rounds == left.checkpoint["round"] == 2
    found = train(tmp_path / "a", resume=True)
    assert (found.attributes["status"], found.attributes["verdict"]) == ("finished", "diverged")
    assert found.log.rounds["params_digest"] == whole.log.rounds["params_digest"]
    assert found.params.tobytes() == whole.params.tobytes()
