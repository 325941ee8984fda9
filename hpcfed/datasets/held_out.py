"""A test that is taken from the training file: a part of each class, or whole groups.

S samples, G groups. Groups are dealt to K folds in the order of words of ``data.split_seed``, one
word a group of the file: fold k has every K-th from the k-th on. So each group with samples is the
test of one fold, and folds differ by one group at most.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.config import DataConfig
from hpcfed.datasets.validation import split
from hpcfed.errors import InputError
from hpcfed.samples.samples import Samples

I64 = NDArray[np.int64]


def is_taken(config: DataConfig) -> bool:
    """Say whether the test is taken from the training file."""
    return config.test_fraction is not None or config.folds is not None


def taken(samples: Samples, config: DataConfig, has_test: bool) -> tuple[I64, I64]:
    """Return the ids of the test among ``samples``, and of those of no chosen class beside them.

    Both are ascending int64. ``has_test`` is whether the data bring a test of their own. Raises
    InputError where they do and a part is asked for, and for more folds than groups.
    """
    labels, everywhere = samples.labels, np.ones(samples.num_samples, np.bool_)
    if config.test_fraction is not None:
        if has_test:
            raise InputError(
                f"data.test_fraction = {config.test_fraction:g}: {config.dataset} has a test of "
                "its own; leave data.test_fraction out"
            )
        _, chosen = split(labels, config.test_fraction, config.split_seed, Purpose.TEST_SPLIT)
    else:
        everywhere = np.isin(samples.groups, _groups(samples, config))
        chosen = np.flatnonzero(everywhere & (labels >= 0))
    if not len(chosen):
        raise InputError(
            f"data.test_fraction = {config.test_fraction:g}: each class of {config.dataset} keeps "
            "a sample to learn from, and none is left for the test; use more data"
        )
    return chosen, np.flatnonzero(everywhere & (labels < 0))


def _groups(samples: Samples, config: DataConfig) -> I64:
    """Return the groups of the fold that is the test."""
    assert config.folds is not None
    there = np.unique(samples.groups[samples.labels >= 0])
    if config.folds > len(there):
        raise InputError(
            f"data.folds = {config.folds}: whole groups are the test of a fold, and the training "
            f"file of {config.dataset} has {len(there)}; lower it, or use data.test_fraction"
        )
    words = Stream(config.split_seed, Purpose.FOLDS).words(len(samples.group_names))[there]
    dealt = there[np.argsort(words, kind="stable")]
    return np.asarray(dealt[config.fold :: config.folds], np.int64)
