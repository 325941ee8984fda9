"""The command that writes JSON schemas of job and sweep files, and where they lie."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpcfed.errors import InputError

if TYPE_CHECKING:
    from hpcfed.config.json_schema import Json

JOB_SCHEMA, SWEEP_SCHEMA = "hpcfed.schema.json", "hpcfed-sweep.schema.json"


def schema(
    out: Annotated[Path, typer.Option(help="folder to write into")] = Path(),
) -> None:
    """Write JSON schemas, by which editors complete and check job and sweep files.

    A file names its schema on its first line: #:schema ./hpcfed.schema.json for a job, #:schema
    ./hpcfed-sweep.schema.json for a sweep or a search.
    """
    from hpcfed.config.json_schema import experiment_schema
    from hpcfed.sweep.planning.json_schema import sweep_schema

    contents = {JOB_SCHEMA: experiment_schema(), SWEEP_SCHEMA: sweep_schema()}
    for name, content in contents.items():
        _check_ours(out / name, content)
    for name, content in contents.items():
        write_json(out / name, content)
        print(out / name)


def write_json(path: Path, content: Json) -> None:
    """Replace a file whole. Raises InputError where it cannot be written."""
    from hpcfed.base.atomic import replacing

    try:
        with replacing(path) as stream:
            stream.write((json.dumps(content) + "\n").encode())
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written: {error.strerror}; give a folder that is there, and that "
            "you may write to"
        ) from None


def _check_ours(path: Path, content: Json) -> None:
    """Raise InputError for a file that is there and none that this command has written."""
    if not path.exists():
        return
    try:
        title = json.loads(path.read_text(encoding="utf-8"))["title"]
    except (OSError, ValueError, KeyError, TypeError):
        title = None
    if title != content["title"]:
        raise InputError(
            f"{path}: is there, and is no schema of hpcfed's; move it away, or choose another "
            "folder with --out"
        )
