"""The configuration that a run file holds: an experiment to go on with, or to run again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any  # Any: an HDF5 attribute is of any scalar type

from hpcfed.config import Experiment
from hpcfed.config.file import parse_experiment
from hpcfed.errors import InputError
from hpcfed.records.reading import opened
from hpcfed.records.schema import RUN_FILE, check

# attributes of runs that do not follow from their configuration alone, and how to make them again
_NOT_ALONE = {
    "converted_from": "was converted from {}, not trained; run that again, and convert it",
    "parent": "goes on with rounds of run {}, of other settings; hpcfed sweep best --write gives "
    "the schedule of a search's winner, and hpcfed sweep follow runs it again",
}


def configured(path: Path, overrides: Sequence[str] = ()) -> Experiment:
    """Return the experiment of a run file, or of the folder that holds it, with overrides.

    Raises InputError for a file that is none of a run's, and for overrides that do not fit.
    """
    return _experiment(*_read(path), overrides)


def recipe(path: Path, overrides: Sequence[str] = ()) -> Experiment:
    """Return the experiment that makes such a run from round 0, with overrides.

    Raises InputError also for a run that its configuration alone does not make.
    """
    file, attributes = _read(path)
    for name, why in _NOT_ALONE.items():
        if value := str(attributes.get(name, "")):
            raise InputError(f"{file}: {why.format(value)}")
    return _experiment(file, attributes, overrides)


def _read(path: Path) -> tuple[Path, dict[str, Any]]:
    """Return the run file at ``path`` or in that folder, and its attributes."""
    file = path / RUN_FILE if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"{file}: no such run file")
    try:
        with opened(file) as content:
            check(content.attrs)
            return file, dict(content.attrs)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None


def _experiment(file: Path, attributes: dict[str, Any], overrides: Sequence[str]) -> Experiment:
    return parse_experiment(str(attributes["config_toml"]), overrides, source=str(file))
