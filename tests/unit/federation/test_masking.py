"""Masks and wire types on vectors small enough to read."""

from __future__ import annotations

import numpy as np
import pytest

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream, threshold
from hpcfed.config import UplinkConfig
from hpcfed.federation.uplink.cost import UplinkCost, uplink_cost
from hpcfed.federation.uplink.entries import Entries
from hpcfed.federation.uplink.masking import num_kept
from hpcfed.federation.uplink.selection import selection
from hpcfed.federation.uplink.top import bitmask_bytes, pack_entries, top_entries, unpack_entries
from hpcfed.federation.uplink.wire import CODES
from hpcfed.networks.layout import Layout
from tests.federation_worlds import uplink


def config(mask: str, p: float, dtype: str = "float32") -> UplinkConfig:
    return UplinkConfig(mask=mask, mask_probability=p, dtype=dtype)


def entries(mask: str, p: float, *, size: int, at: tuple[int, int, int]) -> Entries:
    """Return the entries of ``size`` that a mask sends at (seed, round, client)."""
    seed, round_index, client = at
    update = np.zeros(size, np.float32)
    return selection(config(mask, p), Layout.of({"all": (size,)}), seed).choose(
        update, round_index, client
    )


def test_a_bernoulli_mask_sends_the_entries_whose_word_reaches_the_threshold() -> None:
    words = Stream(3, Purpose.MASK, 5, 2).words(200)
    sent = entries("bernoulli", 0.25, size=200, at=(3, 5, 2))
    assert np.asarray(sent).tolist() == [i for i in range(200) if int(words[i]) >= threshold(0.25)]


@pytest.mark.parametrize(("p", "count"), [(0.0, 50), (1.0, 0)])
@pytest.mark.parametrize("mask", ["bernoulli", "random-k"])
def test_p_is_the_probability_of_not_being_sent(mask: str, p: float, count: int) -> None:
    assert np.arange(50)[entries(mask, p, size=50, at=(0, 0, 0))].size == count


def test_random_k_sends_the_entries_of_the_smallest_words() -> None:
    words = Stream(0, Purpose.MASK, 1, 1).words(40).tolist()
    sent = entries("random-k", 0.75, size=40, at=(0, 1, 1))
    assert list(sent) == sorted(sorted(range(40), key=lambda i: (words[i], i))[:10])


def test_no_mask_sends_everything() -> None:
    sent = entries("none", 0.0, size=5, at=(0, 0, 0))
    assert np.arange(5)[sent].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("p", "kept"), [(0.0, 10), (0.25, 8), (0.5, 5), (0.99, 0), (1.0, 0)])
def test_k_is_all_entries_less_the_rounded_fraction_not_sent(p: float, kept: int) -> None:
    assert num_kept(p, 10) == kept


def test_masks_differ_between_rounds_and_clients() -> None:
    masks = {
        tuple(np.asarray(entries("bernoulli", 0.5, size=64, at=(0, round_index, client))))
        for round_index in range(3)
        for client in range(3)
    }
    assert len(masks) == 9


def test_top_k_takes_the_largest_magnitudes_and_the_lower_index_of_equals() -> None:
    update = np.array([0.0, -2.0, 1.0, 2.0, -1.0, 1.0], np.float32)
    assert [top_entries(update, k).tolist() for k in range(4)] == [[], [1], [1, 3], [1, 2, 3]]
    assert top_entries(update, 6).tolist() == [0, 1, 2, 3, 4, 5]


def test_top_k_takes_zeros_of_either_sign_for_equal() -> None:
    assert top_entries(np.array([0.0, -0.0, 0.0], np.float32), 1).tolist() == [0]


def test_top_k_sends_what_is_not_finite_so_that_it_is_rejected() -> None:
    update = np.array([5.0, np.nan, -np.inf], np.float32)
    assert top_entries(update, 2).tolist() == [1, 2]


def test_float32_travels_unchanged_bit_for_bit() -> None:
    values = np.array([1.5, -0.0, 1e-45, 3e38, np.inf], np.float32)
    assert CODES["float32"].encode(values).tobytes() == values.tobytes()
    assert CODES["float32"].decode(CODES["float32"].encode(values)).tobytes() == values.tobytes()


def test_float16_rounds_to_its_grid_and_overflows_to_infinity() -> None:
    values = np.array([1.0, 1 + 2.0**-11, 1 + 3 * 2.0**-11, 65520.0], np.float32)
    sent = CODES["float16"].encode(values)
    assert sent.size == 8
    assert CODES["float16"].decode(sent).tolist() == [1.0, 1.0, 1 + 2.0**-9, np.inf]


