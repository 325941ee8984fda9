"""What the units do in a few samples, running freely: potentials, probabilities, spikes.

S samples, T bins, H hidden units and K outputs make U, each of C values; 0 is silence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any  # Any: a table's values are text or numbers

import numpy as np
from numpy.typing import NDArray

from hpcfed.errors import InputError
from hpcfed.report.figures.circuits.view import Units, has_units, units_of
from hpcfed.report.figures.view import View

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

STORED = "example_units"
COLUMNS = {
    "sample": "number of the stored sample, from 0",
    "label": "its class",
    "unit": "an output by its class, or a hidden unit",
    "bin": "time bin, from 0",
    "probability": "of a spike of any value",
    "spike": "value of the spike that fell, from 1; 0: silence",
    "value": "a value that a spike of the unit can have, from 1",
    "potential": "of this value",
}
SCORE_COLUMNS = {
    "sample": "number of the stored sample, from 0",
    "label": "its class",
    "unit": "an output by its class, or a hidden unit",
    "mean_probability": "of a spike, mean over bins; the output where it is highest is the answer",
    "spikes": "spikes that fell, of any value",
}


@dataclass(frozen=True)
class Traces:
    """What is stored, outputs first.

    Attributes:
        names: (U,) of the units.
        num_outputs: K, how many of them are outputs.
        label: (S,) classes.
        potential: (S, T, U, C).
        probability: (S, T, U) of a spike of any value.
        value: (S, T, U) of the spike; 0 is silence.
    """

    names: list[str]
    num_outputs: int
    label: I64
    potential: F64
    probability: F64
    value: I64

    @property
    def scores(self) -> F64:
        """Mean probability of a spike of each output (S, K): the highest is the answer."""
        return np.asarray(self.probability[:, :, : self.num_outputs].mean(axis=1))


def has_data(view: View) -> bool:
    """Say whether units of samples are stored."""
    return has_units(view) and bool(len(view.record.evaluation.get(STORED, {}).get("label", ())))


def traces(view: View) -> Traces:
    """Return what is stored. Raises InputError where nothing is, and for no numbers."""
    units = units_of(view)
    if not has_data(view):
        raise InputError(f"{view.name}: no units are stored, the run has not been evaluated yet")
    stored = view.record.evaluation[STORED]
    order = _outputs_first(units)
    potential = np.asarray(stored["potential"], np.float64)
    if not np.isfinite(potential).all():
        raise InputError(f"{view.name}: some potentials are no numbers: the run has diverged")
    by_value = potential.reshape(*potential.shape[:2], len(order), units.num_values)
    return Traces(
        [units.names[place] for place in order],
        units.num_outputs,
        np.asarray(stored["label"], np.int64),
        by_value[:, :, order],
        np.asarray(stored["probability"], np.float64)[:, :, order],
        np.asarray(stored["value"], np.int64)[:, :, order],
    )


def rows(view: View) -> Iterator[dict[str, Any]]:
    """Yield a row for each sample, unit, bin and value."""
    found = traces(view)
    for sample, label in enumerate(_labels(found)):
        for unit, name in enumerate(found.names):
            for at, potentials in enumerate(found.potential[sample, :, unit].tolist()):
                for place, potential in enumerate(potentials, start=1):
                    yield {
                        "sample": sample,
                        "label": label,
                        "unit": name,
                        "bin": at,
                        "probability": float(found.probability[sample, at, unit]),
                        "spike": int(found.value[sample, at, unit]),
                        "value": place,
                        "potential": potential,
                    }


def score_rows(view: View) -> Iterator[dict[str, Any]]:
    """Yield a row for each sample and unit."""
    found = traces(view)
    for sample, label in enumerate(_labels(found)):
        for unit, name in enumerate(found.names):
            yield {
                "sample": sample,
                "label": label,
                "unit": name,
                "mean_probability": float(found.probability[sample, :, unit].mean()),
                "spikes": int((found.value[sample, :, unit] > 0).sum()),
            }


def _outputs_first(units: Units) -> list[int]:
    places = list(range(len(units.names)))
    return places[units.num_hidden :] + places[: units.num_hidden]


def _labels(found: Traces) -> list[str]:
    return [found.names[label] for label in found.label]
