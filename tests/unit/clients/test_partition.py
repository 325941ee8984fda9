"""Who owns which sample: counted by hand in tiny worlds, and refused when it cannot be."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.clients.partition import dirichlet, partition
from hpcfed.config import PartitionConfig
from hpcfed.errors import InputError

LABELS = np.repeat(np.arange(10), 30)  # 300 samples, 10 classes
GROUPS = np.arange(300) % 6


def divide(
    kind: str, num_clients: int | None, seed: int = 0, **keys: float
) -> list[NDArray[np.int64]]:
    config = PartitionConfig.model_validate({"kind": kind, "num_clients": num_clients} | keys)
    return partition(config, LABELS, GROUPS, seed)


def test_each_group_is_a_client() -> None:
    parts = partition(PartitionConfig(), np.zeros(5), np.array([7, 2, 7, 4, 2]), 0)
    assert [part.tolist() for part in parts] == [[1, 4], [3], [0, 2]]


def test_fewer_clients_than_groups_share_them_in_turn() -> None:
    parts = divide("group", 4)
    assert [sorted(set(GROUPS[part])) for part in parts] == [[0, 4], [1, 5], [2], [3]]


def test_more_clients_than_groups_are_refused() -> None:
    with pytest.raises(InputError, match=r"num_clients = 7, .* have 6 groups; lower it"):
        divide("group", 7)


def test_iid_parts_differ_by_one_sample_at_most() -> None:
    assert sorted({len(part) for part in divide("iid", 7)}) == [42, 43]


def capped(num_clients: int, seed: int) -> tuple[NDArray[np.int64], float]:
    """Return sizes, and the mean effective number of classes, for 50,000 samples of 10 classes."""
    labels = np.repeat(np.arange(10), 5000)
    config = PartitionConfig(kind="dirichlet-capped", num_clients=num_clients, alpha=0.5)
    parts = partition(config, labels, labels, seed)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(50_000))
    shares = np.array([np.bincount(labels[part], minlength=10) / len(part) for part in parts])
    entropy = -(shares * np.log(np.where(shares > 0, shares, 1))).sum(1)
    return np.array([len(part) for part in parts]), float(np.exp(entropy).mean())


@pytest.mark.parametrize(
    ("num_clients", "sizes", "classes"),
    [(10, (2629, 5206, 7019), 5.1), (100, (145, 512, 1050), 4.8), (200, (59, 256, 569), 4.8)],
)
def test_capped_shares_have_the_sizes_that_were_measured_elsewhere(
    num_clients: int, sizes: tuple[int, int, int], classes: float
) -> None:
    """Means over 40 seeds of smallest, median and largest client, of an independent count."""
    found = [capped(num_clients, seed) for seed in range(20)]
    means = np.mean([(one.min(), np.median(one), one.max()) for one, _ in found], axis=0)
    np.testing.assert_allclose(means, sizes, rtol=0.13)
    assert np.mean([number for _, number in found]) == pytest.approx(classes, abs=0.25)


def test_capped_shares_leave_nobody_with_too_little() -> None:
    assert min(len(part) for part in divide("dirichlet-capped", 5, alpha=0.1)) >= 10
    assert min(len(p) for p in divide("dirichlet-capped", 5, alpha=0.3, min_samples=30)) >= 30
    with pytest.raises(InputError, match=r"none of 1000 draws .* gives each client 70 samples"):
        divide("dirichlet-capped", 5, min_samples=70)


@pytest.mark.parametrize("kind", ["iid", "dirichlet", "dirichlet-capped", "shards", "quantity"])
def test_the_seed_alone_decides(kind: str) -> None:
    first, again, other = divide(kind, 5), divide(kind, 5), divide(kind, 5, seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_shards_give_each_client_its_number_of_classes() -> None:
    parts = divide("shards", 10, classes_per_client=2)
    assert [len(part) for part in parts] == [30] * 10
    assert {len(set(LABELS[part])) for part in parts} == {2}


def test_more_shards_than_classes_still_bound_the_classes() -> None:
    parts = divide("shards", 7, classes_per_client=3)
    assert max(len(set(LABELS[part])) for part in parts) <= 3
    assert set(LABELS[np.concatenate(parts)]) == set(range(10))


def test_shards_pair_the_classes_at_random() -> None:
    pairs = {tuple(set(LABELS[part])) for seed in range(20) for part in divide("shards", 10, seed)}
    assert len(pairs) > 30  # of 45


def test_small_alpha_skews_labels_and_large_alpha_does_not() -> None:
    def largest_share(alpha: float) -> float:
        parts = divide("dirichlet", 5, alpha=alpha)
        return float(np.mean([np.bincount(LABELS[p]).max() / len(p) for p in parts]))

    assert largest_share(1e5) < 0.12
    assert largest_share(0.05) > 0.3


def test_tiny_alpha_leaves_no_client_empty() -> None:
    for seed in range(10):
        assert min(len(part) for part in divide("dirichlet", 40, seed, alpha=1e-3)) >= 1


def test_quantity_skews_sizes_and_leaves_no_client_empty() -> None:
    sizes = [len(part) for part in divide("quantity", 50, alpha=0.1)]
    assert min(sizes) >= 1
    assert max(sizes) > 5 * 300 / 50


def test_dirichlet_has_its_mean_and_variance() -> None:
    draws = np.array(
        [dirichlet(Stream(5, Purpose.PARTITION, client=k), 4, 0.5) for k in range(4000)]
    )
    np.testing.assert_allclose(draws.sum(axis=1), 1.0)
    np.testing.assert_allclose(draws.mean(axis=0), 0.25, atol=0.02)
    # variance of Dir(a, a, a, a): (1/4)(3/4) / (4a + 1)
    np.testing.assert_allclose(draws.var(axis=0), 0.1875 / 3, rtol=0.08)


def test_too_few_samples_say_what_to_change() -> None:
    for kind in ("iid", "dirichlet", "shards", "quantity"):
        with pytest.raises(InputError, match=r"num_clients = 301, but there are 300 .* lower"):
            divide(kind, 301)
    with pytest.raises(InputError, match=r"400 shards, .* change partition.num_clients"):
        divide("shards", 200)
    with pytest.raises(InputError, match=r"8 shards, .* allow 10 to 300"):
        divide("shards", 4)
    with pytest.raises(InputError, match="no training samples"):
        partition(PartitionConfig(), np.empty(0), np.empty(0), 0)


@pytest.mark.parametrize("alpha", [1e-300, 1e18])
def test_an_alpha_that_cannot_be_drawn_from_is_refused_or_drawn(alpha: float) -> None:
    try:
        parts = divide("dirichlet", 3, alpha=alpha)
    except InputError as error:
        assert "too extreme" in str(error)
    else:
        assert sum(map(len, parts)) == 300


USER_MODULE = """
def halves(labels, groups, num_clients, seed):
    return [range(0, 150), range(299, 149, -1)]

