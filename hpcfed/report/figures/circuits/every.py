"""All pictures of a run of units with probabilities: what a page and hpcfed plot circuits show."""

from __future__ import annotations

from hpcfed.report.figures.circuits import confusion, kernels, likelihood, sent, traces, units, view
from hpcfed.report.figures.of_a_run import Numbers, RunFigure

FIGURES = {
    "likelihood": RunFigure(
        "Log-likelihood of the targets' spikes, and accuracy, over rounds",
        likelihood.has_data, likelihood.draw,
        (Numbers("Log-likelihood by round", "", likelihood.COLUMNS, likelihood.rows),),
    ),
    "units": RunFigure(
        "Membrane potentials, probabilities of a spike, and spikes of a few samples",
        traces.has_data, units.draw,
        (Numbers("Units by sample", "_scores", traces.SCORE_COLUMNS, traces.score_rows),
         Numbers("Units bin by bin", "", traces.COLUMNS, traces.rows)),
    ),
    "kernels": RunFigure(
        "Synaptic kernels before and after training",
        view.has_units, kernels.draw,
        (Numbers("Strongest kernels", "", kernels.COLUMNS, kernels.rows),
         Numbers("Norms of all kernels", "_norms", kernels.NORM_COLUMNS, kernels.norm_rows),
         Numbers("Biases and feedback", "_units", kernels.UNIT_COLUMNS, kernels.unit_rows)),
    ),
    "sent": RunFigure(
        "Which bases of the kernels clients have sent when",
        sent.has_data, sent.draw,
        (Numbers("Bases in all rounds", "_totals", sent.TOTAL_COLUMNS, sent.total_rows),
         Numbers("Bases by round", "", sent.COLUMNS, sent.rows)),
    ),
    "confusion": RunFigure(
        "Which output answers which class",
        confusion.has_data, confusion.draw,
        (Numbers("Answers by class and output", "", confusion.COLUMNS, confusion.rows),),
    ),
}  # fmt: skip
