"""What neurons that compete have come to stand for."""

from __future__ import annotations

from hpcfed.report.figures.neurons import FIGURES, neurons
from hpcfed.report.plots.gallery import Gallery

GALLERY = Gallery("neurons", FIGURES, None, check=neurons)
COLUMNS = GALLERY.columns
write = GALLERY.write
