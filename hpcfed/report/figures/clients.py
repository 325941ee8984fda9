"""One run by client: who took part, how each did, how speakers and classes came out.

R rounds, N clients, K classes, G groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any  # Any: a table's values are text or numbers

import numpy as np
from numpy.typing import NDArray

from hpcfed.errors import InputError
from hpcfed.records.runfile import Record
from hpcfed.report.drawing import COLOURS, SEQUENCE, Look, new_figure, plain, told_apart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

F64 = NDArray[np.float64]
MOST_NAMES = 24  # more would overlap

COLUMNS = {
    "client": "number of the client, from 0",
    "group": "largest group (speaker) among its samples",
    "num_samples": "training samples",
    "rounds_participated": "rounds in which it trained",
    "first_loss": "mean local training loss when it first trained, nat",
    "last_loss": "the same when it last trained, nat",
    "mean_update_norm": "L2 norm of its local update, mean over its rounds",
}
ROUND_COLUMNS = {
    "round": "round, from 1",
    "client": "number of the client, from 0",
    "participated": "1 where it trained in the round",
    "train_loss": "mean local training loss, nat",
    "update_norm": "L2 norm of the local update",
}
GROUP_COLUMNS = {
    "group": "speaker",
    "accuracy": "fraction right after the last evaluation; empty: no samples of it",
    "split": "validation or test: what was evaluated",
}
CONFUSION_COLUMNS = {
    "label": "class that was spoken",
    "prediction": "class that was recognised",
    "samples": "how often",
    "split": "validation or test: what was evaluated",
}


def rows(record: Record) -> Iterator[dict[str, Any]]:
    """Yield a row per client."""
    losses, norms = _table(record, "train_loss"), _table(record, "update_norm")
    took_part = _took_part(record) > 0
    for client, samples in enumerate(record.clients["num_samples"].tolist()):
        at = np.flatnonzero(took_part[:, client])
        yield {
            "client": client,
            "group": record.clients["group"][client],
            "num_samples": samples,
            "rounds_participated": len(at),
            "first_loss": float(losses[at[0], client]) if len(at) else None,
            "last_loss": float(losses[at[-1], client]) if len(at) else None,
            "mean_update_norm": float(norms[at, client].mean()) if len(at) else None,
        }


def round_rows(record: Record) -> Iterator[dict[str, Any]]:
    """Yield a row per round and client."""
    took_part = _took_part(record)
    losses, norms = _table(record, "train_loss"), _table(record, "update_norm")
    for at, client in np.ndindex(took_part.shape):
        yield {
            "round": at + 1,
            "client": client,
            "participated": int(took_part[at, client]),
            "train_loss": float(losses[at, client]),
            "update_norm": float(norms[at, client]),
        }


def group_rows(record: Record) -> Iterator[dict[str, Any]]:
    """Yield a row per speaker of the evaluated samples; nothing without an evaluation."""
    found = record.evaluation
    if found:
        pairs = zip(found["group"], found["group_accuracy"].tolist(), strict=True)
        for name, accuracy in pairs:
            yield {"group": name, "accuracy": accuracy, "split": found["split"]}


def confusion_rows(record: Record) -> Iterator[dict[str, Any]]:
    """Yield a row per label and prediction; nothing without an evaluation."""
    found = record.evaluation
    if found:
        for i, j in np.ndindex(found["confusion"].shape):
            yield {
                "label": found["label"][i],
                "prediction": found["prediction"][j],
                "samples": int(found["confusion"][i, j]),
                "split": found["split"],
            }


def draw(record: Record) -> Figure:
    """Return the figure. Raises InputError for a run without a round."""
    if not record.log.num_rounds:
        raise InputError(f"{plain(record.attributes['name'])}: has no round yet, nothing to draw")
    evaluated = bool(record.evaluation)
    heights = [1.5, 1.5, 1.5, 1.2] + ([1.2, 3.6] if evaluated else [])
    figure = new_figure(sum(heights) + 1.2)
    panels = figure.subplots(len(heights), 1, gridspec_kw={"height_ratios": heights})
    for axes in panels[1:3]:
        axes.sharex(panels[0])  # all over rounds
    panels[0].set_title(plain(record.attributes["name"]))
    _draw_participation(panels[0], _took_part(record))
    _draw_by_client(panels[1], _table(record, "train_loss"), "training loss / nat")
    _draw_by_client(panels[2], _table(record, "update_norm"), "update norm (L2)")
    _draw_samples(panels[3], record)
    if evaluated:
        _draw_groups(panels[4], record)
        _draw_confusion(panels[5], record)
    return figure


def _table(record: Record, name: str) -> F64:
    """Return an (R, N) table of clients. Raises InputError where that would be too much."""
    return record.log.table(name, len(record.clients["num_samples"]))


def _took_part(record: Record) -> F64:
    """Return (R, N): 1 where a client trained in a round."""
    return record.log.participated(len(record.clients["num_samples"])).astype(np.float64)


def _draw_participation(axes: Axes, took_part: F64) -> None:
    from matplotlib.colors import ListedColormap

    rounds, clients = took_part.shape
    shown = ListedColormap(["#f2f2f2", COLOURS[0]])
    place = (0.5, rounds + 0.5, clients - 0.5, -0.5)
    look: Look = {"aspect": "auto", "interpolation": "nearest", "vmin": 0, "vmax": 1}
    axes.imshow(took_part.T, cmap=shown, extent=place, **look)
    share = 100 * took_part.mean()
    axes.set(xlabel="round", ylabel="client")
    axes.text(1, 1.01, f"took part: {share:.0f} %", transform=axes.transAxes, ha="right", size=6)
    _whole_numbers(axes, y=True)


def _draw_by_client(axes: Axes, values: F64, label: str) -> None:
    rounds, clients = values.shape
    x = np.arange(1, rounds + 1)
    faint = min(1.0, max(0.08, 6 / clients))
    for client in range(clients):
        known = np.isfinite(values[:, client])
        axes.plot(x[known], values[known, client], "-", color="0.45", lw=0.6, alpha=faint)
    any_known = np.isfinite(values).any(axis=1)
    middle = [float(np.median(row[np.isfinite(row)])) for row in values[any_known]]
    axes.plot(x[any_known], middle, ".-" if rounds <= 60 else "-", color=COLOURS[1], label="median")
    axes.plot([], [], "-", color="0.45", lw=0.6, label="one client")
    axes.set(xlabel="round", ylabel=label)
    axes.set_ylim(bottom=0)
    axes.legend(ncols=2, loc="best")
    axes.grid(visible=True)
    _whole_numbers(axes)


def _draw_samples(axes: Axes, record: Record) -> None:
    samples = record.clients["num_samples"]
    axes.bar(np.arange(len(samples)), samples, color=COLOURS[2], width=0.8)
    axes.set(xlabel="client", ylabel="training samples")
    _whole_numbers(axes)


def _draw_groups(axes: Axes, record: Record) -> None:
    found = record.evaluation
    accuracy = 100 * np.asarray(found["group_accuracy"], np.float64)
    known = np.flatnonzero(np.isfinite(accuracy))
    axes.bar(np.arange(len(known)), accuracy[known], color=COLOURS[0], width=0.8)
    axes.set(ylabel=f"{found['split']} accuracy / %", ylim=(0, 100), xlabel="speaker")
    names = told_apart([str(found["group"][i]) for i in known], 14, 1)
    step = -(-len(names) // MOST_NAMES)
    turn: Look = {"rotation": 90, "fontsize": 6} if len(names) > 4 else {}
    axes.set_xticks(range(0, len(names), max(1, step)), names[:: max(1, step)], **turn)


def _draw_confusion(axes: Axes, record: Record) -> None:
    found = record.evaluation
    counts = np.asarray(found["confusion"], np.float64)
    totals = counts.sum(1, keepdims=True)
    shares = np.divide(100 * counts, totals, out=np.full_like(counts, np.nan), where=totals > 0)
    image = axes.imshow(shares, cmap=SEQUENCE, vmin=0, vmax=100)
    names = told_apart([str(name) for name in found["label"]], 10, 1)
    step = max(1, -(-len(names) // MOST_NAMES))
    ticks = range(0, len(names), step)
    axes.set_xticks(ticks, names[::step], rotation=90, fontsize=6)
    axes.set_yticks(ticks, names[::step], fontsize=6)
    axes.set(
        xlabel="recognised", ylabel="spoken", title=f"{found['split']}, round {found['round']}"
    )
    look: Look = {"location": "bottom", "aspect": 30, "fraction": 0.05}
    axes.figure.colorbar(image, ax=axes, label="share of the spoken class / %", **look)


def _whole_numbers(axes: Axes, y: bool = False) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if y:
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
