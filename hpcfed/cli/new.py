"""The command that writes a commented job file."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from hpcfed.cli.completing import complete_job
from hpcfed.cli.schema import JOB_SCHEMA, write_json
from hpcfed.errors import InputError

_HEAD = """#:schema ./{schema}
# {name}: begun from {base}. Run it: hpcfed run {path}
# Lines that begin with # and no space are keys that are not set; without the # they are.
# Where a key is absent by default, its value is an example."""


def new(
    name: Annotated[str, typer.Argument(help="name of the job; the file is NAME.toml")],
    base: Annotated[
        Path,
        typer.Option(
            "--from", help="job file, or packaged job, to begin from", autocompletion=complete_job
        ),
    ] = Path("quickstart"),
) -> None:
    """Write a job file with every key of its tables, its meaning and its default.

    A JSON schema lies beside it, by which editors complete and check it.
    """
    from hpcfed.config.json_schema import experiment_schema

    path = Path(name if name.endswith(".toml") else f"{name}.toml")
    if path.stem.startswith(".") or not path.stem.isprintable():
        raise InputError(f"{name!r}: expected the name of a job, as in hpcfed new mine")
    text = _text(path, base)
    if path.exists():
        raise InputError(f"{path}: is there already; choose another name, or move it away")
    schema = path.with_name(JOB_SCHEMA)
    if not schema.exists():
        write_json(schema, experiment_schema())
    _write(path, text)
    print(path)


def _text(path: Path, base: Path) -> str:
    """Return the job file that is begun from ``base``. Raises InputError."""
    from hpcfed.config.file import read_experiment
    from hpcfed.config.jobs import find_job
    from hpcfed.config.tables import read_toml
    from hpcfed.config.template import job_text

    found = find_job(base)
    read_experiment(found, [{"name": path.stem}])
    tree, _ = read_toml(found, "job file")
    head = _HEAD.format(schema=JOB_SCHEMA, name=path.stem, base=base, path=quote(str(path)))
    return job_text({**tree, "name": path.stem}, head)


def _write(path: Path, text: str) -> None:
    from hpcfed.base.atomic import replacing

    try:
        with replacing(path) as stream:
            stream.write(text.encode())
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None
