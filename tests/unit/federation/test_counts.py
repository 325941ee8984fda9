"""Counts that the root adds up, and rows that weigh what was counted of them: against fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from hpcfed.config.file import parse_experiment
from hpcfed.errors import InputError
from hpcfed.federation.uplink.averaging import MOST_WEIGHT, averaging
from hpcfed.federation.uplink.messages import Uplink
from hpcfed.networks.layout import MOST_COUNT, Layout, Part

NEURONS, INPUTS, CLASSES = 4, 3, 2
COUNTS = Part("counts", (NEURONS, CLASSES), "zeros", trained=False, masked=False, summed=True)
PARTS = Layout(
    (
        Part("weights", (NEURONS, INPUTS), groups=2, counted_by="counts"),
        Part("theta", (NEURONS,), "zeros", masked=False, counted_by="counts"),
        COUNTS,
    )
)
BY_SPIKES = ("rule.kind=stdp", "client.optimizer=sgd", "server.average=received",
             "server.client_weights=spikes")  # fmt: skip
MASK = ("uplink.mask=bernoulli", "uplink.mask_probability=0.5")


def world(*overrides: str, num_clients: int = 3, parts: Layout = PARTS) -> Uplink:
    experiment = parse_experiment("", overrides)
    weights = np.arange(1, num_clients + 1)
    weighting = averaging(experiment, weights, np.zeros(num_clients), parts)
    return Uplink(experiment.uplink, weighting, experiment.seed, parts)


def update(client: int, most: int = 5000) -> np.ndarray:
    random = np.random.default_rng(client)
    found = random.normal(size=PARTS.size).astype(np.float32)
    counts = random.integers(0, most, (NEURONS, CLASSES))
    counts[client % NEURONS] = 0  # a neuron that never spiked here
    PARTS.split(found)["counts"][:] = counts
    return found


def merged(uplink: Uplink, updates: list[np.ndarray]) -> np.ndarray:
    totals = uplink.totals()
    for client, one in enumerate(updates):
        message, _ = uplink.message(one, 0, client)
        entries, values = uplink.received(message, 0, client)
        heard = uplink.heard(values, entries, 0, client)
        assert uplink.accepts(heard, client)
        uplink.add(totals, entries, heard, client)
    return uplink.averaging.mean(totals, np.arange(len(updates)))


@pytest.mark.parametrize(
    "sets",
    [
        (),
        (*MASK, "server.average=received"),
        ("uplink.dtype=int8",),
        ("uplink.noise=0.3",),
        BY_SPIKES,
        (*BY_SPIKES, *MASK),
        (*BY_SPIKES, "uplink.mask=groups", "uplink.groups=1", "uplink.noise=0.1"),
    ],
)
def test_counts_are_added_up_exactly(sets: tuple[str, ...]) -> None:
    updates = [update(client) for client in range(3)]
    mean = PARTS.split(merged(world(*sets), updates))
    expected = sum(PARTS.split(one)["counts"].astype(int) for one in updates)
    assert mean["counts"].tolist() == expected.tolist()


@pytest.mark.parametrize("mask", [(), MASK])
def test_each_row_is_averaged_by_what_was_counted_of_it(mask: tuple[str, ...]) -> None:
    uplink, updates = world(*BY_SPIKES, *mask), [update(client) for client in range(3)]
    mean, spacing = (
        PARTS.split(merged(uplink, updates)),
        Fraction(2) ** (uplink.averaging.grid.shift - 50),
    )
    sent = np.zeros((3, PARTS.size), bool)
    for client, one in enumerate(updates):
        entries = uplink.message(one, 0, client)[1]
        sent[client, : PARTS.num_masked][entries] = True
        sent[client, PARTS.num_masked :] = True
    for row in range(NEURONS):
        counted = [int(PARTS.split(one)["counts"][row].sum()) for one in updates]
        for name in ("weights", "theta"):
            for place, value in enumerate(np.atleast_1d(mean[name][row])):
                arrived = [np.atleast_1d(PARTS.split(s)[name][row])[place] for s in sent]
                told = [
                    (count, Fraction(float(np.atleast_1d(PARTS.split(one)[name][row])[place])))
                    for count, one, here in zip(counted, updates, arrived, strict=True)
                    if here
                ]
                weight = sum(count for count, _ in told)
                if not weight:
                    assert value == 0
                    continue
                exact = sum(count * one for count, one in told) / weight
                assert abs(Fraction(float(value)) - exact) <= 3 * spacing / weight + exact / 2**52


def test_the_order_of_clients_changes_no_bit() -> None:
    uplink, updates = world(*BY_SPIKES), [update(client) for client in range(3)]
    forth, back = uplink.totals(), uplink.totals()
    for totals, order in ((forth, (0, 1, 2)), (back, (2, 0, 1))):
        for client in order:
            message, entries = uplink.message(updates[client], 0, client)
            uplink.add(totals, entries, uplink.values(message), client)
    assert forth.sums.tolist() == back.sums.tolist()
    assert forth.arrived is not None
    assert back.arrived is not None
    assert forth.arrived.tolist() == back.arrived.tolist()


def test_weights_of_rows_are_bounded_so_that_sums_cannot_overflow() -> None:
    uplink = world(*BY_SPIKES, num_clients=2)
    loud = update(0)
    PARTS.split(loud)["counts"][:] = MOST_COUNT - 1
    PARTS.split(loud)["weights"][:] = 4095.0
    totals = uplink.totals()
    for client in range(2):
        message, entries = uplink.message(loud, 0, client)
        assert uplink.accepts(uplink.values(message), client)
        uplink.add(totals, entries, uplink.values(message), client)
    assert totals.arrived is not None
    assert totals.arrived[: PARTS.num_averaged].max() == 2 * MOST_WEIGHT
    assert PARTS.split(uplink.averaging.mean(totals, np.arange(2)))["weights"].max() == 4095.0


def test_more_than_can_be_counted_is_rejected() -> None:
    uplink = world(*BY_SPIKES)
    for wrong in (MOST_COUNT, -1, np.nan):
        one = update(0)
        PARTS.split(one)["counts"][1, 1] = wrong
        assert not uplink.accepts(uplink.values(uplink.message(one, 0, 0)[0]), 0)


def test_networks_that_count_nothing_have_no_such_weights() -> None:
    plain = Layout((Part("weights", (2, 2)),))
    with pytest.raises(InputError, match="counts no spikes of its neurons"):
        world("rule.kind=tests.toy_world:RULE", *BY_SPIKES[2:], parts=plain)


def test_counts_come_last_and_are_no_parameters() -> None:
    with pytest.raises(InputError, match="out of order"):
        Layout((COUNTS, Part("mean", (1,), trained=False, masked=False)))
    with pytest.raises(InputError, match="is a count"):
        Layout((Part("counts", (2,), masked=False, summed=True),))
    with pytest.raises(InputError, match="no such counts of as many rows"):
        Layout((Part("weights", (3, 3), counted_by="counts"), COUNTS))
