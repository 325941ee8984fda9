"""Finds the job file a user names: a path, or one of the jobs that travel in the package."""

from __future__ import annotations

import re
import tomllib
from itertools import takewhile
from pathlib import Path

from hpcfed.errors import InputError

_SENTENCE = re.compile(r"(.+?)(?:\?|[.:](?=\s|$))")


def find_job(path: Path) -> Path:
    """Return ``path`` if it is a file, else the packaged job of that name.

    ``quickstart``, ``quickstart.toml`` and ``jobs/quickstart.toml`` all name the packaged job where
    no such file exists. Raises InputError if there is neither.
    """
    if path.is_file():
        return path
    name = path.stem if path.suffix == ".toml" else path.name
    packaged = packaged_jobs()
    if name in packaged and path.parent in (Path(), Path("jobs")):
        return packaged[name]
    raise InputError(
        f"reading the job {path}: no such file; expected a TOML file, "
        f"or one of the jobs that come with hpcfed: {', '.join(packaged) or 'none found'}"
    )


def packaged_jobs() -> dict[str, Path]:
    """Return the jobs that come with hpcfed, by name."""
    package = Path(__file__).parents[1]
    # in an installed wheel inside the package, in a checkout beside it
    folder = next((f for f in (package / "jobs", package.parent / "jobs") if f.is_dir()), package)
    return {file.stem: file for file in sorted(folder.glob("*.toml"))}


def described_jobs(sweeps: bool) -> dict[str, str]:
    """Return what each packaged experiment, or each sweep and search, asks: by name, a sentence."""
    texts = {name: path.read_text(encoding="utf-8") for name, path in packaged_jobs().items()}
    wanted = {name: t for name, t in texts.items() if ("base" in tomllib.loads(t)) == sweeps}
    return {name: _first_sentence(text) for name, text in wanted.items()}


def _first_sentence(text: str) -> str:
    """Return the first sentence of the comment that a file begins with, "" without one."""
    lines = takewhile(lambda line: line.startswith("#"), text.splitlines())
    found = _SENTENCE.match(" ".join(line.lstrip("#").strip() for line in lines))
    return found.group().rstrip(".:") if found else ""
