"""What a data set holds: the numbers and the picture behind ``hpcfed data info`` and ``data list``.

S samples, K classes, G groups, T time bins, C channels. Spikes are those before ``data.duration``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.atomic import replacing
from hpcfed.config import DataConfig
from hpcfed.datasets import Data, load
from hpcfed.datasets.places import KnownSet
from hpcfed.errors import InputError
from hpcfed.samples.events import EventSet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.console import Console

I64 = NDArray[np.int64]
QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
_RASTER_SAMPLES = 4
_MOST_COLUMNS = 16  # more groups (SSC has over a thousand speakers) fit no terminal
_SPIKE_COLOUR = "#0072B2"  # blue of Okabe and Ito's palette, told apart by every kind of eye


@dataclass(frozen=True)
class SplitInfo:
    """One split of a data set.

    Attributes:
        name: train, validation or test.
        num_samples: samples of the split.
        per_class_and_group: (K, G) int64 samples of each class and group.
        group_names: G names; numbers of groups differ between files.
        spikes: quantiles ``QUANTILES`` of the spikes of a sample.
        density: part of the T x C bins of a sample that hold a spike, averaged.
        num_merged: spikes that share bin and channel with another and are not kept by binary bins.
        num_silent: samples without a spike before ``data.duration``.
    """

    name: str
    num_samples: int
    per_class_and_group: I64
    group_names: tuple[str, ...]
    spikes: tuple[float, ...]
    density: float
    num_spikes: int
    num_merged: int
    num_silent: int


@dataclass(frozen=True)
class DataInfo:
    """A data set as binned; ``num_cut`` spikes of all its files come at or after ``duration``."""

    source: str
    digest: str
    num_channels: int
    duration: float
    num_bins: int
    class_names: tuple[str, ...]
    num_cut: int
    splits: tuple[SplitInfo, ...]


def describe(config: DataConfig, out_png: Path | None = None) -> DataInfo:
    """Count what ``config`` describes, and write a raster of a few samples to ``out_png``.

    Raises InputError for unusable data and for a picture that cannot be written.
    """
    data = load(config.model_copy(update={"counts": True}))
    stores = [data.train] if data.test is None else [data.train, data.test]
    splits = [
        ("train", data.train, data.train_ids),
        ("validation", data.train, data.validation_ids),
    ]
    if data.test is not None:
        splits.append(("test", data.test, data.test_ids))
    if out_png is not None:
        draw_raster(data, out_png)
    return DataInfo(
        source=data.source,
        digest=data.digest,
        num_channels=data.train.num_channels,
        duration=config.duration,
        num_bins=config.num_bins,
        class_names=data.train.class_names,
        num_cut=sum(events.num_cut for events in stores),
        splits=tuple(describe_split(*split) for split in splits if len(split[2])),
    )


def describe_split(name: str, events: EventSet, ids: I64) -> SplitInfo:
    """Count the samples ``ids`` (n,) of a set that keeps counts."""
    spikes = events.num_spikes[ids]
    num_events = events.num_events[ids]
    table = np.zeros((len(events.class_names), len(events.group_names)), np.int64)
    np.add.at(table, (events.labels[ids], events.groups[ids]), 1)
    return SplitInfo(
        name=name,
        num_samples=len(ids),
        per_class_and_group=table,
        group_names=events.group_names,
        spikes=tuple(float(q) for q in np.quantile(spikes, QUANTILES)),
        density=float(num_events.mean()) / (events.num_bins * events.num_channels),
        num_spikes=int(spikes.sum()),
        num_merged=int((spikes - num_events).sum()),
        num_silent=int((num_events == 0).sum()),
    )


def draw_raster(data: Data, out_png: Path) -> None:
    """Write a PNG with the spikes of a few training samples, of classes as far apart as can be."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    ids = _raster_samples(data)
    figure = Figure(figsize=(3.2 * len(ids), 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Sequence[Axes] = figure.subplots(1, len(ids), sharey=True, squeeze=False)[0]
    for axis, sample in zip(axes, ids, strict=True):
        _draw_sample(axis, data.train, int(sample))
    axes[0].set_ylabel("channel")
    try:
        out_png.parent.mkdir(parents=True, exist_ok=True)
        with replacing(out_png) as stream:
            figure.savefig(stream, dpi=120, format="png")
    except OSError as error:
        raise InputError(
            f"{out_png}: the picture cannot be written ({error.strerror or error}); "
            "give a file in a folder that you may write to"
        ) from None


def print_info(info: DataInfo, console: Console) -> None:
    """Print what ``describe`` found, as tables."""
    from rich.table import Table

    console.print(
        f"[bold]{info.source}[/bold]: {len(info.class_names)} classes, {info.num_channels} "
        f"channels, {info.num_bins} bins over {info.duration:g} s; {info.num_cut} spikes are later "
        "and left out",
        soft_wrap=True,
    )
    table = Table("", *(split.name for split in info.splits))
    for title, cell in _ROWS.items():
        table.add_row(title, *(cell(split) for split in info.splits))
    console.print(table)
    for split in info.splits:
        if split.name != "validation":
            console.print(_samples_table(info, split))


def print_known(sets: Sequence[KnownSet], console: Console) -> None:
    """Print the data sets known by name, whether each is there, and where."""
    from rich.table import Table

    table = Table("data set", "present", "where", "get it by")
    for known in sets:
        get = "" if known.present else f"hpcfed data fetch {known.name}"
        table.add_row(known.name, "yes" if known.present else "no", known.where, get)
    table.add_row("tonic:NAME", "", "any event data set of tonic", "hpcfed data fetch tonic:NAME")
    console.print(table)


def _samples_table(info: DataInfo, split: SplitInfo) -> object:
    """Return a table of samples: a row a class, and a column a group unless there are too many."""
    from rich.table import Table

    counts = split.per_class_and_group
    groups = np.flatnonzero(counts.sum(0))
    shown = groups if len(groups) <= _MOST_COLUMNS else groups[:0]
    table = Table("", *(split.group_names[g] for g in shown), "all", title=f"{split.name}: samples")
    for name, row in zip(info.class_names, counts, strict=True):
        table.add_row(name, *map(str, row[shown]), str(row.sum()))
    table.add_row("all", *map(str, counts.sum(0)[shown]), str(counts.sum()), style="bold")
    return table


def _group_sizes(split: SplitInfo) -> str:
    sizes = split.per_class_and_group.sum(0)
    sizes = sizes[sizes > 0]
    return f"{sizes.min()} to {sizes.max()}"


def _raster_samples(data: Data) -> I64:
    """Return the first training sample of each of a few evenly spaced classes."""
    labels, first = np.unique(data.train.labels[data.train_ids], return_index=True)
    places = np.linspace(0, len(labels) - 1, min(_RASTER_SAMPLES, len(labels)))
    return np.asarray(data.train_ids[first[places.astype(np.int64)]], np.int64)


def _draw_sample(axis: Axes, events: EventSet, sample: int) -> None:
    _, bins, channels, _ = events.batch_events(np.array([sample]))
    milliseconds = (bins + 0.5) * (1000 * events.duration / events.num_bins)
    axis.scatter(milliseconds, channels, s=1.0, c=_SPIKE_COLOUR, linewidths=0)
    axis.set_xlim(0, 1000 * events.duration)
    axis.set_ylim(0, events.num_channels)
    axis.set_xlabel("time (ms)")
    label, group = events.labels[sample], events.groups[sample]
    axis.set_title(f"{events.class_names[label]}, {events.group_names[group]}", fontsize=9)


_ROWS: dict[str, Callable[[SplitInfo], str]] = {
    "samples": lambda split: str(split.num_samples),
    "groups": lambda split: str(int((split.per_class_and_group.sum(0) > 0).sum())),
    "samples a group": _group_sizes,
    "spikes": lambda split: str(split.num_spikes),
    "merged by binning": lambda split: (
        f"{split.num_merged} ({split.num_merged / max(split.num_spikes, 1):.1%})"
    ),
    "spikes a sample: least": lambda split: f"{split.spikes[0]:.0f}",
    "quartiles": lambda split: " / ".join(f"{q:.0f}" for q in split.spikes[1:4]),
    "most": lambda split: f"{split.spikes[4]:.0f}",
    "density": lambda split: f"{split.density:.2%}",
    "samples without spikes": lambda split: str(split.num_silent),
}
