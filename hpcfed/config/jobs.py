"""Finds the job file a user names: a path, or one of the jobs that travel in the package."""

from __future__ import annotations

from pathlib import Path

from hpcfed.errors import InputError


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
