"""Accuracy over mask p and drop q, and against uplink bytes."""

from __future__ import annotations

from hpcfed.report.figures import tradeoff
from hpcfed.report.figures.tradeoff_figure import draw
from hpcfed.report.plots.asked import Asked, Lines, check_choice, written

COLUMNS = {".csv": tradeoff.COLUMNS, "_pairs.csv": tradeoff.PAIR_COLUMNS}


def write(asked: Asked, metric: str | None = None) -> Lines:
    """Write the picture and both tables; say which settings of equal budgets differ."""
    check_choice("--metric", metric, tradeoff.METRICS)
    picture = asked.picture("tradeoff")
    found = tradeoff.tradeoff(asked.found(), metric)
    for pair in found.pairs:
        if pair.significant:
            yield (
                f"equal budget: {pair.first.cell.label} beats {pair.second.cell.label} by "
                f"{100 * pair.difference:.1f} [{100 * pair.low:.1f}, {100 * pair.high:.1f}] points"
            )
    rows = {".csv": tradeoff.rows(found), "_pairs.csv": tradeoff.pair_rows(found)}
    yield from written(picture, lambda: draw(found), COLUMNS, rows)
