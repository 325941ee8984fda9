"""Spikes of stored samples, firing rates, and what inference costs in operations and energy.

A spike costs one accumulate for each neuron it reaches; each neuron's own step costs multiply-
accumulates in every bin. The ANN twin has the same matrices and multiplies all of them in every
bin. S stored samples, T bins, H neurons of a layer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any  # Any: a table's values are text or numbers

import numpy as np
from numpy.typing import NDArray

from hpcfed.config.tree import Value
from hpcfed.errors import InputError
from hpcfed.records.runfile import Record
from hpcfed.records.schema import AXES

F64 = NDArray[np.float64]

# decay and input of current and of voltage; ALIF: the threshold's as well; IF: additions alone
UPDATES = {"lif": 2, "alif": 3, "if": 0}
READOUT_UPDATES = 2

COLUMNS = {
    "part": "a weight matrix of the network, its neurons' own steps, or total",
    "snn_accumulates": "accumulates of one sample: incoming spikes times neurons reached",
    "snn_multiply_accumulates": "multiply-accumulates of one sample: neurons times bins times "
    f"{UPDATES} (readout {READOUT_UPDATES})",
    "ann_multiply_accumulates": "of the twin: rows times columns times bins",
    "snn_energy_nj": "accumulates and multiply-accumulates times their energy, nJ a sample",
    "ann_energy_nj": "the twin's multiply-accumulates times their energy, nJ a sample",
}
NEURON_COLUMNS = {
    "layer": "input or hidden layer",
    "neuron": "number of the neuron (of the channel for input), from 0",
    "rate": "spikes per bin, mean over the stored samples",
    "silent": "true where it spikes in none of the stored samples",
    "saturated": "true where it spikes in at least --saturated of all bins",
}


@dataclass(frozen=True)
class Energy:
    """Energy of an accumulate and of a multiply-accumulate, pJ.

    The defaults are 32-bit floating point additions and multiplications in 45 nm at 0.9 V
    (Horowitz, ISSCC 2014): 0.9 pJ, and 3.7 + 0.9 pJ. Memory, which often costs more, is left out.
    """

    accumulate_pj: float = 0.9
    multiply_accumulate_pj: float = 4.6


@dataclass(frozen=True)
class StoredLayer:
    """Stored spikes of the input or a hidden layer, (S, T, H)."""

    name: str
    spikes: NDArray[np.integer[Any]]

    @property
    def rates(self) -> F64:
        """Spikes per bin of each neuron (H,), mean over the stored samples."""
        return np.asarray(self.spikes.mean((0, 1)), np.float64)

    @property
    def duty(self) -> F64:
        """Part of the bins with a spike, of each neuron (H,)."""
        return np.asarray((self.spikes > 0).mean((0, 1)), np.float64)


@dataclass(frozen=True)
class Count:
    """Operations of one sample in one part of the network."""

    part: str
    accumulates: float
    multiply_accumulates: float
    twin: float


def layers(record: Record) -> list[StoredLayer]:
    """Return input and hidden layers in order; images are no spikes.

    Raises InputError without stored spikes.
    """
    stored = record.evaluation.get("example_spikes")
    if not stored or not len(stored["label"]):
        raise InputError(f"{record.attributes['name']}: no evaluation yet, no spikes are stored")
    hidden = sorted((n for n in stored if n.startswith("hidden")), key=lambda n: int(n[6:]))
    names = hidden if images(record) is not None else ["input", *hidden]
    if not names:
        raise InputError(f"{record.attributes['name']}: images and an ANN, there are no spikes")
    return [StoredLayer(name, stored[name]) for name in names]


def images(record: Record) -> NDArray[Any] | None:
    """Return the stored samples (S, C, H, W) if they are images, else None."""
    stored = record.evaluation["example_spikes"]["input"]
    return stored if stored.ndim == len(AXES[4]) + 1 else None


def operations(record: Record, keys: dict[str, Value]) -> list[Count]:
    """Return the operations of one sample by part, total last; nothing for an ANN.

    Rates are those of the last evaluation, over all its samples. Nothing for a network of one's
    own and for images, whose operations are not known, either.
    """
    found, neuron = record.evaluation, keys.get("model.neuron")
    rates = [float(r) for r in np.atleast_1d(found.get("layer_rates", []))]
    if keys.get("model.kind") != "snn" or neuron not in UPDATES or not rates:
        return []
    if math.isnan(found["input_rate"]):
        return []
    bins = int(keys["data.num_bins"])
    counts, neurons = [], 0.0
    incoming = [float(found["input_rate"]), *rates]
    for name, (rows, columns) in zip(*record.layout, strict=True):
        layer = len(rates) if name == "readout" else int(name.split(".")[0].removeprefix("hidden"))
        rate = rates[layer] if name.endswith("recurrent") else incoming[layer]
        dense = float(rows * columns * bins)
        counts.append(Count(name, rate * dense, 0.0, dense))
        updates = READOUT_UPDATES if name == "readout" else UPDATES[str(neuron)]
        neurons += 0.0 if name.endswith("recurrent") else float(rows * bins * updates)
    counts.append(Count("neurons' own steps", 0.0, neurons, 0.0))
    sums = [
        math.fsum(getattr(count, what) for count in counts)
        for what in ("accumulates", "multiply_accumulates", "twin")
    ]
    return [*counts, Count("total", sums[0], sums[1], sums[2])]


def rows(counts: list[Count], energy: Energy) -> Iterator[dict[str, Any]]:
    """Yield the table of operations."""
    for count in counts:
        yield {
            "part": count.part,
            "snn_accumulates": count.accumulates,
            "snn_multiply_accumulates": count.multiply_accumulates,
            "ann_multiply_accumulates": count.twin,
            "snn_energy_nj": snn_energy_nj(count, energy),
            "ann_energy_nj": count.twin * energy.multiply_accumulate_pj / 1000,
        }


def snn_energy_nj(count: Count, energy: Energy) -> float:
    """Return the SNN's energy for these operations, nJ."""
    accumulates = count.accumulates * energy.accumulate_pj
    return (accumulates + count.multiply_accumulates * energy.multiply_accumulate_pj) / 1000


def neuron_rows(found: list[StoredLayer], saturated: float) -> Iterator[dict[str, Any]]:
    """Yield the table of neurons."""
    for layer in found:
        pairs = zip(layer.rates.tolist(), layer.duty.tolist(), strict=True)
        for neuron, (rate, duty) in enumerate(pairs):
            yield {
                "layer": layer.name,
                "neuron": neuron,
                "rate": rate,
                "silent": rate == 0,
                "saturated": duty >= saturated,
            }
