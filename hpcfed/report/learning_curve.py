"""Accuracy and loss over rounds, one run, as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpcfed.errors import InputError
from hpcfed.records import Record, read_record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart with any colour vision
COLOURS = {"validation": "#0072B2", "test": "#D55E00", "train": "#009E73"}


def draw(run_file: Path, picture: Path) -> None:
    """Draw the learning curve of ``run_file`` into ``picture`` (png, svg, pdf and the like).

    Raises InputError if the run has no round yet, and if the picture cannot be written.
    """
    record = read_record(run_file)
    if not record.log.num_rounds:
        raise InputError(f"{run_file}: has no round yet, nothing can be drawn")
    _save(_figure(record), picture)


def _figure(record: Record) -> Figure:
    from matplotlib.figure import Figure

    rounds = record.log.rounds
    x = np.arange(1, record.log.num_rounds + 1)
    figure = Figure(figsize=(3.5, 3.6), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True)
    for name in ("validation", "test"):
        accuracy = 100 * np.array(rounds[f"{name}_accuracy"], np.float64)
        known = ~np.isnan(accuracy)
        top.plot(x[known], accuracy[known], ".-", ms=3, lw=1, color=COLOURS[name], label=name)
    for name in ("train", "validation", "test"):
        loss = np.array(rounds[f"{name}_loss"], np.float64)
        known = ~np.isnan(loss)
        bottom.plot(x[known], loss[known], ".-", ms=3, lw=1, color=COLOURS[name], label=name)
    top.set(ylabel="accuracy / %", ylim=(0, 100), title=record.attributes["name"])
    bottom.set(ylabel="loss / nat", xlabel="round", ylim=(0, None))
    for axes in (top, bottom):
        axes.legend(fontsize=7, frameon=False)
        axes.grid(alpha=0.3, lw=0.5)
    return figure


def _save(figure: Figure, picture: Path) -> None:
    known = figure.canvas.get_supported_filetypes()
    if picture.suffix.removeprefix(".").lower() not in known:
        raise InputError(
            f'{picture}: "{picture.suffix}" is no picture format; expected .{", .".join(known)}'
        )
    try:
        picture.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(picture, dpi=200)
    except OSError as error:
        raise InputError(
            f"{picture}: the picture cannot be written ({error.strerror or error}); "
            "give a file in a folder that you may write to"
        ) from None
