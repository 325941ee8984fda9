"""Rasters, rates, silent neurons, operations and energy of one run: spikes.py RUN."""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Iterator
from pathlib import Path

import arguments as args

from hpcfed.config.tree import frozen_keys
from hpcfed.errors import InputError
from hpcfed.records.runfile import read_record
from hpcfed.report.drawing import check_picture, our_style, save
from hpcfed.report.figures import spikes
from hpcfed.report.figures.spikes_figure import draw
from hpcfed.report.tables import write_csv


def main() -> None:
    """Parse arguments and draw."""
    tables = {"PICTURE.csv": spikes.COLUMNS, "PICTURE_neurons.csv": spikes.NEURON_COLUMNS}
    parser = args.parser("Spikes of stored samples, firing rates, operations and energy.", tables)
    default = spikes.Energy()
    parser.add_argument("path", type=Path, help="run file, or the folder that holds it")
    args.add_out(parser, "spikes.png")
    parser.add_argument(
        "--accumulate-pj", type=float, default=default.accumulate_pj, metavar="PJ",
        help="energy of an accumulate, pJ; default %(default)s: a 32-bit floating point addition "
        "in 45 nm (Horowitz, ISSCC 2014)",
    )  # fmt: skip
    parser.add_argument(
        "--multiply-accumulate-pj", type=float, default=default.multiply_accumulate_pj,
        metavar="PJ", help="energy of a multiply-accumulate, pJ; default %(default)s (the same)",
    )  # fmt: skip
    parser.add_argument(
        "--saturated", type=float, default=0.9, metavar="FRACTION",
        help="a neuron is saturated that spikes in this part of the bins; default %(default)s",
    )  # fmt: skip
    options = parser.parse_args()
    args.run(lambda: work(options))


def work(options: argparse.Namespace) -> Iterator[Path]:
    """Write the picture and both tables."""
    picture = options.out or args.folder_of(options.path) / "spikes.png"
    check_picture(picture)
    if min(options.accumulate_pj, options.multiply_accumulate_pj) < 0:
        raise InputError("--accumulate-pj and --multiply-accumulate-pj must not be negative")
    record = read_record(options.path)
    keys = frozen_keys(tomllib.loads(record.attributes["config_toml"]))
    energy = spikes.Energy(options.accumulate_pj, options.multiply_accumulate_pj)
    with our_style():
        save(draw(record, keys, energy, options.saturated), picture)
    yield picture
    counts = spikes.operations(record, keys)
    table, neurons = args.beside(picture, ".csv"), args.beside(picture, "_neurons.csv")
    write_csv(table, spikes.COLUMNS, spikes.rows(counts, energy))
    found = spikes.layers(record)
    write_csv(neurons, spikes.NEURON_COLUMNS, spikes.neuron_rows(found, options.saturated))
    yield from (table, neurons)


if __name__ == "__main__":
    main()
