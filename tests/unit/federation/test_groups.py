"""The most important groups of an update: which they are, and how they are named and averaged."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcfed.config.file import parse_experiment
from hpcfed.errors import InputError
from hpcfed.federation.uplink.cost import uplink_cost
from hpcfed.federation.uplink.groups import groups
from hpcfed.networks.layout import Layout, Part
from tests.federation_worlds import uplink

# four groups of 2 x 3 entries, then two that are sent whole
LAYOUT = Layout((Part("kernel", (4, 2, 3), groups=4), Part("bias", (2,), masked=False)))
TWO = ("uplink.mask=groups", "uplink.groups=2", "server.average=received")


def update(*sizes: float) -> np.ndarray:
    """Return an update whose groups have entries of these sizes, of either sign; biases are 9."""
    kernel = np.repeat(np.array(sizes, np.float32), 6) * np.tile([1, -1], 12)
    return np.concatenate([kernel, [9, 9]]).astype(np.float32)


def entries_of(*numbers: int) -> list[int]:
    return [6 * number + k for number in numbers for k in range(6)]


def test_the_groups_that_changed_most_are_sent_and_ties_go_to_the_lower_number() -> None:
    chosen = groups(LAYOUT, 2, 0, 0.0)
    assert chosen.choose(update(1, 4, 2, 3)[:24], 0, 0).tolist() == entries_of(1, 3)
    assert chosen.choose(update(1, 1, 1, 1)[:24], 0, 0).tolist() == entries_of(0, 1)


def test_what_the_rule_says_counts_more_than_what_has_changed() -> None:
    chosen = groups(LAYOUT, 2, 0, 0.0)
    importance = np.array([3.0, 0.0, 5.0, 1.0])
    assert chosen.choose(update(1, 9, 1, 9)[:24], 0, 0, importance).tolist() == entries_of(0, 2)


def test_a_message_is_the_values_a_byte_a_group_and_what_is_sent_whole() -> None:
    link = uplink(26, (3, 5), *TWO, layout=LAYOUT)
    message, entries = link.message(update(1, 4, 2, 3), 0, 0)
    assert len(message) == 12 * 4 + 2 + 2 * 4
    assert message[48:50].tolist() == [1, 3]
    heard, values = link.received(message, 0, 0)
    assert np.asarray(heard).tolist() == np.asarray(entries).tolist() == entries_of(1, 3)
    assert values.tolist() == [*update(1, 4, 2, 3)[entries_of(1, 3)], 9, 9]
    cost = uplink_cost(link, 2 * 14, 2)
    assert cost.seed == 2 * (14 * 4 + 2)
    assert cost.bitmask == 2 * (14 * 4 + 3)
    assert cost.coordinates == 2 * (14 * 4 + 12 * 4)


def test_each_group_is_averaged_over_those_that_sent_it_and_others_stay() -> None:
    """Of two clients: group 1 from both, 3 from one, 0 from the other, 2 from none."""
    link = uplink(26, (1, 3), *TWO, layout=LAYOUT)
    totals = link.totals()
    for client, sizes in enumerate([(0, 4, 1, 8), (2, 4, 1, 1)]):
        message, _ = link.message(update(*sizes), 5, client)
        link.add(totals, *link.received(message, 5, client), client)
    mean = link.averaging.mean(totals, np.array([0, 1]))
    signs = np.tile([1, -1], 3)
    expected = [*(2 * signs), *(4 * signs), *(0 * signs), *(8 * signs), 9, 9]
    assert mean.tolist() == expected


@given(seed=st.integers(0, 100), count=st.integers(1, 4), p=st.sampled_from([0.0, 0.3, 0.95]))
def test_the_root_reads_the_entries_that_were_sent_whatever_the_mask_leaves(seed, count, p) -> None:
    settings = ("uplink.mask=groups", f"uplink.groups={count}", f"uplink.mask_probability={p}",
                "server.average=received", f"seed={seed}")  # fmt: skip
    link = uplink(26, (3, 5), *settings, layout=LAYOUT)
    sent = np.random.default_rng(seed).normal(size=26).astype(np.float32)
    message, entries = link.message(sent, 2, 1)
    heard, values = link.received(message, 2, 1)
    assert np.asarray(heard).tolist() == np.asarray(entries).tolist()
    assert values.tolist() == [*sent[np.asarray(entries)], *sent[24:]]
    assert len(message) <= link.likely_message_bytes()
    if p == 0:
        assert len(entries) == 6 * count


def test_error_feedback_keeps_the_groups_that_were_not_sent() -> None:
    link = uplink(26, (3, 5), *TWO, "uplink.error_feedback=true", layout=LAYOUT)
    sent = update(1, 4, 2, 3)
    message, entries = link.message(sent, 0, 0)
    left = link.left(sent, entries, link.values(message))
    assert np.flatnonzero(left).tolist() == entries_of(0, 2)


def test_a_group_that_is_not_finite_is_sent_and_rejected() -> None:
    link = uplink(26, (3, 5), *TWO, layout=LAYOUT)
    broken = update(1, 4, 2, 3)
    broken[2] = np.nan
    message, entries = link.message(broken, 0, 0)
    assert 2 in entries
    assert not link.accepts(link.values(message), 0)


@pytest.mark.parametrize(
    ("layout", "count", "reason"),
    [
        (Layout.of({"all": (8, 2)}), 1, "has no groups"),
        (Layout((Part("a", (4,), groups=4), Part("b", (4,), groups=2))), 1, "other numbers"),
        (LAYOUT, 5, "4 groups"),
        (Layout((Part("a", (300,), groups=300),)), 2, "at most 255"),
    ],
)
def test_groups_that_there_are_not_are_refused(layout: Layout, count: int, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        groups(layout, count, 0, 0.0)


@pytest.mark.parametrize(
    "sets",
    [
        ["uplink.mask=groups"],
        ["uplink.groups=2"],
        ["uplink.mask=groups", "uplink.groups=2", "server.rescale=true"],
    ],
)
def test_keys_of_groups_need_each_other(sets: list[str]) -> None:
    with pytest.raises(InputError):
        parse_experiment("", sets)
