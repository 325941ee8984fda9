"""All pictures of a run's uncertainty by name: what a page shows, and hpcfed plot calibration."""

from __future__ import annotations

from hpcfed.report.figures.of_a_run import Numbers, RunFigure
from hpcfed.report.figures.uncertainty import band, posterior, rejection, reliability, unknown
from hpcfed.report.figures.uncertainty import map as plane

FIGURES = {
    "reliability": RunFigure(
        "Reliability: accuracy over confidence, and how many samples have which",
        reliability.has_data, reliability.draw,
        (Numbers("Reliability by confidence", "", reliability.COLUMNS, reliability.rows),
         Numbers("Calibration", "_scores", reliability.SCORE_COLUMNS, reliability.score_rows)),
    ),
    "rejection": RunFigure(
        "Rejection: accuracy of the rest when the most uncertain samples are put aside",
        rejection.has_data, rejection.draw,
        (Numbers("Accuracy by part rejected", "", rejection.COLUMNS, rejection.rows),),
    ),
    "unknown": RunFigure(
        "Uncertainty of samples of known and of unknown classes",
        unknown.has_data, unknown.draw,
        (Numbers("Uncertainty of known and unknown", "", unknown.COLUMNS, unknown.rows),
         Numbers("Known against unknown", "_scores", unknown.SCORE_COLUMNS, unknown.score_rows)),
    ),
    "map": RunFigure(
        "Maps of what the network says of a plane, and of how uncertain it is",
        plane.has_data, plane.draw,
        (Numbers("Uncertainty over the plane", "", plane.COLUMNS, plane.rows),),
    ),
    "band": RunFigure(
        "The curve that is learned, and how far the members of a committee differ",
        band.has_data, band.draw,
        (Numbers("The curve point by point", "", band.COLUMNS, band.rows),),
    ),
    "posterior": RunFigure(
        "Posterior probabilities of the weights",
        posterior.has_data, posterior.draw,
        (Numbers("Posterior probabilities", "", posterior.COLUMNS, posterior.rows),
         Numbers("Matrices of weights", "_parts", posterior.PART_COLUMNS, posterior.part_rows)),
    ),
}  # fmt: skip
