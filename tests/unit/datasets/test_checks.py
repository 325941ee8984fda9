"""A user's events are checked before anything is trained on them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hpcfed.datasets.checks import check_events
from hpcfed.errors import InputError
from hpcfed.samples.binning import Binning
from hpcfed.samples.events import EventSet, bin_samples

HALVES = Binning(1.0, 2, counts=True)


def tiny(**changes: Any) -> EventSet:
    """Return two samples, of two events (bins 0 and 1) and of one (bin 1), with ``changes``."""
    samples = [(np.array([0.1, 0.6]), np.array([0, 1])), (np.array([0.7]), np.array([1]))]
    names = (("a", "b"), ("ann", "bob"))
    events = bin_samples(samples, [0, 1], [1, 0], binning=HALVES, num_channels=2, names=names)
    return replace(events, **changes)


def test_right_events_pass() -> None:
    check_events(tiny(), HALVES, "mine")
    check_events(tiny(counts=None, labels=np.array([-1, 0])), HALVES, "mine")
    edges = np.array([0, 1], np.float32)
    check_events(tiny(targets=edges, coordinates=edges[:, None]), HALVES, "mine")


WRONG = {
    "groups from 0 to 2; expected 0 to 1": {"groups": np.array([0, 2])},
    "groups from -1 to 0; expected 0 to 1": {"groups": np.array([0, -1])},
    "labels from 0 to 2; expected -1 to 1": {"labels": np.array([0, 2])},
    "labels from -2 to 0; expected -1 to 1": {"labels": np.array([-2, 0])},
    "channels from 0 to 2; expected 0 to 1": {"channels": np.array([0, 1, 2])},
    "channels from -1 to 1; expected 0 to 1": {"channels": np.array([0, 1, -1])},
    "sample_offsets from 0 to 2; expected them to rise from 0 to 3": {
        "sample_offsets": np.array([0, 2, 2])
    },
    "sample_offsets from 1 to 3; expected them to rise from 0 to 3": {
        "sample_offsets": np.array([1, 2, 3])
    },
    "sample_offsets from 0 to 3; expected them to rise": {"sample_offsets": np.array([0, 4, 3])},
    "bin_offsets of sample 1 from 0 to 2; expected them to rise from 0 to 1": {
        "bin_offsets": np.array([[0, 1, 2], [0, 0, 2]])
    },
    "bin_offsets of sample 0 from 1 to 2": {"bin_offsets": np.array([[1, 1, 2], [0, 0, 1]])},
    "bin_offsets of sample 0 from 0 to 2": {
        "bin_offsets": np.array([[0, 3, 2], [0, 0, 1]], np.uint32)
    },
    "2 counts; expected 3": {"counts": np.array([1, 1], np.uint16)},
    "labels, groups and offsets disagree": {"labels": np.array([0, 1, 1])},
    "labels 2, groups 2, bin_offsets 3, sample_offsets 2": {"bin_offsets": np.zeros((3, 3), int)},
    "labels is list; expected a NumPy array": {"labels": [0, 1]},
    "groups is 1-d float64; expected 1-d whole numbers": {"groups": np.array([0.0, 1.0])},
    "bin_offsets is 1-d uint32; expected 2-d": {"bin_offsets": np.zeros(3, np.uint32)},
    "1 s; data.num_bins and data.duration are 2 and 1 s": {
        "bin_offsets": np.array([[0, 1, 2, 2], [0, 0, 0, 1]])
    },
    "2 bins over 2 s": {"duration": 2.0},
    "targets is list; expected a NumPy array": {"targets": [0.0, 1.0]},
    "targets is 1-d float64; expected 1-d float32": {"targets": np.array([0.0, 1.0])},
    "targets is 2-d float32; expected 1-d": {"targets": np.zeros((2, 1), np.float32)},
    "targets of shape (3,); expected 2 samples": {"targets": np.zeros(3, np.float32)},
    "targets from 0.0 to 1.5; expected 0 to 1": {"targets": np.array([0, 1.5], np.float32)},
    "targets from nan to nan; expected 0 to 1, all finite": {
        "targets": np.array([np.nan, 0], np.float32)
    },
    "targets, which stand in for labels of two classes, and 3 class_names": {
        "targets": np.zeros(2, np.float32),
        "class_names": ("a", "b", "c"),
    },
    "coordinates is 1-d float32; expected 2-d float32": {"coordinates": np.zeros(2, np.float32)},
    "coordinates of shape (1, 2); expected 2 samples": {
        "coordinates": np.zeros((1, 2), np.float32)
    },
    "coordinates of shape (2, 0); expected 2 samples": {
        "coordinates": np.zeros((2, 0), np.float32)
    },
    "coordinates from -0.5 to 0.0; expected 0 to 1": {
        "coordinates": np.array([[-0.5], [0]], np.float32)
    },
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_events_are_named_with_what_is_wrong(message: str) -> None:
    with pytest.raises(InputError) as raised:
        check_events(tiny(**WRONG[message]), HALVES, "mine")
    assert str(raised.value).startswith("mine: ")
    assert message in str(raised.value)
