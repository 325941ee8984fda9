"""Probabilistic units of a run, or what sending costs in several runs."""

from __future__ import annotations

from hpcfed.report.figures.circuits import sending
from hpcfed.report.figures.circuits.every import FIGURES
from hpcfed.report.figures.circuits.view import units_of
from hpcfed.report.plots.gallery import Gallery

GALLERY = Gallery("circuits", FIGURES, ("sending", sending), check=units_of)
COLUMNS = GALLERY.columns
write = GALLERY.write
