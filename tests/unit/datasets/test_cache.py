"""The event cache gives back what was built, survives damage, and never stops a run."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
import stat
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from hpcfed.datasets.cache import CacheKey, cache_folder, cached, open_samples
from hpcfed.samples.binning import Binning
from hpcfed.samples.events import EventSet, bin_samples

KEY = CacheKey("0" * 64, Binning(1.0, 4))
COUNTS_KEY = CacheKey("0" * 64, Binning(1.0, 4, counts=True))


def build(binning: Binning = KEY.binning) -> EventSet:
    samples = [(np.array([0.1, 0.1, 0.9]), np.array([2, 2, 0])), (np.array([0.5]), np.array([1]))]
    names = (("a", "b", "c"), ("ünal",))
    return bin_samples(samples, [0, 2], [0, 0], binning=binning, num_channels=3, names=names)


def forbidden() -> EventSet:
    raise AssertionError("built again")


def assert_same(first: EventSet, second: EventSet) -> None:
    for field in fields(EventSet):
        one, other = getattr(first, field.name), getattr(second, field.name)
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
        else:
            assert one == other


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HPCFED_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("key", [KEY, COUNTS_KEY], ids=["binary", "counts"])
def test_cached_events_equal_the_built_ones(folder: Path, key: CacheKey) -> None:
    first = cached(key, lambda: build(key.binning))
    assert_same(first, build(key.binning))
    assert_same(cached(key, forbidden), first)


def test_cached_events_are_a_read_only_map_of_the_file(folder: Path) -> None:
    events = cached(KEY, build)
    assert isinstance(events.channels.base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        events.channels[0] = 1


def test_source_and_binning_name_the_file() -> None:
    others = [
        CacheKey("1" * 64, KEY.binning),
        CacheKey("0" * 64, Binning(1.4, 4)),
        CacheKey("0" * 64, Binning(1.0, 5)),
        COUNTS_KEY,
    ]
    assert len({key.file_name for key in [KEY, *others]}) == 5


def test_no_damage_to_the_file_goes_unnoticed(folder: Path) -> None:
    cached(KEY, build)
    path = folder / KEY.file_name
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        assert open_samples(path) is None
    path.write_bytes(whole + b"x")
    assert open_samples(path) is None
    path.write_bytes(whole.replace(b"hpcfed-events-4", b"hpcfed-events-3"))
    assert open_samples(path) is None
    assert_same(cached(KEY, build), build())
    assert path.read_bytes() == whole


def test_each_changed_byte_is_noticed_by_the_first_opener(folder: Path) -> None:
    cached(KEY, build)
    path = folder / KEY.file_name
    whole = path.read_bytes()
    for place in range(0, len(whole), 5):
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        assert open_samples(path) is None, place
    path.write_bytes(damaged)
    assert_same(cached(KEY, build), build())


def test_only_the_first_opener_reads_all_of_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached(KEY, build)
    monkeypatch.setattr(hashlib, "file_digest", None)  # reading it again would be another error
    assert_same(cached(KEY, forbidden), build())


def test_a_channel_or_an_offset_out_of_bounds_never_reaches_a_kernel(folder: Path) -> None:
    """A file may be damaged after it was checked, and look as it did then."""
    cached(KEY, build)
    path = folder / KEY.file_name
    whole, status = path.read_bytes(), path.stat()
    for name in ("channels", "bin_offsets", "sample_offsets", "labels", "groups"):
        array = getattr(build(), name)
        place = whole.rindex(array.tobytes()) if name != "groups" else len(whole) - array.nbytes
        damaged = bytearray(whole)
        damaged[place : place + array.itemsize] = b"\x7f" * array.itemsize
        with path.open("r+b") as file:
            file.write(damaged)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert open_samples(path) is None, name
    with path.open("r+b") as file:
        file.write(whole)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert_same(cached(KEY, forbidden), build())


@pytest.mark.parametrize("locks", [True, False])
def test_racing_builders_leave_the_same_bytes(
    folder: Path, monkeypatch: pytest.MonkeyPatch, locks: bool
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    if not locks:
        monkeypatch.setattr(fcntl, "flock", refuse)
    builds: list[int] = []

    def count() -> EventSet:
        builds.append(1)
        return build()

    with ThreadPoolExecutor(8) as pool:
        for events in pool.map(lambda _: cached(KEY, count), range(8)):
            assert_same(events, build())
    assert 1 <= len(builds) <= (1 if locks else 8)
    content = (folder / KEY.file_name).read_bytes()
    (folder / KEY.file_name).unlink()
    cached(KEY, build)
    assert (folder / KEY.file_name).read_bytes() == content
    assert not list(folder.glob(".*.tmp"))


def test_a_full_disk_leaves_the_events_in_memory(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with caplog.at_level(logging.WARNING, "hpcfed"):
        assert_same(cached(KEY, build), build())
    assert "No space left" in caplog.text
    assert [path.suffix for path in folder.iterdir()] == [".lock"]


def test_a_folder_that_cannot_be_made_leaves_the_events_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HPCFED_CACHE", str(tmp_path / "file" / "cache"))
    with caplog.at_level(logging.WARNING, "hpcfed"):
        assert_same(cached(KEY, build), build())
    assert "stay in memory" in caplog.text


def test_what_a_killed_builder_left_is_removed(folder: Path) -> None:
    cached(KEY, build)
    (folder / KEY.file_name).rename(folder / f".{KEY.file_name}.abc.tmp")
    cached(KEY, build)
    assert not list(folder.glob(".*.tmp"))


def test_an_error_of_the_builder_passes_and_leaves_no_file(folder: Path) -> None:
    with pytest.raises(AssertionError, match="built again"):
        cached(KEY, forbidden)
    assert not list(folder.glob("*.events"))


def test_the_folder_is_the_environments_then_slurms_then_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPCFED_CACHE", str(tmp_path / "ours"))
    monkeypatch.setenv("SLURM_TMPDIR", str(tmp_path / "slurm"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert cache_folder() == tmp_path / "ours"
    monkeypatch.delenv("HPCFED_CACHE")
    assert cache_folder() == tmp_path / "slurm"
    monkeypatch.delenv("SLURM_TMPDIR")
    private = cache_folder()
    assert private == tmp_path / f"hpcfed-{os.getuid()}"
    assert stat.S_IMODE(private.stat().st_mode) == 0o700


@pytest.mark.parametrize("wrong", ["open to others", "a link"])
def test_a_temporary_folder_of_someone_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, wrong: str
) -> None:
    for name in ("HPCFED_CACHE", "SLURM_TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    private = tmp_path / f"hpcfed-{os.getuid()}"
    target = tmp_path / "trap"
    target.mkdir(mode=0o700)
    if wrong == "a link":
        private.symlink_to(target)
    else:
        private.mkdir()
        private.chmod(0o777)
    with caplog.at_level(logging.WARNING, "hpcfed"):
        assert_same(cached(KEY, build), build())
    assert "not a private folder" in caplog.text
    assert not list(target.iterdir())
    assert not list(private.iterdir())
