"""Clients drawn for a round, and stragglers among them: recorded, and the same on any ranks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpcfed.records.runfile import Record
from tests.mpi.launch import toy
from tests.mpi.ways import toy_runs

pytestmark = pytest.mark.mpi

NONE = "participation.drop_probability=0.0"
DRAWN = (NONE, "participation.clients_per_round=4", "server.rounds=20")
LATE = (*DRAWN, "participation.straggler_probability=0.5")
FIRST = (*LATE, "participation.first_is_on_time=true")
ALL = (NONE, "participation.straggler_probability=0.5", "server.rounds=20", "server.average=all",
       "server.rescale=true")  # fmt: skip


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    return toy_runs(1, tmp_path_factory.mktemp("alone"), DRAWN, LATE, FIRST, ALL)


def test_so_many_clients_take_part_in_every_round(records: list[Record]) -> None:
    drawn = records[0]
    assert drawn.log.rounds["num_participants"] == [4] * 20
    assert drawn.log.rounds["num_late"] == [0] * 20
    assert (drawn.log.participated(7).sum(axis=0) > 3).all()  # everybody, sooner or later


def test_stragglers_are_some_of_those_that_were_drawn(records: list[Record]) -> None:
    drawn, late, first = (record.log.participated(7) for record in records[:3])
    assert not (late & ~drawn).any()
    assert not (late & ~first).any()
    counts = np.array(records[1].log.rounds["num_participants"])
    assert 20 < counts.sum() < 60  # half of 80, within 4.5 standard deviations
    assert (counts + records[1].log.rounds["num_late"]).tolist() == [4] * 20
    firsts = drawn.argmax(axis=1)
    assert first[np.arange(20), firsts].all()
    assert not late[np.arange(20), firsts].all()
    others = drawn & (np.arange(7) != firsts[:, None])
    np.testing.assert_array_equal(first & others, late & others)
    rows = records[1].log.late_rows()
    fell_out = np.zeros((20, 7), bool)
    fell_out[rows["round"] - 1, rows["client"]] = True
    np.testing.assert_array_equal(fell_out, drawn & ~late)
    sent_down = np.array(records[1].log.rounds["downlink_bytes"])
    assert (sent_down == records[0].log.rounds["downlink_bytes"]).all()  # they had begun


def test_they_are_the_same_on_three_ranks(tmp_path: Path, records: list[Record]) -> None:
    for found, alone in zip(toy_runs(3, tmp_path, FIRST, ALL), records[2:], strict=True):
        assert found.params.tobytes() == alone.params.tobytes()
        np.testing.assert_array_equal(found.log.participated(7), alone.log.participated(7))
        for one, other in zip(found.log.late, alone.log.late, strict=True):
            np.testing.assert_array_equal(one, other)


def test_more_clients_than_there_are_cannot_take_part(tmp_path: Path) -> None:
    ended = toy(2, tmp_path / "a", NONE, "participation.clients_per_round=8")
    assert ended.rc == 2
    assert "clients_per_round = 8, but there are 7 clients" in ended.stderr
