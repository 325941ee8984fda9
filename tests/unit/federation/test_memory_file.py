"""What clients keep between rounds, on disk: the same bits back, block by block."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from hpcfed.clients.memory import Memory
from hpcfed.errors import InputError
from hpcfed.federation import memory as memories
from tests.federation_worlds import LoneTransport

NUM_CLIENTS, SIZE = 5, 3


def kept() -> Memory:
    rows = [[1.5, -0.0, 1e-45], [np.nan, -np.inf, 3.4e38]]
    pairs = {1: np.array(rows[0], np.float32), 4: np.array(rows[1], np.float32)}
    return Memory(residual=SIZE, rows=pairs)


def loaded(path: Path, mine: set[int], size: int = SIZE) -> dict[int, bytes]:
    found = Memory(residual=size)
    memories.load(LoneTransport(), path, mine, found)
    return {client: row.tobytes() for client, row in found.rows.items()}


@pytest.mark.parametrize("block_bytes", [1, 12, 24, 1 << 20])
def test_every_bit_comes_back_whatever_the_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    monkeypatch.setattr(memories, "_BLOCK_BYTES", block_bytes)
    path = tmp_path / memories.file_name(3)
    memories.save(LoneTransport(), path, kept(), NUM_CLIENTS)
    expected = {client: row.tobytes() for client, row in kept().rows.items()}
    assert loaded(path, {0, 1, 4}) == expected
    assert loaded(path, {0, 1}) == {1: expected[1]}


def test_the_file_is_two_arrays_of_those_who_have_a_memory(tmp_path: Path) -> None:
    path = tmp_path / memories.file_name(3)
    memories.save(LoneTransport(), path, kept(), 10**6)
    with path.open("rb") as stream:
        clients, rows = np.load(stream), np.load(stream)
    assert clients.tolist() == [1, 4]
    assert (rows.shape, rows.dtype, path.name) == ((2, SIZE), np.float32, "memory-3.npy")
    assert [file.name for file in tmp_path.iterdir()] == ["memory-3.npy"]


def test_nobody_has_one_yet(tmp_path: Path) -> None:
    path = tmp_path / memories.file_name(3)
    memories.save(LoneTransport(), path, Memory(residual=SIZE), NUM_CLIENTS)
    assert loaded(path, {0, 1}) == {}


def test_a_file_of_schema_1_has_a_row_for_everybody(tmp_path: Path) -> None:
    rows = np.arange(15, dtype=np.float32).reshape(5, 3)
    np.save(tmp_path / "residuals-3.npy", rows)
    found = loaded(tmp_path / "residuals-3.npy", {0, 4})
    assert found == {0: rows[0].tobytes(), 4: rows[4].tobytes()}


def test_only_older_files_and_old_leftovers_are_removed(tmp_path: Path) -> None:
    """A process that wakes after another one has gone on removes nothing of the other's."""
    names = ("memory-2.npy", "memory-3.npy", "memory-12.npy", ".memory-4.npy.7.tmp",
             ".memory-5.npy.8.tmp", "residuals-2.npy", "run.h5")  # fmt: skip
    for name in names:
        (tmp_path / name).touch()
    os.utime(tmp_path / ".memory-4.npy.7.tmp", (0, 0))
    memories.remove_older(tmp_path, "memory-3.npy")
    left = {"memory-3.npy", "memory-12.npy", ".memory-5.npy.8.tmp", "run.h5"}
    assert {p.name for p in tmp_path.iterdir()} == left
    memories.remove_older(tmp_path, "")
    assert {p.name for p in tmp_path.iterdir()} == left


@pytest.mark.parametrize("content", [b"", b"not numpy", None])
def test_a_missing_or_damaged_file_is_bad_input(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "memory-1.npy"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"memory-1\.npy"):
        loaded(path, {0})


def test_a_file_of_another_size_is_bad_input(tmp_path: Path) -> None:
    path = tmp_path / "memory-1.npy"
    memories.save(LoneTransport(), path, kept(), NUM_CLIENTS)
    with pytest.raises(InputError, match="expected"):
        loaded(path, {0}, SIZE + 1)


@pytest.mark.parametrize("cut", [8, 30, 180])
def test_a_cut_file_is_bad_input(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "memory-1.npy"
    memories.save(LoneTransport(), path, kept(), NUM_CLIENTS)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(InputError, match=r"memory-1\.npy"):
        loaded(path, {0})


def test_residual_and_the_rules_own_are_one_vector() -> None:
    memory = Memory(residual=2, own=1)
    assert (memory.unsent(3), memory.of_rule(3), memory.size) == (None, None, 3)
    memory.keep(3, np.array([1, 2], np.float32), np.array([7], np.float32))
    assert memory.rows[3].tolist() == [1, 2, 7]
    unsent, own = memory.unsent(3), memory.of_rule(3)
    assert (unsent.tolist(), own.tolist()) == ([1, 2], [7])
    for wrong in (None, np.zeros(2, np.float32)):
        with pytest.raises(InputError, match="1 numbers"):
            memory.keep(3, np.zeros(2, np.float32), wrong)
