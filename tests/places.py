"""Where the repository lies, and what tests look for in it."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "hpcfed"
GOLDEN = REPOSITORY / "tests" / "golden"
