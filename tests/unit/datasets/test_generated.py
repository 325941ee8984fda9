"""Generated data sets: points, population code and words against plain references."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream, threshold
from hpcfed.cli.data import data_app
from hpcfed.config import DataConfig
from hpcfed.config.generated import GENERATED
from hpcfed.datasets import Data, load
from hpcfed.datasets.checks import find_problem
from hpcfed.datasets.generated import curve, half_circles, spike_probability
from hpcfed.datasets.info import describe, print_info
from hpcfed.errors import InputError
from hpcfed.samples.events import EventSet

WIDTHS = {"two-moons": 1.0, "regression": 4.0}  # of the sets of points


def made(dataset: str = "two-moons", num_bins: int = 2, **generated: Any) -> Data:
    values = {"dataset": dataset, "num_bins": num_bins, "generated": generated}
    return load(DataConfig.model_validate(values))


def parts_of(data: Data) -> list[EventSet]:
    parts = [part for part in (data.train, data.test, data.probe) if part is not None]
    return [part for part in parts if isinstance(part, EventSet)]


def train_of(data: Data) -> EventSet:
    return parts_of(data)[0]


def held_out(data: Data) -> EventSet:
    return parts_of(data)[1]


def at(events: EventSet) -> np.ndarray:
    assert events.coordinates is not None
    return events.coordinates.astype(np.float64)


def targets_of(events: EventSet) -> np.ndarray:
    assert events.targets is not None
    return events.targets.astype(np.float64)


def chance(z: float, neurons: int, width: float) -> list[float]:
    """Return the probability of each neuron of one coordinate, the plain way."""
    found = []
    for k in range(neurons):
        away = abs(z - k / (neurons - 1)) * (neurons - 1) / width
        found.append((1 + np.cos(np.pi * away)) / 2 if away < 1 else 0.0)
    return found


@pytest.fixture(scope="module")
def reference(test_data: Path) -> dict[str, Any]:
    """Return what the authors' published code gives in float64."""
    path = test_data.parent / "reference_rules" / "encodings.json"
    if not path.exists():
        pytest.skip(f"there is no {path.name} beside the test data")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.mark.parametrize("name", ["two_moons", "regression"])
def test_spike_probabilities_are_those_of_the_authors(reference: dict[str, Any], name: str) -> None:
    points = "two_moons_points" if name == "two_moons" else "regression_points_scaled"
    expected = np.array(reference[f"{name}_spike_probability"])
    width = WIDTHS[name.replace("_", "-")]
    found = spike_probability(np.array(reference[points])[:, None], expected.shape[1], width)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)


def test_the_curve_is_scaled_as_by_the_authors(reference: dict[str, Any]) -> None:
    data = made("regression")
    train, test = parts_of(data)
    assert train.num_samples == reference["regression_n_train"]
    assert test.num_samples == reference["regression_n_test"]
    low, high = reference["regression_y_min"], reference["regression_y_max"]
    for x, scaled in reference["regression_y_scaled_at"]:
        y = float(curve(np.array([x]))[0])
        assert (y - low) / (high - low) == pytest.approx(scaled, abs=1e-8)
        assert targets_of(test)[round(100 * (x + 1))] == pytest.approx(scaled, abs=1e-7)
    first, last = reference["regression_x_scale"]
    x = -1 + np.arange(600) / 100
    np.testing.assert_allclose(at(test)[:, 0], (x - first) / (last - first), atol=1e-7)


def test_the_code_of_a_point_by_hand() -> None:
    # a quarter of the way between neurons 2 and 3 of ten: cos(pi / 4) and cos(3 pi / 4)
    x = [0, 0, (1 + np.sqrt(0.5)) / 2, (1 - np.sqrt(0.5)) / 2, 0, 0, 0, 0, 0, 0]
    y = [0] * 9 + [1]
    found = spike_probability(np.array([[0.25, 1.0]]), 10, 1.0)
    np.testing.assert_allclose(found, [x + y], atol=1e-15)


