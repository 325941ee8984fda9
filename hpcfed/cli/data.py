"""The commands about data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hpcfed.base.terminal import console

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
        typer.Option("--set", metavar="KEY=VALUE", help="key of [data], as num_bins=500"),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="write a raster of a few samples to this PNG")
    ] = None,
) -> None:
    """Show samples, classes, speakers, spikes and density; draw a raster."""
    from hpcfed.config.file import parse_experiment
    from hpcfed.datasets.info import describe, print_info

    keys = [f"data.{item.removeprefix('data.')}" for item in overrides or ()]
    experiment = parse_experiment("", [f"data.dataset={path}", *keys], source="data info")
    print_info(describe(experiment.data, picture), console())
    if picture is not None:
        print(f"raster: {picture}")


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
