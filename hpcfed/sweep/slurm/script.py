"""The text of an sbatch script, a pure function of what it depends on.

Every word that comes from a file or a path is quoted for the shell or, where sbatch reads it, has
been checked by ``resources.Site``; paths never stand in an #SBATCH line, where a line break would
end the comment.
"""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from hpcfed.sweep.planning.resources import Resources, Site

if TYPE_CHECKING:
    from jinja2 import Template

_TEMPLATE = Path(__file__).with_name("array.sbatch.jinja")


@dataclass(frozen=True)
class Array:
    """An array to submit: ``name`` holds letters, digits, - and _ only."""

    name: str
    num_tasks: int


@dataclass(frozen=True)
class TaskPlace:
    """Where a task works: absolute paths of sweep, logs, working directory and interpreter."""

    out: Path
    logs: Path
    folder: Path
    python: str


def render(array: Array, place: TaskPlace, resources: Resources, site: Site) -> str:
    """Return the script of an array."""
    cpus = resources.ranks_per_run * resources.threads
    memory = resources.memory_mib
    return _template().render(
        name=array.name,
        num_tasks=array.num_tasks,
        throttle=resources.throttle,
        time_min=resources.time_min,
        # runs of one rank are processes of the task, on its own node
        nodes=1 if resources.ranks_per_run == 1 else None,
        ntasks=resources.ranks_per_run * resources.concurrent_runs,
        threads=resources.threads,
        memory_per_cpu_mib=None if memory is None else math.ceil(memory / cpus),
        options=_options(resources, site),
        warn_s=site.warn_s,
        modules=site.modules,
        log=str(place.logs),
        folder=str(place.folder),
        python=place.python,
        out=str(place.out),
    )


def _options(resources: Resources, site: Site) -> list[str]:
    names = ("partition", "account", "qos", "constraint")
    options = [f"--{name}={value}" for name in names if (value := getattr(site, name)) is not None]
    if resources.gpus:
        gpus = str(resources.gpus * resources.concurrent_runs)
        options.append(site.gpu_request.replace("{gpus}", gpus))
    return [*options, *site.extra]


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=StrictUndefined,
        autoescape=False,  # this is a shell's text, quoted by the filter below
    )  # fmt: skip
    environment.filters["quote"] = shlex.quote
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