def test_sizes_names_and_shapes_are_the_published_ones() -> None:
    moons, curve_data = made(), made("regression")
    assert [part.num_samples for part in parts_of(moons)] == [200, 1000, 2500]
    assert [part.num_samples for part in parts_of(curve_data)] == [60, 600]
    for data, width in ((moons, 2), (curve_data, 1)):
        for part in parts_of(data):
            assert (part.num_channels, part.num_bins, part.group_names) == (20, 2, ("generated",))
            assert part.channels.dtype == np.uint16
            assert at(part).shape == (part.num_samples, width)
            assert find_problem(part) is None
    assert np.bincount(moons.train.labels).tolist() == [100, 100]
    assert moons.train.class_names == ("upper", "lower")
    assert curve_data.train.class_names == ("low", "high")
    assert train_of(moons).targets is None


def test_of_an_odd_number_of_points_one_class_has_one_more() -> None:
    data = made(samples=5, test_samples=1)
    assert data.train.labels.tolist() == [0, 1, 0, 1, 0]
    assert held_out(data).labels.tolist() == [0]


@pytest.mark.parametrize("count", [2, 7, 200])
def test_moons_without_noise_are_those_of_the_closed_form_and_of_scikit_learn(count: int) -> None:
    points, labels = half_circles(count)
    x, y = points[labels == 0].T
    np.testing.assert_allclose(np.hypot(x, y), 1, atol=1e-12)
    assert (y >= 0).all()
    x, y = points[labels == 1].T
    np.testing.assert_allclose(np.hypot(1 - x, 0.5 - y), 1, atol=1e-12)
    assert (y <= 0.5).all()
    theirs, their_labels = pytest.importorskip("sklearn.datasets").make_moons(
        (int((labels == 0).sum()), int((labels == 1).sum())), shuffle=False
    )
    for label in (0, 1):
        np.testing.assert_allclose(
            points[labels == label], theirs[their_labels == label], atol=1e-12
        )


def test_moons_are_scaled_by_the_training_points_and_others_clipped() -> None:
    data = made(seed=3, samples=20, test_samples=2000)
    train, test = at(train_of(data)), at(held_out(data))
    assert train.min(axis=0).tolist() == [0, 0]
    assert train.max(axis=0).tolist() == [1, 1]
    assert (test.min(axis=0).tolist(), test.max(axis=0).tolist()) == ([0, 0], [1, 1])
    # twenty points reach less far than two thousand: many of these lie on the edge
    assert ((test == 0) | (test == 1)).sum() > 50
    # without noise the two parts are the same points, so their scales must be equal
    plain = made(noise=0.0, samples=6, test_samples=6)
    assert at(train_of(plain)).tolist() == at(held_out(plain)).tolist()


def test_noise_on_moons_has_the_deviation_that_was_asked_for() -> None:
    count = 4000
    clean, _ = half_circles(count)
    for noise, given in ((0.1, {}), (0.3, {"noise": 0.3})):
        noisy = at(train_of(made(samples=count, test_samples=1, num_bins=1, **given)))
        for axis in (0, 1):
            slope, shift = np.polyfit(clean[:, axis], noisy[:, axis], 1)
            deviation = np.std(noisy[:, axis] - slope * clean[:, axis] - shift) / slope
            assert abs(deviation - noise) < 4 * noise / np.sqrt(2 * count)


def test_the_curve_is_known_in_three_intervals_and_exact_without_noise() -> None:
    data = made("regression", noise=0.0)
    x = [start + step / 20 for start in (-1, 1.5, 4) for step in range(20)]
    y = np.array([a - a * a / 10 + np.cos(np.pi * a / 2) for a in x])
    grid = np.arange(-100, 500) / 100
    whole = grid - grid**2 / 10 + np.cos(np.pi * grid / 2)
    scaled = (y - whole.min()) / (whole.max() - whole.min())
    np.testing.assert_allclose(at(train_of(data))[:, 0], (np.array(x) + 1) / 5.99, atol=1e-7)
    np.testing.assert_allclose(targets_of(train_of(data)), scaled, atol=1e-7)
    for part in parts_of(data):
        assert part.labels.tolist() == (targets_of(part) >= 0.5).astype(int).tolist()


