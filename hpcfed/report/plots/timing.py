"""Where the seconds go, scaling over ranks, bytes predicted and moved."""

from __future__ import annotations

from hpcfed.report.figures import timing
from hpcfed.report.plots.asked import Asked, Lines, written

COLUMNS = {".csv": timing.COLUMNS}


def write(asked: Asked) -> Lines:
    """Write the picture and the table."""
    picture, runs = asked.picture("timing"), asked.runs()
    yield from written(picture, lambda: timing.draw(runs), COLUMNS, {".csv": timing.rows(runs)})
