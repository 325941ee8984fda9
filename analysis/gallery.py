"""Scripts that draw whatever pictures a single run has data for, and perhaps one of several."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import arguments as args

from hpcfed.errors import InputError
from hpcfed.records.runfile import read_record
from hpcfed.report.drawing import check_picture, our_style, save
from hpcfed.report.figures.of_a_run import RunFigure, applicable
from hpcfed.report.figures.view import View
from hpcfed.report.runs import Found
from hpcfed.report.tables import write_csv


def main_of_several(name: str, shown: ModuleType, description: str) -> None:
    """Draw one picture of all runs at a path, and its table: by the module that draws it."""
    parser = args.parser(description, {"PICTURE.csv": shown.COLUMNS})
    parser.add_argument("path", type=Path, help="run, folder of runs, or sweep")
    args.add_out(parser, f"{name}.png")
    args.add_where(parser)
    options = parser.parse_args()

    def work() -> Iterator[Path]:
        picture = options.out or args.folder_of(options.path) / f"{name}.png"
        check_picture(picture)
        yield from write_several(shown, args.selected(options.path, options.where), picture)

    args.run(work)


def write_several(shown: ModuleType, found: Found, picture: Path) -> Iterator[Path]:
    """Write the picture of several runs and its table."""
    with our_style():
        save(shown.draw(found), picture)
    yield picture
    write_csv(picture.with_suffix(".csv"), shown.COLUMNS, shown.rows(found))
    yield picture.with_suffix(".csv")


@dataclass(frozen=True)
class Gallery:
    """What a script can draw.

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

    def parser(self, description: str) -> argparse.ArgumentParser:
        """Return a parser with the path, --out, --where and --only."""
        tables = {
            f"PICTURE_{name}{table.ending}.csv": table.columns
            for name, figure in self.figures.items()
            for table in figure.tables
        }
        if self.together is not None:
            tables[f"PICTURE_{self.together[0]}.csv"] = self.together[1].COLUMNS
        parser = args.parser(description, tables)
        parser.add_argument("path", type=Path, help="run, folder of runs, or sweep")
        endings = ", ".join(f"_{name}" for name in self.figures)
        args.add_out(parser, f"{self.name}.png, its stem before {endings},")
        args.add_where(parser)
        parser.add_argument(
            "--only", action="append", choices=self._names(), default=[],
            help="draw this one; repeatable",
        )  # fmt: skip
        return parser

    def write(self, options: argparse.Namespace, num_bins: int | None = None) -> Iterator[Path]:
        """Write the pictures and their tables."""
        picture = options.out or args.folder_of(options.path) / f"{self.name}.png"
        check_picture(picture)
        found = args.selected(options.path, options.where)
        if not found.runs:
            raise InputError(f"{options.path}: no run that can be read")
        many = len(found.runs) > 1
        if many and self.together is None:
            raise InputError(
                f"{options.path}: {len(found.runs)} runs, and pictures are of one; choose it with "
                "--where KEY=VALUE"
            )
        for name in options.only:
            if (name not in self.figures) != many:
                kind = "a single run" if many else "several runs"
                raise InputError(f"--only {name}: is of {kind}, and there are {len(found.runs)}")
        if many:
            yield from self._several(found, picture)
        else:
            view = View(read_record(found.runs[0].file), num_bins)
            yield from self._single(view, picture, options.only)

    def _names(self) -> list[str]:
        return [*self.figures, *([] if self.together is None else [self.together[0]])]

    def _several(self, found: Found, picture: Path) -> Iterator[Path]:
        assert self.together is not None
        name, module = self.together
        yield from write_several(module, found, args.beside(picture, f"_{name}{picture.suffix}"))

    def _single(self, view: View, picture: Path, only: list[str]) -> Iterator[Path]:
        """Write the pictures that the run has data for, or those that are asked for."""
        if not only:
            self.check(view)
        chosen = {name: self.figures[name] for name in only} or applicable(view, self.figures)
        yield from args.write_pictures(chosen, view, picture, strict=bool(only))
