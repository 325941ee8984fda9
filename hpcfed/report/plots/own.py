"""A figure of one's own: a module with ``COLUMNS``, ``rows(runs)`` and ``draw(runs)``."""

from __future__ import annotations

from hpcfed.base.dotted import function, resolve
from hpcfed.report.plots.asked import Asked, Columns, Lines, written

COLUMNS: Columns = {}  # the module's


def write(asked: Asked, module: str) -> Lines:
    """Write what the module draws of all runs, and its table."""
    columns = resolve(f"{module}:COLUMNS", "MODULE", "mapping")
    rows, draw = (function(f"{module}:{name}", "MODULE", "runs") for name in ("rows", "draw"))
    picture, runs = asked.picture(module.rpartition(".")[2]), asked.runs()
    yield from written(picture, lambda: draw(runs), {".csv": columns}, {".csv": rows(runs)})