def test_int8_is_steps_of_the_largest_magnitude_over_127() -> None:
    values = np.array([127.0, -127.0, 1.4, -0.6, 0.5, 0.0], np.float32)
    sent = CODES["int8"].encode(values)
    assert sent[:4].view(np.float32).tolist() == [1.0]
    assert sent[4:].view(np.int8).tolist() == [127, -127, 1, -1, 0, 0]
    assert CODES["int8"].decode(sent).tolist() == [127.0, -127.0, 1.0, -1.0, 0.0, 0.0]


@pytest.mark.parametrize("values", [[], [0.0], [0.0, -0.0]])
def test_int8_of_nothing_and_of_zeros_is_zeros(values: list[float]) -> None:
    sent = CODES["int8"].encode(np.array(values, np.float32))
    assert sent.size == 4 + len(values)
    assert CODES["int8"].decode(sent).tolist() == [0.0] * len(values)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "sign"])
def test_what_is_not_finite_stays_so_on_the_way(dtype: str, bad: float) -> None:
    code = CODES[dtype]
    received = code.decode(code.encode(np.array([1.0, bad], np.float32)))
    assert not np.isfinite(received).all()


def test_int8_keeps_the_sign_of_the_smallest_numbers() -> None:
    tiny = np.array([180, -180], np.float32) * np.float32(1e-45)
    assert CODES["int8"].decode(CODES["int8"].encode(tiny)).tolist()[0] > 0
    assert CODES["int8"].decode(CODES["int8"].encode(tiny)).tolist()[1] < 0


def test_a_sign_is_one_bit_and_the_mean_magnitude_its_scale() -> None:
    values = np.array([3.0, -1.0, 0.0, -0.0, 0.5, -7.5, 1.0, 1.0, -4.0], np.float32)
    sent = CODES["sign"].encode(values)
    assert sent[:4].view(np.float32).tolist() == [2.0]  # 18 / 9
    assert sent[4:].tolist() == [7, 0b10111011, 0]  # seven bits of the last byte are spare
    expected = [2.0, -2.0, 2.0, 2.0, 2.0, -2.0, 2.0, 2.0, -2.0]
    assert CODES["sign"].decode(sent).tolist() == expected
    nothing = CODES["sign"].encode(np.empty(0, np.float32))
    assert CODES["sign"].decode(nothing).tolist() == []


def test_signs_of_92160_weights_take_a_32nd_of_the_bytes() -> None:
    values = np.sin(np.arange(92160, dtype=np.float32))
    assert CODES["sign"].encode(values).size == 92160 / 8 + 5
    found = cost("none", 0.0, "sign", 200, 2)
    assert (found.seed, found.bitmask, found.coordinates) == (35, 35, 35)  # 25 and two scales
    masked = cost("bernoulli", 0.7, "sign", 60, 2)
    assert (masked.seed, masked.bitmask, masked.coordinates) == (33.5, 43.5, 257.5)


def test_entries_travel_as_a_bitmask_or_coordinates_whichever_is_smaller() -> None:
    few, many = np.array([0, 99]), np.arange(0, 100, 2)
    assert pack_entries(few, 100).view(np.uint32).tolist() == [0, 99]
    assert pack_entries(many, 100).size == bitmask_bytes(100) == 13
    assert unpack_entries(pack_entries(few, 100), 100, 2).tolist() == [0, 99]
    assert unpack_entries(pack_entries(many, 100), 100, 50).tolist() == many.tolist()


def cost(mask: str, p: float, dtype: str, num_values: int, num_messages: int) -> UplinkCost:
    """Return what messages of P = 100 entries cost."""
    sets = [f"uplink.mask={mask}", f"uplink.mask_probability={p}", f"uplink.dtype={dtype}"]
    return uplink_cost(uplink(100, (1,), *sets), num_values, num_messages)


def test_the_cost_of_two_clients_under_each_scheme() -> None:
    # 2 messages, 60 values of P = 100: 240 B of values, seeds 8 B, bitmasks 13 B, indices 4 B
    found = cost("bernoulli", 0.7, "float32", 60, 2)
    assert (found.values, found.seed, found.bitmask, found.coordinates) == (60, 256, 266, 480)


def test_the_scale_of_int8_is_counted() -> None:
    found = cost("random-k", 0.7, "int8", 60, 2)
    assert (found.seed, found.bitmask, found.coordinates) == (84, 94, 308)


def test_without_a_mask_values_alone_are_counted() -> None:
    found = cost("none", 0.0, "float16", 200, 2)
    assert (found.seed, found.bitmask, found.coordinates) == (400, 400, 400)


def test_a_seed_cannot_say_what_top_k_chose() -> None:
    found = cost("top-k", 0.7, "float32", 60, 2)
    assert np.isnan(found.seed)
    assert (found.bitmask, found.coordinates) == (266, 480)


def test_a_round_without_participants_costs_nothing() -> None:
    found = cost("bernoulli", 0.5, "int8", 0, 0)
    assert (found.values, found.seed, found.bitmask, found.coordinates) == (0, 0, 0, 0)
