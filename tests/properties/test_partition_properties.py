"""Whatever the labels: a partition covers each sample exactly once and leaves no client empty."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcfed.clients.partition import partition
from hpcfed.config import PartitionConfig
from hpcfed.datasets.validation import split

KINDS = st.sampled_from(["iid", "dirichlet", "quantity", "shards"])


@st.composite
def worlds(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    num_samples = draw(st.integers(1, 60))
    numbers = st.lists(st.integers(0, 6), min_size=num_samples, max_size=num_samples)
    return np.array(draw(numbers)), np.array(draw(numbers))


def check(parts: list[np.ndarray], num_samples: int) -> None:
    assert np.sort(np.concatenate(parts)).tolist() == list(range(num_samples))
    for part in parts:
        assert part.dtype == np.int64
        assert len(part) >= 1
        assert (np.diff(part) > 0).all()


@settings(deadline=None)
@given(worlds(), KINDS, st.data(), st.integers(0, 2**64 - 1))
def test_a_partition_covers_each_sample_once(
    world: tuple[np.ndarray, np.ndarray], kind: str, data: st.DataObject, seed: int
) -> None:
    labels, groups = world
    num_clients = data.draw(st.integers(1, len(labels)))
    most = len(labels) // num_clients
    least = min(most, -(-len(set(labels.tolist())) // num_clients))
    per_client = data.draw(st.integers(least, most))
    if kind == "shards" and num_clients * per_client < len(set(labels.tolist())):
        kind = "iid"
    config = PartitionConfig(
        kind=kind,
        num_clients=num_clients,
        alpha=data.draw(st.sampled_from([1e-3, 0.1, 1.0, 1e4])),
        classes_per_client=per_client,
    )
    parts = partition(config, labels, groups, seed)
    assert len(parts) == num_clients
    check(parts, len(labels))
    if kind == "shards":
        assert all(len(set(labels[part].tolist())) <= per_client for part in parts)


@given(worlds(), st.data())
def test_groups_are_never_divided(
    world: tuple[np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    labels, groups = world
    num_groups = len(set(groups.tolist()))
    num_clients = data.draw(st.none() | st.integers(1, num_groups))
    parts = partition(PartitionConfig(num_clients=num_clients), labels, groups, 0)
    assert len(parts) == (num_clients or num_groups)
    check(parts, len(labels))
    owners = [set(groups[part].tolist()) for part in parts]
    assert sum(map(len, owners)) == num_groups


@given(worlds(), st.floats(0, 1, exclude_max=True), st.integers(0, 2**64 - 1))
def test_the_validation_split_covers_each_sample_once_and_every_class_trains(
    world: tuple[np.ndarray, np.ndarray], fraction: float, seed: int
) -> None:
    labels = world[0] - 1  # -1: not in the subset
    train, validation = split(labels, fraction, seed)
    both = np.sort(np.concatenate([train, validation]))
    assert both.tolist() == np.flatnonzero(labels >= 0).tolist()
    assert set(labels[train].tolist()) == set(labels[labels >= 0].tolist())
