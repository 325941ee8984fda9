"""ANNs that became spiking networks, over time steps: steps.py PATH."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import arguments as args

from hpcfed.report.drawing import check_picture, our_style, save
from hpcfed.report.figures import steps
from hpcfed.report.tables import write_csv


def main() -> None:
    """Parse arguments and draw."""
    parser = args.parser(
        "Accuracy of spiking networks that hpcfed convert has made of ANNs, over the time steps "
        "for which an image is shown, beside the ANNs.",
        {"PICTURE.csv": steps.COLUMNS},
    )
    parser.add_argument("path", type=Path, help="run, folder of runs, or sweep")
    args.add_out(parser, "steps.png")
    args.add_where(parser)
    options = parser.parse_args()
    args.run(lambda: work(options))


def work(options: argparse.Namespace) -> Iterator[Path]:
    """Write the picture and its table."""
    picture = options.out or args.folder_of(options.path) / "steps.png"
    check_picture(picture)
    found = args.selected(options.path, options.where)
    with our_style():
        save(steps.draw(found), picture)
    yield picture
    write_csv(picture.with_suffix(".csv"), steps.COLUMNS, steps.rows(found))
    yield picture.with_suffix(".csv")


if __name__ == "__main__":
    main()
