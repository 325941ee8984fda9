"""Runs a script of analysis/ in this process, as ``python analysis/NAME.py`` would."""

from __future__ import annotations

import csv
import importlib.util
import sys
from pathlib import Path
from unittest import mock

from tests.places import REPOSITORY

ANALYSIS = REPOSITORY / "analysis"


def run_script(name: str, *arguments: str | Path) -> None:
    """Run a script's main. Raises SystemExit as the script does."""
    place = ANALYSIS / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"analysis_{name}", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    argv = [str(place), *map(str, arguments)]
    with (
        mock.patch.object(sys, "argv", argv),
        mock.patch.object(sys, "path", [str(ANALYSIS), *sys.path]),
    ):
        spec.loader.exec_module(module)
        module.main()


def table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))
