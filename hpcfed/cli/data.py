"""The commands about data sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpcfed.base.terminal import console

if TYPE_CHECKING:
    from hpcfed.config import Experiment

data_app = typer.Typer(help="List, fetch, inspect and encode data sets.", no_args_is_help=True)


DataRoot = Annotated[
    str | None, typer.Option(help="folder of data sets; default HPCFED_DATA, else ~/.local/share")
]


@data_app.command("list")
def list_data(root: DataRoot = None) -> None:
    """List the known data sets and where they lie."""
    from hpcfed.datasets.info import print_known
    from hpcfed.datasets.places import data_root, known_sets

    print_known(known_sets(data_root(root)), console())


@data_app.command()
def info(
    path: Annotated[str, typer.Argument(help="name of a data set, or a file of SHD's layout")],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="key of [data], as num_bins=500, or of others by their whole name, as "
            "partition.kind=iid",
        ),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="write a raster, or images, of a few samples to this PNG")
    ] = None,
    clients: Annotated[
        Path | None, typer.Option(help="write classes by client, as [partition] says, to this PNG")
    ] = None,
) -> None:
    """Show samples, classes, speakers, spikes and density; draw samples, and classes by client."""
    from hpcfed.config.experiment import Experiment
    from hpcfed.config.file import ANY_NETWORK, parse_experiment
    from hpcfed.datasets.info import describe, print_info

    tables = tuple(f"{name}." for name in Experiment.model_fields)
    keys = [item if item.startswith(tables) else f"data.{item}" for item in overrides or ()]
    experiment = parse_experiment(
        "", [ANY_NETWORK, f"data.dataset={path}", *keys], source="data info"
    )
    if clients is not None:
        from hpcfed.report.drawing import check_picture

        check_picture(clients)
    print_info(describe(experiment.data, picture), console())
    if picture is not None:
        print(f"raster: {picture}")
    if clients is not None:
        _draw_clients(experiment, clients)
        print(f"clients: {clients}")


def _draw_clients(experiment: Experiment, picture: Path) -> None:
    import numpy as np

    from hpcfed.clients.partition import partition
    from hpcfed.datasets import load
    from hpcfed.report.drawing import our_style, save
    from hpcfed.report.figures.partition import draw

    data = load(experiment.data)
    labels, groups = (of[data.train_ids] for of in (data.train.labels, data.train.groups))
    parts = partition(experiment.partition, labels, groups, experiment.seed)
    classes = data.train.class_names
    counts = np.stack([np.bincount(labels[part], minlength=len(classes)) for part in parts], 1)
    with our_style():
        save(draw(counts, classes), picture)


@data_app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="shd, ssc or tonic:NAME")], root: DataRoot = None
) -> None:
    """Download a data set; an interrupted download is taken up again."""
    from hpcfed.datasets.fetch import fetch as download

    for path in download(name, root):
        print(path)


@data_app.command()
def encode(
    waves: Annotated[Path, typer.Argument(help="folder of recordings (wav, flac), or one file")],
    out: Annotated[Path, typer.Argument(help="file to write, of SHD's layout")],
    pattern: Annotated[
        str | None, typer.Option(help="file names, as {label}_{speaker}_{index}.wav")
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="CSV of file,label[,speaker]")] = None,
    channels: Annotated[int, typer.Option(help="channels of the inner ear")] = 700,
    duration: Annotated[float | None, typer.Option(help="use the first seconds only")] = None,
    seed: Annotated[int, typer.Option(help="seed of the spikes")] = 0,
    workers: Annotated[int | None, typer.Option(help="processes; default: all cores")] = None,
) -> None:
    """Encode recordings as spikes by the inner-ear model; a killed encoding is taken up again.

    Classes are numbered by the labels found: encode training and test recordings of the same
    classes.
    """
    from hpcfed.datasets.ear.encode import EncodeOptions
    from hpcfed.datasets.ear.encode import encode as listen

    options = EncodeOptions(pattern, labels, channels, duration, seed, workers)
    done = listen(waves, out, options)
    print(f"{done.path}: {done.num_samples} samples, {done.num_spikes} spikes")
