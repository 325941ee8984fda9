"""What a figure is asked to show, where it goes, and how it is written beside its tables."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpcfed.errors import InputError
from hpcfed.report.drawing import check_picture, our_style, save
from hpcfed.report.runs import Found, Run, find
from hpcfed.report.tables import Row, skipped_lines, write_csv
from hpcfed.report.values import parse_conditions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Lines = Iterator[Path | str]  # what is said: files written, and remarks
Columns = Mapping[str, Mapping[str, str]]  # ending of a table's file -> column -> meaning


@dataclass(frozen=True)
class Asked:
    """Which runs, and which picture.

    Attributes:
        paths: runs, folders of runs, or sweeps; at least one.
        where: KEY=VALUE that the runs have to have.
        out: the picture, its tables beside it; None: in the folder of the first path.
    """

    paths: tuple[Path, ...]
    where: tuple[str, ...] = ()
    out: Path | None = None

    @property
    def path(self) -> Path:
        """The first path."""
        return self.paths[0]

    def picture(self, name: str) -> Path:
        """Return the picture to write. Raises InputError where it names no picture format."""
        folder = self.path if self.path.is_dir() else self.path.parent
        picture = self.out or folder / f"{name}.png"
        check_picture(picture)
        return picture

    def found(self, path: Path | None = None) -> Found:
        """Return the chosen runs at ``path``, saying what is left out."""
        found = find(path or self.path).where(parse_conditions(self.where))
        for line in skipped_lines(found):
            print(line, file=sys.stderr)
        return found

    def runs(self) -> list[Run]:
        """Return the chosen runs of all paths."""
        return [run for path in self.paths for run in self.found(path).runs]


def beside(picture: Path, ending: str) -> Path:
    """Return the name of a table that lies beside ``picture``: its stem and ``ending``."""
    return picture.with_name(picture.stem + ending)


def written(
    picture: Path,
    draw: Callable[[], Figure],
    columns: Columns,
    rows: Mapping[str, Iterable[Row]],
) -> Lines:
    """Write a picture, and a table for each ending of ``rows``; yield their paths."""
    with our_style():
        save(draw(), picture)
    yield picture
    for ending, lines in rows.items():
        table = beside(picture, ending)
        write_csv(table, columns[ending], lines)
        yield table


def check_choice(option: str, value: str | None, known: Iterable[str]) -> None:
    """Raise InputError for a value that an option does not know; None is its default."""
    names = list(known)
    if value is not None and value not in names:
        raise InputError(f"{option} {value}: expected one of {', '.join(names)}")
