"""ANNs that became spiking networks, over time steps."""

from __future__ import annotations

from hpcfed.report.figures import steps
from hpcfed.report.plots.asked import Asked, Lines, written

COLUMNS = {".csv": steps.COLUMNS}


def write(asked: Asked) -> Lines:
    """Write the picture and its table."""
    picture, found = asked.picture("steps"), asked.found()
    yield from written(picture, lambda: steps.draw(found), COLUMNS, {".csv": steps.rows(found)})
