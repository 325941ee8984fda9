"""What a start finds: clocks that differ, folders that are given as text."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

import hpcfed
from hpcfed.config.file import parse_experiment
from hpcfed.records.runfile import read_record, write_record
from hpcfed.records.schema import RUN_FILE
from tests import toy_world


@pytest.mark.parametrize("ahead_s", [-100.0, 3600.0])
def test_seconds_lost_are_never_negative(tmp_path: Path, ahead_s: float) -> None:
    out = str(tmp_path / "out")
    hpcfed.run(parse_experiment("", [*toy_world.SETS, "server.rounds=1"]), out=out)
    record = read_record(Path(out))
    attributes = record.attributes | {"status": "running", "written": time.time() + ahead_s}
    killed = [record.attempts[0] | {"ended": ""}]
    write_record(Path(out, RUN_FILE), replace(record, attributes=attributes, attempts=killed))
    experiment = parse_experiment("", [*toy_world.SETS, "server.rounds=2"])
    hpcfed.run(experiment, out=out, resume=True)
    lost = read_record(Path(out)).attempts[-1]["seconds_lost"]
    assert lost == pytest.approx(max(0.0, -ahead_s), abs=60)
    assert lost >= 0
