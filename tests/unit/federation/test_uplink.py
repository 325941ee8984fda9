"""From updates to exact sums: what a message holds, what error feedback keeps, what is left out."""

from __future__ import annotations

import numpy as np
import pytest

from hpcfed.clients.memory import Memory
from hpcfed.federation.uplink import aggregation
from hpcfed.federation.uplink.aggregation import (
    STATISTICS,
    Sender,
    aggregate,
    chosen_transport,
    predicted_bytes,
    waves,
)
from hpcfed.federation.uplink.cohort import Cohort
from hpcfed.federation.uplink.wire import CODES
from hpcfed.learning.trainer import LocalUpdate
from tests.federation_worlds import LoneTransport, uplink

MASKS = ["none", "bernoulli", "random-k", "top-k"]
DTYPES = ["float32", "float16", "int8", "sign"]


def settings(mask: str, dtype: str, p: float = 0.5) -> list[str]:
    probability = [] if mask == "none" else [f"uplink.mask_probability={p}"]
    return [f"uplink.mask={mask}", f"uplink.dtype={dtype}", *probability]


def updates(size: int, count: int) -> list[np.ndarray]:
    rows = np.sin(np.arange(size * count)).reshape(count, size)
    return list(rows.astype(np.float32))


def cohort(*ranks: int) -> Cohort:
    return Cohort(4, np.arange(len(ranks)), np.array(ranks, np.int64))


def sender(world, deltas, residuals=None, ranks=None):
    members = cohort(*(ranks or [0] * len(deltas)))
    local = (LocalUpdate(delta, 2.0, 0.5) for delta in deltas)
    residual = 0 if residuals is None else world.size
    memory = Memory(residual=residual, rows={} if residuals is None else residuals)
    return Sender(world, members, local, np.zeros((len(deltas), len(STATISTICS))), memory, ())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("p", [0.0, 0.5, 0.98, 1.0])
def test_the_root_reads_from_a_message_what_the_client_sent(
    mask: str, dtype: str, p: float
) -> None:
    world = uplink(100, (1, 2), *settings(mask, dtype, p))
    update = updates(100, 1)[0]
    message, entries = world.message(update, 3, 1)
    read_entries, values = world.received(message, 3, 1)
    assert np.arange(100)[read_entries].tolist() == np.arange(100)[entries].tolist()
    code = CODES[dtype]
    assert values.tolist() == code.decode(code.encode(update[entries])).tolist()
    assert message.size <= world.likely_message_bytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mask", ["none", "random-k", "top-k"])
@pytest.mark.parametrize("p", [0.0, 0.25, 0.98, 1.0])
def test_a_message_of_fixed_length_has_the_expected_length(mask: str, dtype: str, p: float) -> None:
    world = uplink(200, (1, 2), *settings(mask, dtype, p))
    message, _ = world.message(updates(200, 1)[0], 0, 0)
    assert message.size == world.expected_message_bytes()


def test_a_message_of_random_length_has_the_expected_length_on_average() -> None:
    world = uplink(400, (1, 2), *settings("bernoulli", "float32", 0.7))
    sizes = [world.message(np.zeros(400, np.float32), r, 0)[0].size for r in range(50)]
    deviation = 4 * np.sqrt(400 * 0.7 * 0.3 / 50)
    assert abs(np.mean(sizes) - world.expected_message_bytes()) < 4 * deviation


