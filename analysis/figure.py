"""A figure of your own, a module in one file: figure.py MODULE PATH ...

``tests/examples/bytes_to_accuracy.py`` of the repository is one, and says what such a module has.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import arguments as args

from hpcfed.base.dotted import function, resolve
from hpcfed.report.drawing import check_picture, our_style, save
from hpcfed.report.tables import write_csv


def main() -> None:
    """Parse arguments and draw."""
    parser = args.parser("Draws what a module of yours draws, with its table as CSV.", {})
    parser.add_argument("module", help="a module that Python finds, with COLUMNS, rows and draw")
    parser.add_argument("path", type=Path, nargs="+", help="runs, folders of runs, or sweeps")
    args.add_out(parser, "MODULE.png")
    args.add_where(parser)
    options = parser.parse_args()
    args.run(lambda: work(options))


def work(options: argparse.Namespace) -> Iterator[Path]:
    """Write the picture and the table."""
    columns = resolve(f"{options.module}:COLUMNS", "MODULE", "mapping")
    rows, draw = (
        function(f"{options.module}:{name}", "MODULE", "runs") for name in ("rows", "draw")
    )
    name = options.module.rpartition(".")[2]
    picture = options.out or args.folder_of(options.path[0]) / f"{name}.png"
    check_picture(picture)
    runs = [run for path in options.path for run in args.selected(path, options.where).runs]
    with our_style():
        save(draw(runs), picture)
    yield picture
    table = args.beside(picture, ".csv")
    write_csv(table, columns, rows(runs))
    yield table


if __name__ == "__main__":
    main()
