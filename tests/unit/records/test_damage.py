"""Run files that cannot be opened are left alone; damaged ones end in one line, whoever reads."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from run_files import edited, record

from hpcfed.config import Experiment
from hpcfed.errors import InputError
from hpcfed.federation.decision import decide
from hpcfed.records import columns, state
from hpcfed.records.reading import DamagedFileError
from hpcfed.records.runfile import is_damaged, read_record, write_record
from hpcfed.records.schema import RUN_FILE
from hpcfed.report.runs import find
from hpcfed.report.summary import print_summary
from hpcfed.sweep.working.worker import set_aside_unreadable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a whole run file in a folder of its own."""
    found = tmp_path / "run" / RUN_FILE
    found.parent.mkdir()
    write_record(found, record())
    return found


def resume(path: Path) -> None:
    decide(Experiment(), path.parent, resume=True)


READERS: dict[str, Callable[[Path], object]] = {
    "show": print_summary,
    "report": find,
    "resume": resume,
    "record": read_record,
    "columns": columns.read_columns,
    "collect": lambda path: columns.read_columns(path, with_clients=True),
    "status": state.glance_at,
}


def test_a_file_that_another_process_holds_open_is_read(path: Path) -> None:
    with path.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)  # as HDF5 does
        assert read_record(path).attributes["status"] == record().attributes["status"]
        assert state.glance(path) is not None
        assert not is_damaged(path)
        set_aside_unreadable(path)
    assert path.exists()


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES, errno.ENOLCK])
def test_a_file_that_the_system_refuses_is_left_alone_and_the_reason_is_named(
    path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=rf"{os.strerror(number)}.*left as it is"):
        read_record(path)
    assert not is_damaged(path)
    set_aside_unreadable(path)
    assert path.exists()


def test_an_error_of_the_disk_within_the_file_does_not_set_it_aside(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(h5py.Dataset, "__getitem__", failing)
    with pytest.raises(InputError, match="left as it is"):
        read_record(path)
    set_aside_unreadable(path)
    assert path.exists()


@pytest.mark.parametrize("content", [b"", b"broken", None])
def test_a_file_that_opens_and_is_damaged_is_set_aside(path: Path, content: bytes | None) -> None:
    path.write_bytes(path.read_bytes()[:3000] if content is None else content)
    with pytest.raises(DamagedFileError):
        state.glance_at(path)
    set_aside_unreadable(path)
    assert not path.exists()
    assert len(list(path.parent.glob("unreadable-*.h5"))) == 1


def test_a_file_of_a_newer_schema_is_neither_damaged_nor_set_aside(path: Path) -> None:
    with edited(path) as file:
        file.attrs["schema_version"] = 99
    with pytest.raises(InputError, match="newer"):
        read_record(path)
    set_aside_unreadable(path)
    assert path.exists()


@pytest.mark.parametrize("seed", range(4))
def test_changed_bytes_end_in_one_line_or_in_numbers(path: Path, seed: int) -> None:
    rng, whole = np.random.default_rng(seed), path.read_bytes()
    refused = 0
    for _ in range(60):
        content = np.frombuffer(whole, np.uint8).copy()
        places = rng.integers(0, len(content), rng.integers(1, 40))
        content[places] = rng.integers(0, 256, len(places))
        path.write_bytes(content.tobytes())
        for read in READERS.values():
            try:
                read(path)
            except InputError as error:
                refused += 1
                assert "\n" not in str(error)
    assert refused > 100
