"""Events of a file and in memory, in any order, are of one type to kernels: compiled once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any  # Any: one of three tables

import numba
import numpy as np
import pytest

from hpcfed.learning.circuit import plan as circuit
from hpcfed.learning.event import inputs as event
from hpcfed.learning.local import plan as local
from hpcfed.samples.events import EventSet
from tests.tiny_events import patterns

NOBODY = np.zeros(0, np.int64)
ARRAYS = ("channels", "bin_offsets", "sample_offsets")


def tables(events: EventSet, ids: np.ndarray = NOBODY) -> dict[str, Any]:
    teacher, addresses = np.empty((0, 0), np.float32), np.empty((0, 5), np.uint32)
    return {
        "event": event.inputs_of(events, ids, teacher, ()),
        "local": local.inputs_of(events, ids),
        "circuit": circuit.inputs_of(events, ids, addresses, NOBODY),
    }


@pytest.mark.parametrize("engine", ["event", "local", "circuit"])
def test_what_cannot_be_written_is_of_the_type_of_what_can(engine: str) -> None:
    written = patterns(4)
    mapped = replace(written, **{name: getattr(written, name).view() for name in ARRAYS})
    for name in ARRAYS:
        getattr(mapped, name).flags.writeable = False
    kinds = [numba.typeof(tables(events)[engine]) for events in (written, mapped)]
    assert kinds[0] == kinds[1]
    assert written.channels.flags.writeable


@pytest.mark.parametrize("engine", ["event", "local", "circuit"])
def test_samples_that_were_turned_round_are_of_the_type_of_others(engine: str) -> None:
    events = patterns(4)
    orders = (np.arange(4), np.arange(4)[::-1])
    kinds = [numba.typeof(tables(events, ids)[engine]) for ids in orders]
    assert kinds[0] == kinds[1]
