"""Networks whose blocks are repeated, over depth."""

from __future__ import annotations

from hpcfed.report.figures import depth
from hpcfed.report.plots.asked import Asked, Lines, written

COLUMNS = {".csv": depth.COLUMNS, "_clients.csv": depth.CLIENT_COLUMNS}


def write(asked: Asked) -> Lines:
    """Write the picture and its tables."""
    picture, found = asked.picture("depth"), asked.found()
    rows = {".csv": depth.rows(found), "_clients.csv": depth.client_rows(found)}
    yield from written(picture, lambda: depth.draw(found), COLUMNS, rows)
