"""How far a network can be believed; of several, accuracy and loss against the bytes sent up."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from hpcfed.errors import InputError
from hpcfed.report.figures.uncertainty import bytes as sent
from hpcfed.report.figures.uncertainty.every import FIGURES
from hpcfed.report.figures.view import KNOWN, View
from hpcfed.report.plots.asked import Asked, Lines
from hpcfed.report.plots.gallery import Gallery


def say_what_is_missing(view: View) -> None:
    """Say so where a run has kept no answers: some pictures do without."""
    if not view.holds(KNOWN):
        try:
            view.answers()
        except InputError as error:
            print(error, file=sys.stderr)


GALLERY = Gallery("calibration", FIGURES, ("bytes", sent), check=say_what_is_missing)
COLUMNS = GALLERY.columns


def write(asked: Asked, only: Sequence[str], num_bins: int | None = None) -> Lines:
    """Write the pictures and their tables; ``num_bins`` of the confidence, None: as stored."""
    if num_bins is not None and num_bins < 1:
        raise InputError(f"--bins {num_bins}: give at least 1")
    yield from GALLERY.write(asked, only, num_bins)
