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
from hpcfed.report.figures import energy, spikes
from hpcfed.report.figures.spikes_figure import draw
from hpcfed.report.tables import write_csv


def main() -> None:
    """Parse arguments and draw."""
    tables = {
        "PICTURE.csv": energy.COLUMNS,
        "PICTURE_energy.csv": energy.ENERGY_COLUMNS,
        "PICTURE_neurons.csv": spikes.NEURON_COLUMNS,
    }
    parser = args.parser("Spikes of stored samples, firing rates, operations and energy.", tables)
    default = energy.CONSTANTS["float32"]
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
        "--ann", type=Path, action="append", default=[], metavar="RUN",
        help="run of an ANN whose energy stands beside; may be given again",
    )  # fmt: skip
    parser.add_argument(
        "--saturated", type=float, default=0.9, metavar="FRACTION",
        help="a neuron is saturated that spikes in this part of the bins; default %(default)s",
    )  # fmt: skip
    options = parser.parse_args()
    args.run(lambda: work(options))


def work(options: argparse.Namespace) -> Iterator[Path]:
    """Write the picture and its tables."""
    picture = options.out or args.folder_of(options.path) / "spikes.png"
    check_picture(picture)
    if min(options.accumulate_pj, options.multiply_accumulate_pj) < 0:
        raise InputError("--accumulate-pj and --multiply-accumulate-pj must not be negative")
    record = read_record(options.path)
    keys = frozen_keys(tomllib.loads(record.attributes["config_toml"]))
    table = energy.Energy(options.accumulate_pj, options.multiply_accumulate_pj)
    anns = [ann(path) for path in options.ann]
    with our_style():
        save(draw(record, keys, table, options.saturated), picture)
    yield picture
    counts = energy.operations(record, keys)
    names = (".csv", "_energy.csv", "_neurons.csv")
    operations, energies, neurons = (args.beside(picture, name) for name in names)
    write_csv(operations, energy.COLUMNS, energy.rows(counts, table))
    tables = energy.CONSTANTS if table in energy.CONSTANTS.values() else {"given": table}
    write_csv(energies, energy.ENERGY_COLUMNS, energy.energy_rows(counts, anns, tables))
    found = spikes.layers(record)
    write_csv(neurons, spikes.NEURON_COLUMNS, spikes.neuron_rows(found, options.saturated))
    yield from (operations, energies, neurons)


def ann(path: Path) -> tuple[str, float]:
    """Return the name of an ANN's run and its multiply-accumulates a sample."""
    record = read_record(path)
    keys = frozen_keys(tomllib.loads(record.attributes["config_toml"]))
    return str(path), energy.ann_operations(record, keys)


if __name__ == "__main__":
    main()
