"""Whole files: siblings that nobody else has or can plant, whatever the process number."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest

from hpcfed.base.atomic import remove_leftovers, replacing, replacing_path


def test_writers_of_one_process_number_do_not_meet(tmp_path: Path) -> None:
    """As in two containers that share a folder, and count processes alike."""
    path = tmp_path / "file"
    with replacing(path) as first:
        first.write(b"first")
        with replacing(path) as second:
            second.write(b"second")
        assert path.read_bytes() == b"second"
    assert path.read_bytes() == b"first"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_link_that_is_planted_is_not_written_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda size: "guessed")
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    (tmp_path / ".file.guessed.tmp").symlink_to(victim)
    with pytest.raises(FileExistsError), replacing(tmp_path / "file") as stream:
        stream.write(b"theirs")
    assert victim.read_bytes() == b"mine"
    assert not (tmp_path / "file").exists()


def test_an_error_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    for manager in (replacing, replacing_path):
        with pytest.raises(RuntimeError), manager(path):
            raise RuntimeError
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_library_may_write_by_the_siblings_path(tmp_path: Path) -> None:
    with replacing_path(tmp_path / "file") as sibling:
        sibling.write_bytes(b"whole")
        assert not (tmp_path / "file").exists()
    assert (tmp_path / "file").read_bytes() == b"whole"


def test_what_a_killed_writer_left_goes_after_an_hour(tmp_path: Path) -> None:
    old, young, other = (tmp_path / f".{n}.tmp" for n in ("run.h5.1", "run.h5.2", "sweep.nc.1"))
    for path in (old, young, other):
        path.touch()
    os.utime(old, (0, 0))
    os.utime(other, (0, 0))
    remove_leftovers(tmp_path, "run.h5")
    assert sorted(tmp_path.iterdir()) == sorted([young, other])
