"""How well confidences are calibrated, in numbers, and how well chance alone would do.

n samples, K classes, M bins of the confidence, which is the probability of the predicted class::

    ECE = sum_m n_m / n |accuracy_m - confidence_m|

the expected calibration error (Guo et al. 2017, arXiv 1706.04599) over M equal bins of 0 to 1; its
root mean square and its maximum are those of the same gaps. Bins of equal mass hold equally many
samples. Of n samples even a perfect model shows an ECE above 0: the noise floor is what it shows if
each sample is right with the probability that its confidence says. The Brier score (Brier 1950) is
summed over classes, from 0 to 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]

DRAWS = 400
PERCENTILE = 95
_LEAST = float(np.finfo(np.float32).tiny)  # stored probabilities are float32: 0 is below this


@dataclass(frozen=True)
class Bins:
    """Histograms of the confidence; ``count``, ``correct`` (M,) and mean ``confidence`` (M,).

    Where a bin is empty its confidence is NaN. A bin holds what lies above its lower edge, up to
    its upper one.
    """

    count: I64
    correct: I64
    confidence: F64

    @property
    def num_samples(self) -> int:
        """Samples in all bins, n."""
        return int(self.count.sum())

    @property
    def edges(self) -> F64:
        """Edges of the bins (M + 1,)."""
        return np.arange(len(self.count) + 1) / len(self.count)

    @property
    def accuracy(self) -> F64:
        """Part that is right (M,); NaN in an empty bin."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.correct / self.count)

    @property
    def gaps(self) -> F64:
        """Accuracy minus confidence (M,)."""
        return np.asarray(self.accuracy - self.confidence)

    @property
    def error(self) -> float:
        """Expected calibration error."""
        return self._mean(np.abs(self.gaps))

    @property
    def rms_error(self) -> float:
        """Root mean square of the gaps."""
        return float(np.sqrt(self._mean(self.gaps**2)))

    @property
    def largest_error(self) -> float:
        """Largest gap."""
        return float(np.nanmax(np.abs(self.gaps)))

    @property
    def mean_accuracy(self) -> float:
        """Part of all samples that is right."""
        return self._mean(self.accuracy)

    @property
    def overconfidence(self) -> float:
        """Mean confidence minus accuracy: above 0 a model promises too much."""
        return -self._mean(self.gaps)

    def _mean(self, values: F64) -> float:
        """Return the mean over samples of what a bin's samples share."""
        return float(np.nansum(self.count * values) / self.count.sum())


def bins_of(confidence: F64, correct: Bools, num_bins: int) -> Bins:
    """Return the histograms of ``confidence`` (n,) and of what is ``correct`` (n,)."""
    return _histograms(_places(confidence, num_bins), confidence, correct, num_bins)


def equal_mass_error(confidence: F64, correct: Bools, num_bins: int) -> float:
    """Return the ECE over bins of equally many samples; equal confidences stay together."""
    below = np.searchsorted(np.sort(confidence), confidence)
    places = below * num_bins // len(confidence)
    return _histograms(places, confidence, correct, num_bins).error


def noise_floor(confidence: F64, num_bins: int) -> tuple[float, float]:
    """Return median and 95th percentile of the ECE that chance gives a perfect model.

    ``confidence`` (n,): a sample is right with this probability; DRAWS times, always by the same
    words.
    """
    places = _places(confidence, num_bins)
    limits = np.rint(confidence * 2.0**32).astype(np.uint64)  # seeds.threshold of each
    errors = [
        _histograms(places, confidence, words < limits, num_bins).error
        for words in (
            Stream(0, Purpose.PERFECT_MODEL, draw).words(len(confidence)) for draw in range(DRAWS)
        )
    ]
    median, high = np.percentile(errors, [50, PERCENTILE])
    return float(median), float(high)


def brier_score(probability: F64, label: I64) -> float:
    """Return the mean over samples of the squared distance of ``probability`` (n, K) and truth."""
    truth = np.eye(probability.shape[1])[label]
    return float(np.square(probability - truth).sum(axis=1).mean())


def negative_log_likelihood(probability: F64, label: I64) -> float:
    """Return the mean over samples of -log of the right class's ``probability`` (n, K), nat."""
    right = probability[np.arange(len(label)), label]
    return float(-np.log(np.maximum(right, _LEAST)).mean())


def _places(confidence: F64, num_bins: int) -> I64:
    return np.clip(np.ceil(confidence * num_bins).astype(np.int64) - 1, 0, num_bins - 1)


def _histograms(places: I64, confidence: F64, correct: Bools, num_bins: int) -> Bins:
    count = np.bincount(places, minlength=num_bins)
    total = np.bincount(places, confidence, num_bins)
    with np.errstate(invalid="ignore"):
        mean = total / count
    return Bins(count, np.bincount(places[correct], minlength=num_bins), mean)
