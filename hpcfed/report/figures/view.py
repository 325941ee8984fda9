"""A run as pictures of its uncertainty, or of its units, see it: record, keys, and answers.

n samples, K classes, D coordinates.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cached_property
from typing import Any  # Any: columns of several dtypes

import numpy as np
from numpy.typing import NDArray

from hpcfed.config.generated import REGRESSION
from hpcfed.config.tree import Value, frozen_keys
from hpcfed.errors import InputError
from hpcfed.records.runfile import Record

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

KNOWN, UNKNOWN, PROBE = "known", "unknown", "probe"  # sets of answers
ENTROPY, INFORMATION = "entropy", "mutual_information"
NUM_BINS = 15  # of the histograms in every run file
_HINTS = {
    KNOWN: "set `[evaluation] answers = true` and run again: they are kept after the last round",
    UNKNOWN: "set `[evaluation] unknown = true`, and in `data.classes` the classes to be known",
    PROBE: "they are of samples that are points of a plane, as two-moons",
}


@dataclass(frozen=True)
class Answers:
    """What a network, or a committee, says of each sample of a set.

    Attributes:
        label: (n,) int64; -1 for a class that the network does not know.
        probability: (n, K) float64.
        deviation: (n, K) float64 standard deviation over the committee's members; None without.
        uncertainty: (n,) float64, ENTROPY and, of a committee, INFORMATION: nat.
        coordinate: (n, D) the point that a sample encodes; None where there is none.
        target: (n,) from 0 to 1, in place of a label; None where labels say all.
    """

    label: I64
    probability: F64
    deviation: F64 | None
    uncertainty: dict[str, F64]
    coordinate: F64 | None
    target: F64 | None

    @property
    def confidence(self) -> F64:
        """Probability of the predicted class (n,)."""
        return np.asarray(self.probability.max(axis=1))

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the predicted class is the right one (n,)."""
        return np.asarray(self.probability.argmax(axis=1) == self.label)


@dataclass(frozen=True)
class View:
    """A run; ``num_bins`` is how many the confidence is cut into, None: as in the run file."""

    record: Record
    num_bins: int | None = None

    @property
    def name(self) -> str:
        """The run's name."""
        return str(self.record.attributes["name"])

    @cached_property
    def keys(self) -> dict[str, Value]:
        """The resolved configuration, by dotted key."""
        return frozen_keys(tomllib.loads(self.record.attributes["config_toml"]))

    @property
    def has_targets(self) -> bool:
        """Whether samples have targets in place of labels: probabilities then are no beliefs."""
        stored = self.record.answers.get(KNOWN, {})
        return "target" in stored or self.keys.get("data.dataset") == REGRESSION

    @property
    def classes(self) -> list[str]:
        """Names of the K classes."""
        return [str(name) for name in self.record.evaluation.get("label", ())]

    def holds(self, name: str) -> bool:
        """Say whether the answers to a set of samples are stored."""
        return bool(len(self.record.answers.get(name, {}).get("label", ())))

    def answers(self, name: str = KNOWN) -> Answers:
        """Return the answers to a set. Raises InputError if there are none, or no numbers."""
        if not self.holds(name):
            which = "" if name == KNOWN else f" to {name} samples"
            raise InputError(f"{self.name}: no answers{which} are stored; {_HINTS[name]}")
        stored = self.record.answers[name]
        probability = np.asarray(stored["probability"], np.float64)
        odd = int((~np.isfinite(probability)).any(axis=1).sum())
        if odd:
            raise InputError(
                f"{self.name}: {odd} of {len(probability)} answers are no numbers: the run has "
                "diverged"
            )
        return _answers(stored, probability)


def _answers(stored: dict[str, NDArray[Any]], probability: F64) -> Answers:
    total, expected = stored["entropy"], stored["expected_entropy"]
    is_committee = bool(np.isfinite(expected).all())
    uncertainty = {ENTROPY: np.asarray(total, np.float64)}
    if is_committee:
        # of members that agree the difference is 0, up to rounding
        uncertainty[INFORMATION] = np.maximum(total - expected, 0.0)
    points, targets = (
        np.asarray(stored[name], np.float64) if name in stored else None
        for name in ("coordinate", "target")
    )
    return Answers(
        label=stored["label"],
        probability=probability,
        deviation=np.asarray(stored["deviation"], np.float64) if is_committee else None,
        uncertainty=uncertainty,
        coordinate=points,
        target=targets,
    )
