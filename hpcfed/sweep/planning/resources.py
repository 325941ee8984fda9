"""What a sweep asks of a computer, and what differs between computers.

Nothing of either is ever executed by a shell: words that reach an sbatch script are checked here or
quoted there.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from hpcfed.config import Count, Section
from hpcfed.config.tables import checked, read_toml
from hpcfed.errors import InputError

_WORD = re.compile(r"[\w.,:+@/=-]+", re.ASCII)
_OPTION = re.compile(r"--?[A-Za-z][\w-]*([= ][^\x00-\x1f\x7f]+)?", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)


class Resources(Section):
    """The [resources] table of a sweep file."""

    ranks_per_run: Count = Field(1, description="MPI ranks of each run")
    threads: Count = Field(1, description="clients trained at once on each rank")
    gpus: Annotated[int, Field(ge=0)] = Field(
        0, description="GPUs of each run; 0: its processes see none"
    )
    time_min: Count = Field(60, description="time limit of an array task, minutes")
    memory_mib: Count | None = Field(None, description="memory of each run; absent: not asked for")
    runs_per_task: Count = Field(1, description="runs of one array task, in shared processes")
    concurrent_runs: Count = Field(1, description="runs of a task that go on at once")
    throttle: Count | None = Field(None, description="array tasks at once; absent: no limit")
    site: str = Field("plain", description="name of a site profile, or the path of one")
    max_retries: Annotated[int, Field(ge=0)] = Field(
        1, description="further tries of a run that fails for a reason of its own"
    )


class Site(Section):
    """A cluster: slurm/sites/NAME.toml."""

    description: str = Field("", description="for people")
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    modules: tuple[str, ...] = Field((), description="modules to load")
    launcher: Literal["mpirun", "srun"] = Field("mpirun", description="starts runs of many ranks")
    mpi: str = Field("pmix", description="srun's --mpi: pmix for Open MPI, pmi2 for MPICH")
    gpu_request: str = Field("--gres=gpu:{gpus}", description="option that asks for a task's GPUs")
    scratch: str | None = Field(
        None, description="node-local folder of the event cache; $VARIABLES of the task count"
    )
    environment: dict[str, str] = Field({}, description="variables of the runs")
    extra: tuple[str, ...] = Field((), description="further options of sbatch, --name=value")
    warn_s: Annotated[int, Field(ge=10, le=65535)] = Field(
        90, description="seconds before its end at which a task is asked to stop"
    )
    max_array_size: Count | None = Field(None, description="absent: the scheduler is asked")
    max_submitted: Count | None = Field(
        None, description="tasks of one user in the queue; absent: the scheduler is asked"
    )

    @field_validator("partition", "account", "qos", "constraint", "mpi")
    @classmethod
    def _word(cls, value: str | None) -> str | None:
        if value is not None and not _WORD.fullmatch(value):
            raise ValueError(f"{value!r} is no name that Slurm knows")
        return value

    @field_validator("modules")
    @classmethod
    def _modules(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if bad := [name for name in value if not _WORD.fullmatch(name)]:
            raise ValueError(f"{bad[0]!r} is no name of a module")
        return value

    @field_validator("extra", "gpu_request")
    @classmethod
    def _options(cls, value: tuple[str, ...] | str) -> tuple[str, ...] | str:
        for option in (value,) if isinstance(value, str) else value:
            if not _OPTION.fullmatch(option):
                raise ValueError(f"{option!r} is no option of sbatch, expected --name=value")
        return value

    @field_validator("environment")
    @classmethod
    def _variables(cls, value: dict[str, str]) -> dict[str, str]:
        if bad := [name for name in value if not _VARIABLE.fullmatch(name)]:
            raise ValueError(f"{bad[0]!r} is no name of a variable")
        return value


def check_time_limit(resources: Resources, site: Site, source: object) -> None:
    """Raise InputError if tasks would be asked to stop before they have begun."""
    if resources.time_min * 60 <= site.warn_s:
        raise InputError(
            f"{source}: [resources] time_min = {resources.time_min} is {resources.time_min * 60} "
            f"s, but tasks are asked to stop {site.warn_s} s before their end (warn_s of the site "
            f"{resources.site}), which is before they begin; set time_min to "
            f"{site.warn_s // 60 + 1} at least, and the time of some rounds more"
        )


def find_site(name: str, sweep_folder: Path) -> Site:
    """Return the profile ``name``: one that comes with hpcfed, or a path beside the sweep file."""
    profiles = packaged_sites()
    path = sweep_folder / Path(name).expanduser()
    if not path.is_file() and name in profiles:
        path = profiles[name]
    if not path.is_file():
        raise InputError(
            f'resources.site = "{name}": no such file {path}; expected one, or one of the profiles '
            f"that come with hpcfed: {', '.join(profiles)}"
        )
    return checked(Site, read_toml(path, "site profile")[0], str(path))


def packaged_sites() -> dict[str, Path]:
    """Return the site profiles that come with hpcfed, by name."""
    package = Path(__file__).parents[2]
    # in an installed wheel inside the package, in a checkout beside it
    folders = (package / "sites", package.parent / "slurm" / "sites")
    folder = next((f for f in folders if f.is_dir()), package)
    return {file.stem: file for file in sorted(folder.glob("*.toml"))}
