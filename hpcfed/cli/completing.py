"""What a shell completes, and what help lists: packaged jobs, files, keys of an experiment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any  # Any: typer's formatter, of a module of its own in each version

from typer.core import TyperCommand


def complete_job(incomplete: str) -> list[str]:
    """Return the packaged experiments, TOML files and folders that begin so."""
    return [*_packaged(incomplete, sweeps=False), *_files(incomplete)]


def complete_sweep(incomplete: str) -> list[str]:
    """Return the packaged sweeps and searches, TOML files and folders that begin so."""
    return [*_packaged(incomplete, sweeps=True), *_files(incomplete)]


def complete_key(incomplete: str) -> list[str]:
    """Return the keys of an experiment that begin so, each ready for its value."""
    from hpcfed.config.file import key_paths

    return [f"{key}=" for key in key_paths() if key.startswith(incomplete)]


class ListsJobs(TyperCommand):
    """A command whose help ends with the packaged experiments."""

    sweeps = False

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the list: a name and a sentence each."""
        from hpcfed.config.jobs import described_jobs

        kind = "sweeps and searches" if self.sweeps else "jobs"
        with formatter.section(f"Packaged {kind}"):
            formatter.write_dl(list(described_jobs(self.sweeps).items()))


class ListsSweeps(ListsJobs):
    """A command whose help ends with the packaged sweeps and searches."""

    sweeps = True


def _packaged(incomplete: str, sweeps: bool) -> list[str]:
    from hpcfed.config.jobs import described_jobs

    return [name for name in described_jobs(sweeps) if name.startswith(incomplete)]


def _files(incomplete: str) -> Iterator[str]:
    """Yield TOML files and folders; once there is a list of ours, a shell adds none itself."""
    folder, slash, name = incomplete.rpartition("/")
    there = Path(folder + slash)
    for path in sorted(there.iterdir()) if there.is_dir() else ():
        begins_so = path.name.startswith(name) and (bool(name) or path.name[0] != ".")
        if begins_so and (path.is_dir() or path.suffix == ".toml"):
            yield f"{folder}{slash}{path.name}{'/' * path.is_dir()}"
