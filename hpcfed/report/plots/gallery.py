"""Whatever pictures a single run has data for, and perhaps one of several runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from hpcfed.errors import InputError
from hpcfed.records.runfile import read_record
from hpcfed.report.figures.of_a_run import RunFigure, applicable
from hpcfed.report.figures.view import View
from hpcfed.report.plots.asked import Asked, Columns, Lines, beside, check_choice, written
from hpcfed.report.runs import Found


@dataclass(frozen=True)
class Gallery:
    """What a name stands for.

    Attributes:
        name: of the pictures' files.
        figures: of a single run, by name.
        together: name and module of a picture of several runs; None: there is none.
        check: raises InputError for a run that none of the pictures is for.
    """

    name: str
    figures: Mapping[str, RunFigure]
    together: tuple[str, ModuleType] | None
    check: Callable[[View], object]

    @property
    def columns(self) -> Columns:
        """The tables by the endings of their files."""
        tables = {
            f"_{name}{table.ending}.csv": table.columns
            for name, figure in self.figures.items()
            for table in figure.tables
        }
        if self.together is not None:
            tables[f"_{self.together[0]}.csv"] = self.together[1].COLUMNS
        return tables

    def write(self, asked: Asked, only: Sequence[str], num_bins: int | None = None) -> Lines:
        """Write the pictures and their tables; ``only`` names those that are wanted."""
        for name in only:
            check_choice("--only", name, self._names())
        picture, found = asked.picture(self.name), asked.found()
        if not found.runs:
            raise InputError(f"{asked.path}: no run that can be read")
        many = len(found.runs) > 1
        if many and self.together is None:
            raise InputError(
                f"{asked.path}: {len(found.runs)} runs, and pictures are of one; choose it with "
                "--where KEY=VALUE"
            )
        for name in only:
            if (name not in self.figures) != many:
                kind = "a single run" if many else "several runs"
                raise InputError(f"--only {name}: is of {kind}, and there are {len(found.runs)}")
        if many:
            yield from self._several(found, picture)
        else:
            yield from self._single(View(read_record(found.runs[0].file), num_bins), picture, only)

    def _names(self) -> list[str]:
        return [*self.figures, *([] if self.together is None else [self.together[0]])]

    def _several(self, found: Found, picture: Path) -> Lines:
        assert self.together is not None
        name, module = self.together
        path = beside(picture, f"_{name}{picture.suffix}")
        columns, rows = {".csv": module.COLUMNS}, {".csv": module.rows(found)}
        yield from written(path, lambda: module.draw(found), columns, rows)

    def _single(self, view: View, picture: Path, only: Sequence[str]) -> Lines:
        """Write the pictures that the run has data for, or those that are asked for."""
        if not only:
            self.check(view)
        chosen = {name: self.figures[name] for name in only} or applicable(view, self.figures)
        for name, figure in chosen.items():
            path = beside(picture, f"_{name}{picture.suffix}")
            try:
                yield from _written(figure, view, path)
            except InputError as error:
                if only:
                    raise
                print(f"{name}: not drawn, {error}", file=sys.stderr)


def _written(figure: RunFigure, view: View, path: Path) -> Lines:
    columns = {f"{table.ending}.csv": table.columns for table in figure.tables}
    rows = {f"{table.ending}.csv": table.rows(view) for table in figure.tables}
    yield from written(path, lambda: figure.draw(view), columns, rows)