def test_noise_is_on_the_training_targets_of_the_curve_alone() -> None:
    span = np.ptp(curve(np.arange(-100, 500) / 100))
    clean = made("regression", noise=0.0)
    errors = []
    for seed in range(20):
        noisy = made("regression", seed=seed, num_bins=1)
        assert targets_of(held_out(noisy)).tolist() == targets_of(held_out(clean)).tolist()
        assert at(train_of(noisy)).tolist() == at(train_of(clean)).tolist()
        assert targets_of(train_of(noisy)).min() >= 0
        errors.append(targets_of(train_of(noisy)) - targets_of(train_of(clean)))
    exact = targets_of(train_of(clean))
    inner = (exact > 0.15) & (exact < 0.85)  # where six deviations of noise are not clipped
    errors_of_y = np.array(errors)[:, inner].ravel() * span
    assert errors_of_y.size > 300
    assert abs(errors_of_y.std() - 0.1) < 4 * 0.1 / np.sqrt(2 * errors_of_y.size)


def test_noisy_targets_beyond_the_curve_are_moved_to_the_edge() -> None:
    targets = targets_of(train_of(made("regression", noise=3.0)))
    assert (targets.min(), targets.max()) == (0, 1)
    assert ((targets == 0) | (targets == 1)).sum() > 10


@pytest.mark.parametrize("dataset", WIDTHS)
def test_a_spike_is_a_word_below_its_threshold(dataset: str) -> None:
    neurons, num_bins, seed = 4, 5, 2**33 + 7
    data = made(dataset, num_bins, seed=seed, neurons=neurons)
    for number, part in enumerate(parts_of(data)):
        dense = part.dense(np.arange(part.num_samples))
        for sample in range(0, part.num_samples, 37):
            point = at(part)[sample]
            chances = [p for z in point for p in chance(float(z), neurons, WIDTHS[dataset])]
            stream = Stream(seed, Purpose.GENERATED_DATA, round=number, client=sample)
            words = stream.words(num_bins * len(chances)).reshape(num_bins, -1).astype(np.int64)
            # the stored point is rounded to float32: a word so near the threshold decides nothing
            clear = abs(words - [threshold(p) for p in chances]) > 2**32 * 1e-5
            spikes = words < np.array([threshold(p) for p in chances])
            assert clear.mean() > 0.95
            assert (dense[:, sample] == spikes)[clear].all()


