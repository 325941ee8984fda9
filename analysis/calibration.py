"""Calibration and uncertainty of a run, or what bytes buy in several: calibration.py PATH."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import arguments as args
from gallery import Gallery

from hpcfed.errors import InputError
from hpcfed.report.figures.uncertainty import bytes as sent
from hpcfed.report.figures.uncertainty.every import FIGURES
from hpcfed.report.figures.view import KNOWN, View


def say_what_is_missing(view: View) -> None:
    """Say so where a run has kept no answers: some pictures do without."""
    if not view.holds(KNOWN):
        try:
            view.answers()
        except InputError as error:
            print(error, file=sys.stderr)


GALLERY = Gallery("calibration", FIGURES, ("bytes", sent), check=say_what_is_missing)


def main() -> None:
    """Parse arguments and draw."""
    parser = GALLERY.parser(
        "Reliability, rejection, unknown classes, maps, band and posterior of a run, whatever it "
        "has data for; of several runs, accuracy and loss against the bytes sent up."
    )
    parser.add_argument(
        "--bins", type=int, metavar="N",
        help="bins of the confidence, where answers are stored; default: 15",
    )  # fmt: skip
    options = parser.parse_args()
    args.run(lambda: work(options))


def work(options: argparse.Namespace) -> Iterator[Path]:
    """Write the pictures and their tables."""
    if options.bins is not None and options.bins < 1:
        raise InputError(f"--bins {options.bins}: give at least 1")
    yield from GALLERY.write(options, options.bins)


if __name__ == "__main__":
    main()
