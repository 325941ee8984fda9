"""The configuration reference of the docs is the one that the model gives."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.places import REPOSITORY

SCRIPT = "scripts/configuration_reference.py"
PAGE = "docs/reference/configuration.md"


def check(root: Path) -> subprocess.CompletedProcess[str]:
    """Run the script of the checkout ``root`` with --check."""
    return subprocess.run(
        [sys.executable, SCRIPT, "--check"],
        cwd=root,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_page_describes_every_key_as_the_model_does() -> None:
    checked = check(REPOSITORY)
    assert checked.returncode == 0, checked.stderr


def test_a_key_that_was_forgotten_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    shutil.copy(REPOSITORY / SCRIPT, tmp_path / "scripts")
    lines = (REPOSITORY / PAGE).read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith("| `proximal`")]
    assert len(kept) == len(lines) - 1
    (tmp_path / PAGE).parent.mkdir(parents=True)
    (tmp_path / PAGE).write_text("".join(kept), encoding="utf-8")
    checked = check(tmp_path)
    assert checked.returncode == 1
    assert f"run python {SCRIPT}" in checked.stderr