@pytest.mark.parametrize("dataset", WIDTHS)
def test_spikes_are_as_frequent_as_the_code_says(dataset: str) -> None:
    num_bins = 50
    for part in parts_of(made(dataset, num_bins)):
        chances = np.array(
            [[p for z in point for p in chance(z, 20 // len(point), WIDTHS[dataset])]
             for point in at(part).tolist()]
        )  # fmt: skip
        found = part.dense(np.arange(part.num_samples)).sum(axis=(0, 1))
        error = np.sqrt(num_bins * (chances * (1 - chances)).sum(axis=0))
        assert (abs(found - num_bins * chances.sum(axis=0)) < 4 * error).all()
        assert (part.num_events > 0).all()


def test_channels_of_each_bin_are_sorted_and_distinct() -> None:
    part = train_of(made("regression", 3))
    _, bins, channels, values = part.batch_events(np.arange(part.num_samples))
    rows = np.repeat(np.arange(part.num_samples), part.num_events)
    keys = (rows * 3 + bins) * part.num_channels + channels
    assert (np.diff(keys) > 0).all()
    assert (values == 1).all()


@pytest.mark.parametrize("dataset", WIDTHS)
def test_a_seed_gives_the_same_set_again_and_another_seed_another(dataset: str) -> None:
    first, again, other = made(dataset, 5), made(dataset, 5), made(dataset, 5, seed=1)
    for one, same, different in zip(*map(parts_of, (first, again, other)), strict=True):
        assert one.channels.tobytes() == same.channels.tobytes()
        assert at(one).tolist() == at(same).tolist()
        assert one.channels.tobytes() != different.channels.tobytes()
    noisy = at if dataset == "two-moons" else targets_of
    assert noisy(train_of(first)).tolist() != noisy(train_of(other)).tolist()
    assert first.digest == again.digest


PINNED: dict[str, tuple[str, dict[str, int], list[str]]] = {
    "two-moons": (
        "663d7b50312d666781927b71e05f2ecdb2490f593b8e7aaeed2981963000c12b",
        {"samples": 31, "test_samples": 9},
        ["80bdcc1f95581f75", "eb4af6ea74a22747", "3c9fcc91aad805f0"],
    ),
    "regression": (
        "239205a4623e4f9ea25af58065a4ef5dca7a1a8000c2cc0656b8634420d4c526",
        {},
        ["1b52157387e93542", "606855217082e821"],
    ),
}


@pytest.mark.parametrize("dataset", PINNED)
def test_a_set_is_what_it_was_when_it_was_first_made(dataset: str) -> None:
    digest, sizes, spikes = PINNED[dataset]
    data = made(dataset, 7, seed=2**33 + 7, noise=0.3, neurons=5, **sizes)
    assert data.digest == digest
    for part, expected in zip(parts_of(data), spikes, strict=True):
        channels = part.channels.astype("<u2").tobytes() + part.bin_offsets.astype("<u4").tobytes()
        labels = part.labels.astype("<i8").tobytes()
        assert hashlib.sha256(channels + labels).hexdigest()[:16] == expected


def test_training_and_test_share_neither_noise_nor_spikes() -> None:
    noisy = made(samples=8, test_samples=8)
    assert at(train_of(noisy)).tolist() != at(held_out(noisy)).tolist()
    same_points = made(num_bins=50, samples=8, test_samples=8, noise=0.0)
    train, test = (part.dense(np.arange(8)) for part in parts_of(same_points)[:2])
    assert (train != test).any(axis=(0, 2)).all()


def test_more_samples_and_more_bins_leave_earlier_spikes_as_they_are() -> None:
    # arcs of 5 and of 9 points reach as far, and have their first points in common
    few = made(num_bins=20, samples=10, test_samples=10, noise=0.0)
    many = made(num_bins=30, samples=18, test_samples=18, noise=0.0)
    for before, after in zip(parts_of(few)[:2], parts_of(many)[:2], strict=True):
        first = np.array([0, 1])
        assert at(before)[first].tolist() == at(after)[first].tolist()
        assert (before.dense(first) == after.dense(first)[:20]).all()


def test_the_probe_is_a_grid_row_by_row_without_labels() -> None:
    probe = made().probe
    assert probe is not None
    grid = at(probe).reshape(50, 50, 2)
    sides = np.arange(50) / 49
    np.testing.assert_allclose(grid[7, :, 0], sides, atol=1e-7)
    np.testing.assert_allclose(grid[:, 7, 1], sides, atol=1e-7)
    assert (grid[7, :, 1] == grid[7, 0, 1]).all()
    assert (probe.labels == -1).all()
    assert made("regression").probe is None
    assert load(DataConfig(dataset="digits")).probe is None


def test_the_digest_follows_every_number_of_the_configuration() -> None:
    base = {"seed": 0, "samples": 4, "test_samples": 4, "noise": 0.1, "neurons": 3}
    changed = [{"seed": 1}, {"samples": 5}, {"test_samples": 5}, {"noise": 0.2}, {"neurons": 4}]
    digests = [made(**(base | change)).digest for change in ({}, *changed)]
    digests.append(made(num_bins=3, **base).digest)
    digests.append(load(DataConfig(dataset="two-moons", num_bins=2, duration=2.0)).digest)
    # of the same numbers, the name tells them apart
    digests.append(made(samples=60, test_samples=600, neurons=20).digest)
    digests.append(made("regression").digest)
    assert len(set(digests)) == len(digests)
    assert {len(digest) for digest in digests} == {64}


def test_what_is_left_out_is_what_the_published_settings_are() -> None:
    told = made(seed=0, samples=200, test_samples=1000, noise=0.1, neurons=10)
    assert told.digest == load(DataConfig(dataset="two-moons", num_bins=2)).digest
    told = made("regression", seed=0, noise=0.1, neurons=20)
    assert told.digest == load(DataConfig(dataset="regression", num_bins=2)).digest


def test_the_validation_split_and_the_duration_are_those_of_data() -> None:
    data = load(DataConfig(dataset="two-moons", num_bins=2, duration=0.1, validation_fraction=0.25))
    assert (len(data.train_ids), len(data.validation_ids), len(data.test_ids)) == (150, 50, 1000)
    assert train_of(data).duration == 0.1


def test_classes_of_moons_may_change_places() -> None:
    data = load(DataConfig(dataset="two-moons", num_bins=2, classes=(1, 0)))
    assert data.train.class_names == ("lower", "upper")
    assert data.train.labels.tolist() == [1, 0] * 100
    assert data.probe is not None
    assert (data.probe.labels == -1).all()


REFUSED: dict[str, dict[str, Any]] = {
    r"data.counts = true: .* leave data.counts out": {"dataset": "two-moons", "counts": True},
    r'data.test = "mine.h5": data.dataset = "two-moons" has a test split of its own': {
        "dataset": "two-moons",
        "test": "mine.h5",
    },
    r"the 60 training and 600 test points of regression are a fixed grid; leave samples": {
        "dataset": "regression",
        "generated": {"samples": 60},
    },
    r"data.generated: .* and test_samples out": {
        "dataset": "regression",
        "generated": {"test_samples": 7},
    },
    r"samples = 1: two moons need at least 2": {
        "dataset": "two-moons",
        "generated": {"samples": 1},
    },
    r"neurons = 32769: 2 x 32769 channels; give at most 32768": {
        "dataset": "two-moons",
        "generated": {"neurons": 32769},
    },
    r"neurons = 65537: 1 x 65537 channels; give at most 65536": {
        "dataset": "regression",
        "generated": {"neurons": 65537},
    },
    r"data.classes = \[1, 0\]: targets": {"dataset": "regression", "classes": (1, 0)},
    r'did you mean "two-moons"\? Known are .*two-moons, regression': {"dataset": "two-moon"},
}


@pytest.mark.parametrize("message", REFUSED)
def test_settings_without_a_meaning_are_refused(message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(DataConfig.model_validate(REFUSED[message]))


def test_data_info_counts_the_spikes_of_a_generated_set(tmp_path: Path) -> None:
    config = DataConfig(dataset="two-moons", num_bins=4, validation_fraction=0.0)
    info = describe(config, tmp_path / "raster.png")
    train, test = info.splits
    assert (train.num_samples, test.num_samples, info.num_channels) == (200, 1000, 20)
    assert train.num_spikes == train_of(load(config)).num_events.sum()
    assert (train.num_merged, train.num_silent) == (0, 0)
    # the neurons of a coordinate spike once a bin on average: 2 of 20
    assert train.density == pytest.approx(0.1, abs=0.005)
    console = Console(file=io.StringIO(), width=120)
    print_info(info, console)
    assert isinstance(console.file, io.StringIO)
    assert "two-moons: 2 classes, 20 channels, 4 bins over 1 s" in console.file.getvalue()


@pytest.mark.parametrize("dataset", GENERATED)
def test_the_commands_list_and_describe_generated_sets(dataset: str) -> None:
    ended = CliRunner().invoke(data_app, ["info", dataset, "--set", "generated.neurons=3"])
    assert ended.exit_code == 0, ended.output
    assert f"{3 * (2 if dataset == 'two-moons' else 1)} channels" in ended.output
    listed = CliRunner().invoke(data_app, ["list"])
    assert dataset in listed.output
