"""Spikes of stored samples and firing rates.

S stored samples, T bins, H neurons of a layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any  # Any: a table's values are text or numbers

import numpy as np
from numpy.typing import NDArray

from hpcfed.errors import InputError
from hpcfed.records.runfile import Record
from hpcfed.records.schema import AXES

F64 = NDArray[np.float64]

NEURON_COLUMNS = {
    "layer": "input or hidden layer",
    "neuron": "number of the neuron (of the channel for input), from 0",
    "rate": "spikes per bin, mean over the stored samples",
    "silent": "true where it spikes in none of the stored samples",
    "saturated": "true where it spikes in at least --saturated of all bins",
}


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
