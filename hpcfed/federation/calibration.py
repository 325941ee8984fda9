"""Whether confidences can be believed: exact histograms, and what is read from them.

B batch, K classes, M bins of the confidence, which is the probability of the predicted class. The
expected calibration error is that of Guo et al. (2017, arXiv 1706.04599), with M equal bins over 0
to 1; the Brier score (Brier 1950) is summed over classes, from 0 to 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcfed.federation.uplink.exact import Grid

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

NUM_BINS = 15


@dataclass(frozen=True)
class Calibration:
    """Histograms of the confidence over all samples.

    Attributes:
        count: (M,) int64 samples whose confidence lies in a bin: above its lower edge, up to its
            upper one.
        correct: (M,) int64, those of them that are right.
        confidence: (M,) float64, mean confidence of them; NaN in an empty bin.
        brier: mean over samples of the squared distance of the probabilities from the truth.
    """

    count: I64
    correct: I64
    confidence: F64
    brier: float

    @property
    def error(self) -> float:
        """Expected calibration error: mean distance of confidence and accuracy, by samples."""
        filled = self.count > 0
        gaps = self.count[filled] * self.confidence[filled] - self.correct[filled]
        return float(np.abs(gaps).sum() / self.count.sum())

    @property
    def overconfidence(self) -> float:
        """Mean confidence minus accuracy: above 0 a model promises too much."""
        filled = self.count > 0
        gaps = self.count[filled] * self.confidence[filled] - self.correct[filled]
        return float(gaps.sum() / self.count.sum())


def num_sums() -> int:
    """Return the length of what ``add`` adds to."""
    return 3 * NUM_BINS + 2


def add(sums: I64, probabilities: F64, labels: I64, grid: Grid) -> None:
    """Add a batch, ``probabilities`` (B, K) and ``labels`` (B,), to integers that ranks can sum.

    ``sums`` are counts, counts of right ones and confidences by bin, the Brier scores, and the
    number of samples whose probabilities are not finite, which count nowhere else.
    """
    fine = np.isfinite(probabilities).all(axis=1)
    sums[-1] += int((~fine).sum())
    probabilities, labels = probabilities[fine], labels[fine]
    predicted = probabilities.argmax(axis=1)
    confidence = probabilities[np.arange(len(labels)), predicted]
    bins = np.clip(np.ceil(confidence * NUM_BINS).astype(np.int64) - 1, 0, NUM_BINS - 1)
    count, correct, total, rest = np.split(sums, np.arange(1, 4) * NUM_BINS)
    np.add.at(count, bins, 1)
    np.add.at(correct, bins[predicted == labels], 1)
    np.add.at(total, bins, grid.integers(confidence, 1))
    truth = np.eye(probabilities.shape[1])[labels]
    rest[0] += grid.integers(np.square(probabilities - truth).sum(axis=1), 1).sum()


def read(sums: I64, grid: Grid) -> Calibration | None:
    """Return what ``add`` has added; None if some probabilities were not finite, or none given."""
    count, correct, total, rest = np.split(sums, np.arange(1, 4) * NUM_BINS)
    if rest[1] or not count.sum():
        return None
    with np.errstate(invalid="ignore"):
        confidence = grid.reals(total) / count
    return Calibration(count, correct, confidence, float(grid.reals(rest[:1])[0] / count.sum()))
