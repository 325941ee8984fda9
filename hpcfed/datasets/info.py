"""What a data set holds: the numbers and the picture behind ``hpcfed data info`` and ``data list``.

S samples, K classes, G groups, T time bins, C channels. Spikes are those before ``data.duration``;
images have none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.atomic import replacing
from hpcfed.config import DataConfig
from hpcfed.config.generated import GENERATED
from hpcfed.datasets import Data, load
from hpcfed.datasets.places import KnownSet
from hpcfed.errors import InputError
from hpcfed.samples.events import EventSet
from hpcfed.samples.images import ImageSet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.console import Console

I64 = NDArray[np.int64]
QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
_RASTER_SAMPLES = 4
_SHEET_ROWS, _SHEET_COLUMNS = 20, 12
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
    spikes: tuple[float, ...] = ()
    density: float = 0.0
    num_spikes: int = 0
    num_merged: int = 0
    num_silent: int = 0


@dataclass(frozen=True)
class DataInfo:
    """A data set as binned; ``num_cut`` spikes of all its files come at or after ``duration``.

    ``shape`` is that of an image, () for events.
    """

    source: str
    digest: str
    shape: tuple[int, ...]
    num_channels: int
    duration: float
    num_bins: int
    class_names: tuple[str, ...]
    num_cut: int
    splits: tuple[SplitInfo, ...]


def describe(config: DataConfig, out_png: Path | None = None) -> DataInfo:
    """Count what ``config`` describes, and write a picture of a few samples to ``out_png``.

    Raises InputError for unusable data and for a picture that cannot be written.
    """
    # a generated set has at most one spike a bin, and refuses to count
    data = load(config.model_copy(update={"counts": config.dataset not in GENERATED}))
    splits = [
        ("train", data.train, data.train_ids),
        ("validation", data.train, data.validation_ids),
    ]
    if data.test is not None:
        splits.append(("test", data.test, data.test_ids))
    if out_png is not None:
        draw_samples(data, out_png)
    return DataInfo(
        source=data.source,
        digest=data.digest,
        shape=data.train.shape if isinstance(data.train, ImageSet) else (),
        num_channels=prod(data.train.shape),
        duration=config.duration,
        num_bins=config.num_bins,
        class_names=data.train.class_names,
        num_cut=sum(store.num_cut for store in data.stores if isinstance(store, EventSet)),
        splits=tuple(describe_split(*split) for split in splits if len(split[2])),
    )


def describe_split(name: str, samples: EventSet | ImageSet, ids: I64) -> SplitInfo:
    """Count the samples ``ids`` (n,) of a set; events keep counts."""
    table = np.zeros((len(samples.class_names), len(samples.group_names)), np.int64)
    np.add.at(table, (samples.labels[ids], samples.groups[ids]), 1)
    info = SplitInfo(name, len(ids), table, samples.group_names)
    return info if isinstance(samples, ImageSet) else _with_spikes(info, samples, ids)


def _with_spikes(info: SplitInfo, events: EventSet, ids: I64) -> SplitInfo:
    spikes = events.num_spikes[ids]
    num_events = events.num_events[ids]
    return replace(
        info,
        spikes=tuple(float(q) for q in np.quantile(spikes, QUANTILES)),
        density=float(num_events.mean()) / (events.num_bins * events.num_channels),
        num_spikes=int(spikes.sum()),
        num_merged=int((spikes - num_events).sum()),
        num_silent=int((num_events == 0).sum()),
    )


def draw_samples(data: Data, out_png: Path) -> None:
    """Write a PNG of a few training samples: rasters of events, a contact sheet of images."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    FigureCanvasAgg(figure)
    if isinstance(data.train, ImageSet):
        _draw_sheet(figure, data.train, data.train_ids)
    else:
        _draw_rasters(figure, data.train, _raster_samples(data))
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
        f"[bold]{info.source}[/bold]: {len(info.class_names)} classes, {_extent(info)}",
        soft_wrap=True,
    )
    table = Table("", *(split.name for split in info.splits))
    for title, cell in (_IMAGE_ROWS if info.shape else _ROWS).items():
        table.add_row(title, *(cell(split) for split in info.splits))
    console.print(table)
    for split in info.splits:
        if split.name != "validation":
            console.print(_samples_table(info, split))


def _extent(info: DataInfo) -> str:
    if info.shape:
        channels, height, width = info.shape
        return f"images of {height} x {width} pixels, {channels} channels"
    return (
        f"{info.num_channels} channels, {info.num_bins} bins over {info.duration:g} s; "
        f"{info.num_cut} spikes are later and left out"
    )


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


def _draw_rasters(figure: Figure, events: EventSet, ids: I64) -> None:
    figure.set_size_inches(3.2 * len(ids), 3.4)
    axes: Sequence[Axes] = figure.subplots(1, len(ids), sharey=True, squeeze=False)[0]
    for axis, sample in zip(axes, ids, strict=True):
        _draw_sample(axis, events, int(sample))
    axes[0].set_ylabel("channel")


def _draw_sheet(figure: Figure, images: ImageSet, ids: I64) -> None:
    """Draw a row of images for each of the first classes, from groups as far apart as can be."""
    names = images.class_names[:_SHEET_ROWS]
    figure.set_size_inches(0.6 * _SHEET_COLUMNS + 1, 0.6 * len(names))
    grid = figure.subplots(len(names), _SHEET_COLUMNS, squeeze=False)
    for axis in grid.flat:
        axis.set_axis_off()
    for label, row in enumerate(grid):
        mine = ids[images.labels[ids] == label]
        mine = mine[np.argsort(images.groups[mine], kind="stable")]
        shown = mine[np.linspace(0, len(mine) - 1, min(len(mine), len(row))).astype(np.int64)]
        for axis, sample in zip(row, shown, strict=False):
            picture = images.pixels[sample].transpose(1, 2, 0)
            gray = picture.shape[2] != 3
            axis.imshow(picture[..., 0] if gray else picture, cmap="gray", vmin=0, vmax=255)
        row[0].text(-0.3, 0.5, names[label], transform=row[0].transAxes, ha="right", va="center")


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
_IMAGE_ROWS = {title: _ROWS[title] for title in ("samples", "groups", "samples a group")}
