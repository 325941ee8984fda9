"""What inference costs in operations and energy, beside ANNs.

A spike costs one accumulate for each neuron it reaches; each neuron's own step costs multiply-
accumulates in every bin. An ANN of the same shape multiplies all of its matrices, once for an image
and in every bin for events. Where the run file says what entered each matrix, that is counted in
two ways: a value that is not zero as one spike, as the codes of the field count, or as its
magnitude (a pooled value of a quarter is a quarter of a spike). A layer that pixels enter as they
are multiplies. Memory, which often costs more than arithmetic, is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any  # Any: a table's values are text or numbers

import numpy as np

from hpcfed.config.rule import CIRCUITS, STDP
from hpcfed.config.tree import Value
from hpcfed.errors import InputError
from hpcfed.records.runfile import Record
from hpcfed.records.schema import AXES

# decay and input of current and of voltage; ALIF: the threshold's as well; IF: additions alone
UPDATES = {"lif": 2, "alif": 3, "if": 0, "leaky": 1}
READOUT_UPDATES = 2  # of a leaky readout; a mean current has none
TOTAL = "total"


@dataclass(frozen=True)
class Energy:
    """Energy of an accumulate and of a multiply-accumulate, pJ."""

    accumulate_pj: float
    multiply_accumulate_pj: float


# additions, and multiplications with additions, in 45 nm at 0.9 V (Horowitz, ISSCC 2014)
CONSTANTS = {"float32": Energy(0.9, 4.6), "int32": Energy(0.1, 3.2)}
COUNTERS = ("not zero", "by value")

COLUMNS = {
    "part": "a weight matrix of the network, its neurons' own steps, or total",
    "snn_accumulates": "accumulates of one sample: values that are not zero times neurons reached",
    "snn_accumulates_by_value": "the same, each value counted as its magnitude",
    "snn_multiply_accumulates": "multiply-accumulates of one sample: neurons times bins times "
    f"{UPDATES}, one more with norms (readout {READOUT_UPDATES}, mean current 0); of pixels",
    "ann_multiply_accumulates": "of the ANN of the same shape: all of the matrix, for events in "
    "every bin",
    "snn_energy_nj": "accumulates and multiply-accumulates times their energy, nJ a sample",
    "ann_energy_nj": "the ANN's multiply-accumulates times their energy, nJ a sample",
}
ENERGY_COLUMNS = {
    "ann": "what is compared with: the same shape, or a run of an ANN",
    "constants": f"energy of accumulate and multiply-accumulate: {CONSTANTS}",
    "counter": "how what enters a matrix is counted: what is not zero as 1, or by its value",
    "snn_nj": "the spiking network, all its operations, nJ a sample",
    "ann_nj": "the ANN, nJ a sample",
    "ann_per_snn": "their ratio: above 1 the spiking network needs less",
    "ann_per_snn_of_weights": "the same without the neurons' own steps, as papers count",
}


@dataclass(frozen=True)
class Count:
    """Operations of one sample in one part of the network.

    Attributes:
        accumulates, by_value: by either counter.
        twin: multiply-accumulates of the ANN of the same shape.
    """

    part: str
    accumulates: float
    by_value: float
    multiply_accumulates: float
    twin: float


def operations(record: Record, keys: dict[str, Value]) -> list[Count]:
    """Return the operations of one sample by part, total last; nothing for an ANN.

    What entered is that of the last evaluation, over all its samples. Nothing for a network of
    one's own either, whose operations are not known.
    """
    found, neuron = record.evaluation, keys.get("model.neuron")
    # an input's spike of circuits adds as many rows as there are bases; spikes of neurons that
    # compete reach all others
    if keys.get("rule.kind") in (*CIRCUITS, STDP):
        return []
    if keys.get("model.kind") != "snn" or neuron not in UPDATES or "layer_rates" not in found:
        return []
    bins = int(keys["data.num_bins"])
    counts = _measured(record, keys, bins) if "weights" in found else _from_rates(record, bins)
    if not counts:
        return []
    own = Count("neurons' own steps", 0.0, 0.0, bins * _own_steps(record, keys), 0.0)
    return [*counts, own, _total([*counts, own])]


def ann_operations(record: Record, keys: dict[str, Value]) -> float:
    """Return the multiply-accumulates of one sample in the run of an ANN.

    Raises InputError for a run of another network, or whose operations are not known.
    """
    found = record.evaluation
    if keys.get("model.kind") != "ann" or "weights" not in found:
        raise InputError(
            f"{record.attributes['name']}: no run of an ANN that says what its operations are"
        )
    bins = int(keys["data.num_bins"]) if _in_bins(record, keys) else 1
    return float(np.sum(found["operations"])) * bins


def rows(counts: list[Count], energy: Energy) -> Iterator[dict[str, Any]]:
    """Yield the table of operations."""
    for count in counts:
        yield {
            "part": count.part,
            "snn_accumulates": count.accumulates,
            "snn_accumulates_by_value": count.by_value,
            "snn_multiply_accumulates": count.multiply_accumulates,
            "ann_multiply_accumulates": count.twin,
            "snn_energy_nj": snn_energy_nj(count, energy),
            "ann_energy_nj": count.twin * energy.multiply_accumulate_pj / 1000,
        }


def energy_rows(
    counts: list[Count],
    anns: Sequence[tuple[str, float]] = (),
    tables: dict[str, Energy] = CONSTANTS,
) -> Iterator[dict[str, Any]]:
    """Yield the energies beside each ANN, by constants and counter.

    ``anns`` are names and multiply-accumulates of others than that of the same shape.
    """
    if not counts:
        return
    total, weights = counts[-1], _total(counts[:-2])
    for ann, twin in (("same shape", total.twin), *anns):
        for constants, energy in tables.items():
            for counter in COUNTERS:
                mine, alone = (snn_energy_nj(one, energy, counter) for one in (total, weights))
                theirs = twin * energy.multiply_accumulate_pj / 1000
                yield {
                    "ann": ann,
                    "constants": constants,
                    "counter": counter,
                    "snn_nj": mine,
                    "ann_nj": theirs,
                    "ann_per_snn": theirs / mine if mine else math.nan,
                    "ann_per_snn_of_weights": theirs / alone if alone else math.nan,
                }


def snn_energy_nj(count: Count, energy: Energy, counter: str = COUNTERS[0]) -> float:
    """Return the SNN's energy for these operations, nJ."""
    accumulates = count.accumulates if counter == COUNTERS[0] else count.by_value
    multiplied = count.multiply_accumulates * energy.multiply_accumulate_pj
    return (accumulates * energy.accumulate_pj + multiplied) / 1000