def test_only_top_k_sends_indices() -> None:
    update = updates(64, 1)[0]
    sizes = [
        uplink(64, (1,), *settings(m, "float32")).message(update, 0, 0)[0].size
        for m in ("random-k", "top-k")
    ]
    assert sizes == [32 * 4, 32 * 4 + 64 // 8]


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("average", ["participants", "received"])
def test_both_transports_give_the_same_sums(mask: str, dtype: str, average: str) -> None:
    world = uplink(50, (2, 3, 4), *settings(mask, dtype), f"server.average={average}")
    gathered = aggregate(LoneTransport(), sender(world, updates(50, 3)), "gather")
    reduced = aggregate(LoneTransport(), sender(world, updates(50, 3)), "reduce")
    assert gathered.sums.any()
    assert gathered.sums.tolist() == reduced.sums.tolist()
    if average == "received":
        assert gathered.arrived.tolist() == reduced.arrived.tolist()


def test_waves_of_one_message_give_the_same_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    world = uplink(50, (2, 3, 4), *settings("bernoulli", "int8"))
    whole = aggregate(LoneTransport(), sender(world, updates(50, 3)), "gather")
    monkeypatch.setattr(aggregation, "WAVE_BYTES", 1)
    cut = aggregate(LoneTransport(), sender(world, updates(50, 3)), "gather")
    assert cut.sums.tolist() == whole.sums.tolist()


@pytest.mark.parametrize("how", ["gather", "reduce"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, 4096.0, -4096.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_bad_update_is_left_out_and_noted(how: str, bad: float, dtype: str) -> None:
    world = uplink(3, (1, 1), f"uplink.dtype={dtype}")
    # by its signs alone nobody sees that one of several values is too large
    others = (bad, bad) if dtype == "sign" else (1, 3)
    good, broken = np.array([1, 2, 3], np.float32), np.array([bad, *others], np.float32)
    both = sender(world, [good, broken])
    alone = aggregate(LoneTransport(), sender(world, [good]), how)
    assert aggregate(LoneTransport(), both, how).sums.tolist() == alone.sums.tolist()
    assert both.statistics[:, STATISTICS.index("rejected")].tolist() == [0, 1]


def test_a_bad_entry_that_the_mask_holds_back_does_no_harm() -> None:
    world = uplink(40, (1,), *settings("random-k", "float32"))
    _, entries = world.message(np.zeros(40, np.float32), 4, 0)
    update = np.full(40, np.nan, np.float32)
    update[entries] = 1.0
    one = sender(world, [update])
    totals = aggregate(LoneTransport(), one, "reduce")
    assert totals.sums[entries].tolist() == [2**50] * 20
    assert one.statistics[0, STATISTICS.index("rejected")] == 0


def test_statistics_are_loss_norm_rate_and_values_of_each_participant() -> None:
    world = uplink(4, (1, 1), *settings("random-k", "float32"))
    one = sender(world, [np.array([3, 0, 0, 4], np.float32), np.zeros(4, np.float32)])
    aggregate(LoneTransport(), one, "reduce")
    assert STATISTICS == ("loss", "norm", "hidden_rate", "values", "rejected")
    assert one.statistics.tolist() == [[2, 5, 0.5, 2, 0], [2, 0, 0.5, 2, 0]]


def test_error_feedback_keeps_input_minus_decoded() -> None:
    world = uplink(4, (1,), "uplink.mask=top-k", "uplink.mask_probability=0.5",
                   "uplink.dtype=int8", "uplink.error_feedback=true")  # fmt: skip
    kept = {0: np.array([0, 1, 0, 0], np.float32)}
    one = sender(world, [np.array([127, 2, -50.25, 1], np.float32)], kept)
    totals = aggregate(LoneTransport(), one, "reduce")
    # 127, 3, -50.25, 1 go in; the largest two go out, as 127 and -50
    assert (totals.sums / 2**50).tolist() == [127, 0, -50, 0]
    assert kept[0].tolist() == [0, 3, -0.25, 1]


def test_a_rejected_update_leaves_what_error_feedback_kept() -> None:
    world = uplink(2, (1,), "uplink.error_feedback=true")
    kept = {0: np.array([1, 2], np.float32)}
    aggregate(LoneTransport(), sender(world, [np.array([np.nan, 0], np.float32)], kept), "gather")
    assert kept[0].tolist() == [1, 2]


def test_the_trainers_own_array_is_not_changed() -> None:
    world = uplink(4, (1,), *settings("top-k", "int8"), "uplink.error_feedback=true")
    delta = np.array([1, 2, 3, 4], np.float32)
    aggregate(LoneTransport(), sender(world, [delta], {}), "gather")
    assert delta.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("how", ["gather", "reduce"])
def test_a_round_without_participants_sums_to_zero(how: str) -> None:
    world = uplink(3, (1, 1))
    assert aggregate(LoneTransport(), sender(world, []), how).sums.tolist() == [0, 0, 0]


def test_a_cohort_knows_which_clients_a_rank_trains() -> None:
    members = Cohort(0, np.array([2, 5, 7]), np.array([1, 0, 1]))
    assert [members.of(rank).tolist() for rank in range(3)] == [[5], [2, 7], []]


def test_waves_take_ranks_in_turn_and_clients_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregation, "WAVE_BYTES", 300)
    monkeypatch.setattr(aggregation, "MOST_WAVE_BYTES", 600)
    members = Cohort(0, np.array([0, 1, 2, 5, 8]), np.array([1, 1, 0, 1, 0]))
    pairs = [[(2, 0), (0, 1), (8, 0)], [(1, 1), (5, 1)]]
    assert waves(members, 2, 100) == pairs
    assert waves(members, 2, 601) == [[pair] for wave in pairs for pair in wave]
    assert waves(Cohort(0, np.zeros(0, np.int64), np.zeros(0, np.int64)), 2, 100) == []


def test_a_wave_of_large_messages_still_holds_one_of_each_rank(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aggregation, "WAVE_BYTES", 300)
    members = Cohort(0, np.arange(8), np.arange(8) % 4)
    assert [[rank for _, rank in wave] for wave in waves(members, 4, 290)] == [[0, 1, 2, 3]] * 2


def test_a_mask_makes_waves_longer() -> None:
    dense = uplink(10_000, (1,))
    sparse = uplink(10_000, (1,), *settings("bernoulli", "float32", 0.95))
    assert sparse.likely_message_bytes() < 0.1 * dense.likely_message_bytes()


def test_predicted_bytes_by_hand() -> None:
    world = uplink(100, (1,) * 4, *settings("random-k", "float32"))
    # clients 1 and 3 are not at the root: 2 messages of a size (8 B) and 50 values;
    # 2 ranks send 100 int64
    assert predicted_bytes(world, cohort(0, 1, 0, 2), 3) == {"gather": 416, "reduce": 1600}


def test_an_average_over_what_arrived_reduces_two_vectors() -> None:
    world = uplink(100, (1,) * 2, "server.average=received")
    assert predicted_bytes(world, cohort(0, 1), 2)["reduce"] == 1600


def test_auto_takes_the_transport_that_moves_fewer_bytes() -> None:
    sparse = uplink(100, (1,) * 4, *settings("random-k", "float32", 0.9))
    dense = uplink(100, (1,) * 4)
    everyone_away = cohort(1, 1, 1, 1)
    assert chosen_transport(sparse, everyone_away, 2) == "gather"  # 4 * 48 B against 800 B
    assert chosen_transport(dense, everyone_away, 2) == "reduce"  # 4 * 408 B against 800 B


@pytest.mark.parametrize("transport", ["gather", "reduce"])
def test_a_set_transport_is_taken(transport: str) -> None:
    world = uplink(100, (1,) * 4, f"uplink.transport={transport}")
    assert chosen_transport(world, cohort(1, 1, 1, 1), 2) == transport
