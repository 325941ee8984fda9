"""Exact sums, wire types, masks and averages on vectors that hypothesis makes up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from hpcfed.clients.memory import Memory
from hpcfed.clients.participation import participants
from hpcfed.config.file import parse_experiment
from hpcfed.federation.uplink.aggregation import STATISTICS, Sender, aggregate
from hpcfed.federation.uplink.cohort import Cohort
from hpcfed.federation.uplink.exact import LIMIT, admissible, grid
from hpcfed.federation.uplink.masking import Bernoulli, RandomK, num_kept
from hpcfed.federation.uplink.top import pack_entries, top_entries, unpack_entries
from hpcfed.federation.uplink.wire import CODES
from hpcfed.learning.trainer import LocalUpdate
from tests.federation_worlds import LoneTransport, uplink
from tests.reference_federation import Reference

F32 = NDArray[np.float32]

below_limit = st.floats(-4095.75, 4095.75, width=32)
any_float32 = st.floats(width=32, allow_nan=True, allow_infinity=True)
vectors = npst.arrays(np.float32, st.integers(1, 40), elements=below_limit)
fractions = st.one_of(st.sampled_from([0.0, 1.0, 0.5]), st.floats(0, 1))
DTYPES = ["float32", "float16", "int8", "sign"]
SMALLEST_HALF = 2.0**-24  # the smallest float16 above zero


@st.composite
def weighted_vectors(draw: st.DrawFn) -> tuple[list[int], list[F32]]:
    """Return weights n_k and as many vectors of one length."""
    weights = draw(st.lists(st.integers(1, 2**20), min_size=1, max_size=8))
    length = draw(st.integers(1, 5))
    row = npst.arrays(np.float32, length, elements=below_limit)
    return weights, [draw(row) for _ in weights]


@given(weighted_vectors(), st.randoms())
def test_exact_sums_do_not_depend_on_order_or_grouping(world, random) -> None:
    weights, rows = world
    lattice = grid(np.array(weights))
    terms = [lattice.integers(row, weight) for row, weight in zip(rows, weights, strict=True)]
    straight = sum(terms)
    random.shuffle(terms)
    cut = random.randint(0, len(terms))
    grouped = sum(terms[:cut], np.zeros_like(straight)) + sum(terms[cut:], np.zeros_like(straight))
    assert grouped.tolist() == straight.tolist()


@given(weighted_vectors())
def test_sums_of_admissible_updates_stay_below_two_to_the_62(world) -> None:
    weights, rows = world
    lattice = grid(np.array(weights))
    exactly = [0] * len(rows[0])
    for row, weight in zip(rows, weights, strict=True):
        assert admissible(row)
        for i, integer in enumerate(lattice.integers(row, weight).tolist()):
            exactly[i] += integer
    assert max(map(abs, exactly)) < 2**62


@given(weighted_vectors())
def test_a_sum_is_right_to_half_a_step_per_client(world) -> None:
    weights, rows = world
    lattice = grid(np.array(weights))
    total = sum(lattice.integers(row, w) for row, w in zip(rows, weights, strict=True))
    direct = sum(row.astype(np.float64) * w for row, w in zip(rows, weights, strict=True))
    step = 2.0 ** (lattice.shift - 50)
    tolerance = len(weights) * step / 2 + 1e-12 * LIMIT * sum(weights)
    assert np.abs(lattice.reals(total) - direct).max() <= tolerance


@given(npst.arrays(np.float32, st.integers(0, 40), elements=any_float32))
def test_float32_travels_as_it_is(values: F32) -> None:
    assert CODES["float32"].decode(CODES["float32"].encode(values)).tobytes() == values.tobytes()


@given(vectors)
def test_float16_is_right_to_half_a_unit_in_its_last_place(values: F32) -> None:
    error = np.abs(CODES["float16"].decode(CODES["float16"].encode(values)) - values)
    assert (error <= np.maximum(np.abs(values) * 2.0**-11, SMALLEST_HALF / 2)).all()


@given(
    npst.arrays(np.float32, st.integers(1, 40), elements=st.floats(-(2.0**99), 2.0**99, width=32))
)
def test_int8_is_right_to_half_a_step_of_its_scale(values: F32) -> None:
    sent = CODES["int8"].encode(values)
    scale = float(sent[:4].view(np.float32)[0])
    received = CODES["int8"].decode(sent).astype(np.float64)
    largest = float(np.abs(values).max())
    rounding = 2.0**-22 * largest + 64 * 2.0**-149  # of the scale and of the product
    assert abs(127 * scale - largest) <= rounding
    assert np.abs(received - values).max() <= scale / 2 + rounding
    assert (received * values >= 0).all()


@given(npst.arrays(np.float32, st.integers(1, 20), elements=any_float32), st.sampled_from(DTYPES))
def test_an_update_is_accepted_on_arrival_only_if_it_was_finite(values: F32, dtype: str) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        arrived = CODES[dtype].decode(CODES[dtype].encode(values))
    if admissible(arrived):
        assert np.isfinite(values).all()


@given(st.integers(1, 200), st.data())
def test_entries_survive_packing(size: int, data: st.DataObject) -> None:
    entries = sorted(data.draw(st.sets(st.integers(0, size - 1))))
    packed = pack_entries(np.array(entries, np.int64), size)
    assert packed.size == min(4 * len(entries), -(-size // 8))
    assert unpack_entries(packed, size, len(entries)).tolist() == entries


@given(
    npst.arrays(np.float32, st.integers(1, 60), elements=st.sampled_from([0, 1, -1, 2, -2, 0.5]))
)
def test_top_k_is_a_plain_sort_with_ties_to_the_lower_index(update: F32) -> None:
    order = sorted(range(len(update)), key=lambda i: (-abs(update[i]), i))
    for count in range(len(update) + 1):
        assert top_entries(update, count).tolist() == sorted(order[:count])


@given(st.integers(1, 300), fractions, st.integers(0, 2**64 - 1), st.integers(0, 1000))
def test_random_k_sends_exactly_k_of_p(size: int, p: float, seed: int, client: int) -> None:
    count = num_kept(p, size)
    entries = np.asarray(RandomK(size, seed, count).choose(None, 3, client))
    assert len(entries) == count
    assert abs(count - (1 - p) * size) <= 0.5 + 1e-9
    assert (np.diff(entries) > 0).all()
    assert not len(entries) or 0 <= entries[0] <= entries[-1] < size


@given(st.integers(1, 300), st.integers(0, 2**64 - 1), st.integers(0, 10**6))
def test_bernoulli_masks_at_the_ends_send_all_and_nothing(size: int, seed: int, turn: int) -> None:
    for p, count in ((0.0, size), (1.0, 0)):
        assert len(np.asarray(Bernoulli(size, seed, p).choose(None, turn, 1))) == count


AVERAGES = ["participants", "all", "received"]
MASKS = ["none", "bernoulli", "random-k", "top-k"]


def allowed(average: str, mask: str, rescale: bool) -> bool:
    return not (rescale and (average == "received" or mask == "top-k"))


@pytest.mark.parametrize("weights", ["samples", "uniform"])
@pytest.mark.parametrize(
    ("average", "mask", "rescale"),
    [c for c in [(a, m, r) for a in AVERAGES for m in MASKS for r in (False, True)] if allowed(*c)],
)
@settings(max_examples=15)
@given(data=st.data())
def test_every_average_equals_the_plain_reference(
    average: str, mask: str, rescale: bool, weights: str, data: st.DataObject
) -> None:
    num_samples = data.draw(st.lists(st.integers(1, 50), min_size=1, max_size=5))
    size = data.draw(st.integers(4, 12))
    p = 0.0 if mask == "none" else data.draw(st.sampled_from([0.0, 0.25, 0.5]))
    q = data.draw(st.sampled_from([0.0, 0.25, 0.5]))
    overrides = [
        f"seed={data.draw(st.integers(0, 2**64 - 1))}",
        f"server.average={average}",
        f"server.rescale={str(rescale).lower()}",
        f"server.client_weights={weights}",
        f"uplink.mask={mask}",
        f"uplink.mask_probability={p}",
        f"uplink.dtype={data.draw(st.sampled_from(DTYPES))}",
        f"participation.drop_probability={q}",
    ]
    updates = data.draw(
        npst.arrays(np.float32, (len(num_samples), size), elements=st.floats(-100, 100, width=32))
    )
    reference = Reference(parse_experiment("", overrides), num_samples, np.zeros(size, np.float32))
    reference.step(lambda params, client, round_index: updates[client])
    found = one_round(overrides, num_samples, updates, q)
    if rescale:
        np.testing.assert_allclose(found, reference.params, rtol=1e-6, atol=1e-6)
    else:
        assert found.tolist() == reference.params.tolist()


def one_round(overrides: Sequence[str], num_samples: Sequence[int], updates: F32, q: float) -> F32:
    """Return the parameters after round 0, from zero, of the fast federation."""
    size = updates.shape[1]
    world = uplink(size, num_samples, *overrides, drop=q)
    clients = participants(np.full(len(num_samples), q), world.seed, 0)
    if not len(clients):
        return np.zeros(size, np.float32)
    cohort = Cohort(0, clients, np.zeros(len(clients), np.int64))
    local = (LocalUpdate(updates[k], 0.0, 0.0) for k in clients)
    statistics = np.zeros((len(clients), len(STATISTICS)))
    totals = aggregate(
        LoneTransport(), Sender(world, cohort, local, statistics, Memory(), ()), "gather"
    )
    return world.averaging.mean(totals, clients).astype(np.float32)


@pytest.mark.parametrize("mask", ["none", "bernoulli", "random-k"])
@pytest.mark.parametrize("average", ["participants", "all"])
def test_rescaled_averages_are_unbiased(average: str, mask: str) -> None:
    # 400 seeds; q is 0 for "participants", whose mean depends on who takes part
    num_samples, size, p = [5, 1, 3, 8], 8, 0.5
    updates = np.sin(np.arange(32, dtype=np.float32)).reshape(4, size) + 1
    q = 0.25 if average == "all" else 0.0
    overrides = [
        f"uplink.mask={mask}",
        f"uplink.mask_probability={0 if mask == 'none' else p}",
        f"server.average={average}",
        "server.rescale=true",
    ]
    drawn = np.array(
        [one_round([*overrides, f"seed={s}"], num_samples, updates, q) for s in range(400)],
        np.float64,
    )
    truth = np.average(updates, axis=0, weights=num_samples)
    error = drawn.std(axis=0, ddof=1) / np.sqrt(len(drawn))
    assert (np.abs(drawn.mean(axis=0) - truth) <= 4 * error + 1e-6).all()


def test_an_average_without_rescaling_is_smaller_by_the_masks_probability() -> None:
    updates = np.ones((4, 200), np.float32)
    masked = ["uplink.mask=bernoulli", "uplink.mask_probability=0.75"]
    mean = np.mean([one_round([*masked, f"seed={s}"], [1] * 4, updates, 0.0) for s in range(20)])
    assert abs(mean - 0.25) < 4 * np.sqrt(0.25 * 0.75 / (4 * 200 * 20))
