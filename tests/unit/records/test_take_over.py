"""A start never overwrites a run file that another one has written since it has read it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hpcfed.base.atomic import replacing
from hpcfed.config.file import parse_experiment
from hpcfed.errors import InputError
from hpcfed.federation.decision import Decision, decide
from hpcfed.records.runfile import write_record
from hpcfed.records.schema import RUN_FILE
from hpcfed.records.state import NOBODY, Holder, glance
from tests.run_files import edited, record

EXPERIMENT = parse_experiment("", ["server.rounds=9"])


def write(folder: Path, holder: Holder) -> None:
    whole = record()
    attributes = whole.attributes | {"attempt": holder.attempt, "writer": holder.writer}
    write_record(folder / RUN_FILE, replace(whole, attributes=attributes))


def plan(folder: Path, before: Decision | None = None) -> Decision:
    return decide(EXPERIMENT, folder, resume=True, before=before)


def test_starts_are_numbered_and_no_two_are_the_same(tmp_path: Path) -> None:
    first, other = plan(tmp_path), plan(tmp_path)
    assert first.base == NOBODY
    assert first.holder.attempt == other.holder.attempt == 1
    assert first.holder != other.holder
    write(tmp_path, first.holder)
    second = plan(tmp_path)
    assert second.base == first.holder
    assert second.holder.attempt == 2


def test_after_a_loss_the_run_goes_on_from_its_own_file_or_the_one_before(tmp_path: Path) -> None:
    write(tmp_path, Holder(3, "x"))
    before = plan(tmp_path)
    assert plan(tmp_path, before).holder.attempt == 5  # 4 may have been about to write
    write(tmp_path, before.holder)
    assert plan(tmp_path, before).base == before.holder


@pytest.mark.parametrize("other", [Holder(5, "y"), Holder(4, "y")], ids=["higher", "as high"])
def test_after_a_loss_a_run_that_others_went_on_with_is_theirs(
    tmp_path: Path, other: Holder
) -> None:
    write(tmp_path, Holder(3, "x"))
    before = plan(tmp_path)
    write(tmp_path, other)
    with pytest.raises(InputError, match=f"start {other.attempt} of this run"):
        plan(tmp_path, before)


def test_a_file_written_before_starts_had_numbers_is_continued(tmp_path: Path) -> None:
    write_record(tmp_path / RUN_FILE, record())

    with edited(tmp_path / RUN_FILE) as file:
        for name in ("attempt", "writer", "written"):
            del file.attrs[name]
        for name in ("lost", "seconds_lost"):
            del file["attempts"][name]
    state = glance(tmp_path / RUN_FILE)
    assert state is not None
    assert state.holder == NOBODY
    assert plan(tmp_path).holder.attempt == 1


def test_the_last_look_is_right_before_the_replacement(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"theirs")

    def taken() -> None:
        assert [p.read_bytes() for p in tmp_path.glob(".file.*.tmp")] == [b"ours"]
        raise InputError("taken over")

    with pytest.raises(InputError), replacing(path, taken) as stream:
        stream.write(b"ours")
    assert path.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [path]