def _measured(record: Record, keys: dict[str, Value], bins: int) -> list[Count]:
    """Return the operations of weights that the run file says what entered of."""
    found, counts = record.evaluation, []
    names = [str(name) for name in found["weights"]]
    in_bins = bins if _stored_events(record) else 1
    for index, name in enumerate(names):
        dense = float(found["operations"][index])
        share, value = (float(found[what][index]) for what in ("entering", "entering_value"))
        if index == 0 and keys.get("data.encoder") == "direct":
            counts.append(Count(name, 0.0, 0.0, bins * dense, in_bins * dense))
            continue
        spikes = (share * dense * bins, value * dense * bins)
        counts.append(Count(name, *spikes, 0.0, in_bins * dense))
    return counts


def _from_rates(record: Record, bins: int) -> list[Count]:
    """Return the operations of dense layers, from their spike rates."""
    found = record.evaluation
    rates = [float(r) for r in np.atleast_1d(found["layer_rates"])]
    if math.isnan(found["input_rate"]) or not rates:
        return []
    counts, incoming = [], [float(found["input_rate"]), *rates]
    for name, (rows_, columns) in zip(*record.layout, strict=True):
        layer = len(rates) if name == "readout" else int(name.split(".")[0].removeprefix("hidden"))
        rate = rates[layer] if name.endswith("recurrent") else incoming[layer]
        dense = float(rows_ * columns * bins)
        counts.append(Count(name, rate * dense, rate * dense, 0.0, dense))
    return counts


def _own_steps(record: Record, keys: dict[str, Value]) -> float:
    """Return the multiply-accumulates of all neurons' own steps in a bin."""
    found, shapes = record.evaluation, dict(zip(*record.layout, strict=True))
    normed = keys.get("model.norm") not in (None, "none")
    each = UPDATES[str(keys["model.neuron"])] + normed
    if "layer_neurons" in found:
        hidden = float(np.sum(found["layer_neurons"]))
    else:
        hidden = float(sum(size[0] for name, size in shapes.items() if name.endswith("input")))
    readout = 0 if keys.get("model.readout") == "current" else READOUT_UPDATES
    return hidden * each + shapes["readout"][0] * readout


def _total(counts: Sequence[Count]) -> Count:
    names = ("accumulates", "by_value", "multiply_accumulates", "twin")
    return Count(TOTAL, *(math.fsum(getattr(count, name) for count in counts) for name in names))


def _in_bins(record: Record, keys: dict[str, Value]) -> bool:
    return _stored_events(record) or keys.get("data.encoder") is not None


def _stored_events(record: Record) -> bool:
    stored = record.evaluation["example_spikes"]["input"]
    return bool(stored.ndim != len(AXES[4]) + 1)
