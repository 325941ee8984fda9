"""Residuals of error feedback on disk: the same bits back, block by block."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from hpcfed.errors import InputError
from hpcfed.federation import memory as residuals
from tests.federation_worlds import LoneTransport

SHAPE = (5, 3)


def kept() -> dict[int, np.ndarray]:
    rows = [[1.5, -0.0, 1e-45], [np.nan, -np.inf, 3.4e38]]
    return {1: np.array(rows[0], np.float32), 4: np.array(rows[1], np.float32)}


@pytest.mark.parametrize("block_bytes", [1, 12, 24, 1 << 20])
def test_every_bit_comes_back_whatever_the_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    monkeypatch.setattr(residuals, "_BLOCK_BYTES", block_bytes)
    path = tmp_path / residuals.file_name(3)
    residuals.save(LoneTransport(), path, kept(), SHAPE)
    found = residuals.load(LoneTransport(), path, {0, 1, 4}, SHAPE)
    expected = kept() | {0: np.zeros(3, np.float32)}
    assert {k: row.tobytes() for k, row in found.items()} == {
        k: row.tobytes() for k, row in expected.items()
    }


def test_the_file_is_a_plain_array_of_all_clients(tmp_path: Path) -> None:
    path = tmp_path / residuals.file_name(3)
    residuals.save(LoneTransport(), path, {2: np.ones(3, np.float32)}, SHAPE)
    stored = np.load(path)
    assert (stored.shape, stored.dtype, path.name) == (SHAPE, np.float32, "residuals-3.npy")
    assert stored[2].tolist() == [1, 1, 1]
    assert [file.name for file in tmp_path.iterdir()] == ["residuals-3.npy"]


def test_only_older_files_and_old_leftovers_are_removed(tmp_path: Path) -> None:
    """A process that wakes after another one has gone on removes nothing of the other's."""
    names = ("residuals-2.npy", "residuals-3.npy", "residuals-12.npy", ".residuals-4.npy.7.tmp",
             ".residuals-5.npy.8.tmp", "run.h5")  # fmt: skip
    for name in names:
        (tmp_path / name).touch()
    os.utime(tmp_path / ".residuals-4.npy.7.tmp", (0, 0))
    residuals.remove_older(tmp_path, "residuals-3.npy")
    left = {"residuals-3.npy", "residuals-12.npy", ".residuals-5.npy.8.tmp", "run.h5"}
    assert {p.name for p in tmp_path.iterdir()} == left
    residuals.remove_older(tmp_path, "")
    assert {p.name for p in tmp_path.iterdir()} == left


@pytest.mark.parametrize("content", [b"", b"not numpy", None])
def test_a_missing_or_damaged_file_is_bad_input(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "residuals-1.npy"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"residuals-1\.npy"):
        residuals.load(LoneTransport(), path, {0}, SHAPE)


def test_a_file_of_another_shape_is_bad_input(tmp_path: Path) -> None:
    path = tmp_path / "residuals-1.npy"
    residuals.save(LoneTransport(), path, {}, (4, 3))
    with pytest.raises(InputError, match="expected"):
        residuals.load(LoneTransport(), path, {0}, SHAPE)


def test_a_cut_file_is_bad_input(tmp_path: Path) -> None:
    path = tmp_path / "residuals-1.npy"
    residuals.save(LoneTransport(), path, kept(), SHAPE)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(InputError, match=r"residuals-1\.npy"):
        residuals.load(LoneTransport(), path, {0}, SHAPE)