def overlap(labels, groups, num_clients, seed):
    return [range(0, 150), range(149, 299)]

def empty(labels, groups, num_clients, seed):
    return [range(0, 300), []]

def three(labels, groups, num_clients, seed):
    return [range(0, 100), range(100, 200), range(200, 300)]
"""


def test_a_dotted_path_is_the_users_own_partition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_partition.py").write_text(USER_MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    first, second = divide("my_partition:halves", 2)
    assert first.tolist() == list(range(150))
    assert second.tolist() == list(range(150, 300))
    for name, message in {
        "overlap": "each position, 0 to 299, to exactly one client",
        "empty": "gave client 1 .* at least one whole number",
        "three": "gave 3 clients; partition.num_clients = 2",
        "absent": "has no function absent",
    }.items():
        with pytest.raises(InputError, match=message):
            divide(f"my_partition:{name}", 2)


def test_the_partitions_own_seed_replaces_the_runs() -> None:
    config = PartitionConfig(kind="iid", num_clients=4, seed=7)
    own, again = ([p.tolist() for p in partition(config, LABELS, GROUPS, s)] for s in (0, 1))
    assert own == again == [part.tolist() for part in divide("iid", 4, seed=7)]
    assert own != [part.tolist() for part in divide("iid", 4, seed=0)]
