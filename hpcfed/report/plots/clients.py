"""Clients of one run, its speakers and its confusion matrix."""

from __future__ import annotations

from hpcfed.records.runfile import read_record
from hpcfed.report.figures import clients
from hpcfed.report.plots.asked import Asked, Lines, written

_TABLES = {
    ".csv": (clients.COLUMNS, clients.rows),
    "_rounds.csv": (clients.ROUND_COLUMNS, clients.round_rows),
    "_groups.csv": (clients.GROUP_COLUMNS, clients.group_rows),
    "_confusion.csv": (clients.CONFUSION_COLUMNS, clients.confusion_rows),
}
COLUMNS = {ending: columns for ending, (columns, _) in _TABLES.items()}


def write(asked: Asked) -> Lines:
    """Write the picture and the tables."""
    picture, record = asked.picture("clients"), read_record(asked.path)
    rows = {ending: rows_of(record) for ending, (_, rows_of) in _TABLES.items()}
    yield from written(picture, lambda: clients.draw(record), COLUMNS, rows)
