"""Runs a script of analysis/ in this process, as ``python analysis/NAME.py`` would."""

from __future__ import annotations

import csv
import runpy
import sys
from pathlib import Path
from unittest import mock

from tests.places import REPOSITORY

ANALYSIS = REPOSITORY / "analysis"


def run_script(name: str, *arguments: str | Path) -> None:
    """Run a script. Raises SystemExit where it ends with another code than 0."""
    place = ANALYSIS / f"{name}.py"
    with mock.patch.object(sys, "argv", [str(place), *map(str, arguments)]):
        try:
            runpy.run_path(str(place), run_name="__main__")
        except SystemExit as stop:
            if stop.code:
                raise


def table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))
