"""Folders that others could have written to: compiled code, which is a program, is not taken."""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

import numba
import pytest

from hpcfed.base import compiled as compiled_module
from hpcfed.base.private import others_may_write

STRANGER = 12345

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "cache"
    found.mkdir(mode=0o700)
    return found


def test_a_folder_of_our_own_is_trusted_and_so_is_one_to_be_made(folder: Path) -> None:
    assert others_may_write(folder) is None
    assert others_may_write(folder / "deeper" / "still") is None


@pytest.mark.parametrize("mode", [0o777, 0o707, 0o722])
def test_one_that_everybody_may_write_to_is_not(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    assert "everybody may write" in str(others_may_write(folder))
    assert "everybody may write" in str(others_may_write(folder / "below"))


@needs_root
def test_one_of_another_user_or_of_a_group_or_behind_a_strangers_link_is_not(folder: Path) -> None:
    theirs = folder / "theirs"
    theirs.mkdir()
    os.chown(theirs, STRANGER, STRANGER)
    assert "belongs to another user" in str(others_may_write(theirs))
    assert "belongs to another user" in str(others_may_write(theirs / "below"))
    link = folder / "link"
    link.symlink_to(folder)
    assert others_may_write(link) is None
    os.lchown(link, STRANGER, STRANGER)
    assert "belongs to another user" in str(others_may_write(link))
    shared = folder / "shared"
    shared.mkdir()
    os.chown(shared, 0, STRANGER)
    shared.chmod(0o770)
    assert "a group may write" in str(others_may_write(shared))


def test_code_in_such_a_folder_is_neither_loaded_nor_kept_there_and_one_line_says_so(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.delenv("SLURM_TMPDIR", raising=False)
    monkeypatch.setenv("HPCFED_CACHE", str(folder))
    monkeypatch.setattr(compiled_module, "private_folder", lambda: tmp_path / "ours")
    (tmp_path / "ours").mkdir(mode=0o700)
    open_folder = folder / "compiled"
    open_folder.mkdir()
    open_folder.chmod(0o777)
    with caplog.at_level(logging.WARNING, logger="hpcfed"):
        compiled_module._keep("kernel.code", b"code")
        assert compiled_module._find("kernel.code") == b"code"
    assert [path.name for path in open_folder.iterdir()] == []
    assert (tmp_path / "ours" / "compiled" / "kernel.code").exists()
    head = compiled_module._MAGIC + hashlib.sha256(b"evil").digest()
    (open_folder / "planted.code").write_bytes(head + b"evil")
    assert compiled_module._find("planted.code") is None
    said = [record for record in caplog.records if "is not used" in record.message]
    assert len(said) == 1
    assert "everybody may write" in said[0].message
