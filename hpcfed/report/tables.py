"""Tables of numbers behind the figures, as CSV: full precision, an empty field is not known."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any  # Any: a table's values are text or numbers

from hpcfed.base.atomic import replacing
from hpcfed.errors import InputError
from hpcfed.records.names import dropped_text
from hpcfed.report.runs import Found
from hpcfed.report.values import value_text

Row = Mapping[str, Any]


def write_csv(path: Path, columns: Iterable[str], rows: Iterable[Row]) -> None:
    """Write ``rows`` with a header. Raises InputError if that is not possible."""
    text = io.StringIO()
    names = list(columns)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([field(row.get(name)) for name in names] for row in rows)
    write_text(path, text.getvalue())


def write_text(path: Path, text: str) -> None:
    """Write a text file, making its folder. Raises InputError if that is not possible."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as stream:
            stream.write(text.encode())
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror or error}); "
            "give a file in a folder that you may write to"
        ) from None


def field(value: Any) -> str:
    """Return a value as a CSV field: numbers so that they read back the same, NaN as nothing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(float(value)) if isinstance(value, float) else value_text(value)


def skipped_lines(found: Found) -> list[str]:
    """Return a line for each file that was left out, and one for what is missing."""
    lines = [f"left out: {item.label}: {item.reason}" for item in found.skipped]
    if found.dropped:
        lines.append(dropped_text(file.parent for file in found.dropped))
    if found.missing:
        lines.append(f"missing: {len(found.missing)} of {len(found.planned)} planned runs")
    return lines
