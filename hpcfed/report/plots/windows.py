"""Networks that learn by rates and answer by spikes, over the window."""

from __future__ import annotations

from hpcfed.report.figures import windows
from hpcfed.report.plots.asked import Asked, Lines, written

COLUMNS = {".csv": windows.COLUMNS}


def write(asked: Asked) -> Lines:
    """Write the picture and its table."""
    picture, found = asked.picture("windows"), asked.found()
    yield from written(picture, lambda: windows.draw(found), COLUMNS, {".csv": windows.rows(found)})
