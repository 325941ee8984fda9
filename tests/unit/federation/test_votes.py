"""Votes of one bit: the exact sums at the root are the brute-force counts of who voted how."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcfed.federation.uplink.exact import GRID_BITS
from tests.federation_worlds import uplink

COUNTS = st.lists(st.integers(1, 1000), min_size=1, max_size=9)
MASK = ("uplink.mask=bernoulli", "uplink.mask_probability=0.4")


@given(counts=COUNTS, seed=st.integers(0, 1000), masked=st.booleans())
def test_sums_are_weighted_votes_and_a_mask_is_no_vote(counts, seed, masked) -> None:
    size, settings = 37, ("uplink.dtype=sign", "server.average=received", *(MASK if masked else ()))
    link = uplink(size, counts, *settings)
    rng = np.random.default_rng(seed)
    votes, arrived = np.zeros(size, np.int64), np.zeros(size, np.int64)
    totals = link.totals()
    for client, count in enumerate(counts):
        bits = rng.choice([-1, 1], size).astype(np.float32)
        message, entries = link.message(bits, 3, client)
        heard, values = link.received(message, 3, client)
        sent = np.arange(size)[entries] if isinstance(entries, slice) else np.asarray(entries)
        assert values.tolist() == bits[sent].tolist()  # the scale of votes is exactly one
        link.add(totals, heard, values, client)
        votes[sent] += count * bits[sent].astype(np.int64)
        arrived[sent] += count
    unit = 2 ** (GRID_BITS - link.averaging.grid.shift)
    assert totals.sums.tolist() == (votes * unit).tolist()
    assert totals.arrived.tolist() == arrived.tolist()
    mean = link.averaging.mean(totals, np.arange(len(counts)))
    expected = np.divide(votes, arrived, out=np.zeros(size), where=arrived > 0)
    assert mean.tolist() == expected.tolist()


@pytest.mark.parametrize("size", [1, 8, 9, 92160])
def test_a_message_of_bits_is_an_eighth_of_a_byte_a_weight_and_five(size: int) -> None:
    message, _ = uplink(size, [3], "uplink.dtype=sign").message(np.ones(size, np.float32), 0, 0)
    assert len(message) == -(-size // 8) + 5
