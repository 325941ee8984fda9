"""A figure in one file: accuracy over the bytes that went up, all runs in one plot.

    hpcfed plot own bytes_to_accuracy results/mysweep --out picture.png

A figure is a module with ``COLUMNS`` (name -> meaning), ``rows(runs)``, which yields the numbers,
and ``draw(runs)``, which returns a Matplotlib figure of them. ``runs`` are those of
``hpcfed.report.runs.find``.
"""

import numpy as np

from hpcfed import new_figure, uplink_bytes

COLUMNS = {
    "run": "name of the run",
    "round": "round, from 1",
    "uplink_mb": "sent up until then, MB",
    "test_accuracy": "fraction right",
}


def rows(runs):
    """Yield a row for each evaluated round of each run."""
    for run in runs:
        sent = np.cumsum(uplink_bytes(run.rounds)) / 1e6
        accuracy = run.rounds["test_accuracy"]
        for at in np.flatnonzero(np.isfinite(accuracy)):
            yield {
                "run": run.label,
                "round": int(at) + 1,
                "uplink_mb": float(sent[at]),
                "test_accuracy": float(accuracy[at]),
            }


def draw(runs):
    """Return the plot."""
    figure = new_figure(3.0)
    axes = figure.subplots()
    found = list(rows(runs))
    for run in runs:
        mine = [row for row in found if row["run"] == run.label]
        x, y = ([row[name] for row in mine] for name in ("uplink_mb", "test_accuracy"))
        axes.plot(x, 100 * np.array(y), ".-", label=run.label)
    axes.set(xlabel="uplink / MB", ylabel="test accuracy / %", ylim=(0, 100))
    axes.legend()
    return figure
