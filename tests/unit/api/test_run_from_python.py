"""A run from Python: arrays for data, a callback a round, figures as frames, a network to ask."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import hpcfed
from hpcfed.config.file import parse_experiment, to_toml
from hpcfed.datasets.shd_writer import SpikeRow, write_shd
from tests.array_world import CHANNELS, CLASSES, SETTINGS, SPEAKERS, pair, rows, samples


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> hpcfed.Run:
    """Return a finished run on arrays."""
    out = tmp_path_factory.mktemp("made")
    return hpcfed.run(experiment(), out=out, data=pair(), quiet=True)


def experiment(**changes: object) -> hpcfed.Experiment:
    return parse_experiment("", [{**SETTINGS, **changes}])


def shd(path: Path, size: int, seed: int) -> Path:
    found = rows(size, seed)
    columns = zip(*(found[name] for name in ("times", "units", "labels", "speakers")), strict=True)
    write_shd(path, [SpikeRow(*row) for row in columns], CLASSES, SPEAKERS, CHANNELS)
    return path


# --- data -----------------------------------------------------------------------------------------


def test_arrays_give_the_bits_of_files_of_the_same_numbers(
    tmp_path: Path, made: hpcfed.Run
) -> None:
    files = shd(tmp_path / "train.h5", 36, 0), shd(tmp_path / "test.h5", 12, 1)
    theirs = hpcfed.run(experiment(), out=tmp_path / "out", data=files, quiet=True)
    assert theirs.experiment.data.dataset == str(files[0])
    assert theirs.params.tobytes() == made.params.tobytes()
    for name in ("params_digest", "train_loss", "validation_accuracy", "test_loss"):
        assert theirs.rounds[name].tolist() == made.rounds[name].tolist()
    np.testing.assert_array_equal(theirs.data.train.channels, made.data.train.channels)
    np.testing.assert_array_equal(theirs.data.train.bin_offsets, made.data.train.bin_offsets)
    assert theirs.data.train.class_names == made.data.train.class_names
    assert theirs.clients.group.tolist() == made.clients.group.tolist() == list(SPEAKERS)


def test_images_give_the_bits_of_files_of_the_same_pixels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 4, 4), np.uint8)
    labels = np.arange(30, dtype=np.uint8) % 3
    header = bytes([0, 0, 8, 3]) + np.array(pixels.shape, ">u4").tobytes()
    (tmp_path / "train-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
    header = bytes([0, 0, 8, 1]) + np.array([30], ">u4").tobytes()
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(header + labels.tobytes())
    ann = {"model.kind": "ann", "model.hidden": [4], "partition.kind": "iid",
           "partition.num_clients": 2, "client.engine": "norse", "server.rounds": 1}  # fmt: skip
    path = f"images:{tmp_path / 'train-images-idx3-ubyte'}"
    runs = [
        hpcfed.run("digits", out=tmp_path / str(index), data=data, overrides=ANN | ann, quiet=True)
        for index, data in enumerate((path, hpcfed.images(pixels, labels)))
    ]
    assert runs[0].params.tobytes() == runs[1].params.tobytes()
    assert runs[1].experiment.data.dataset.startswith("arrays-images:")
    assert (
        runs[1].predict(hpcfed.images(pixels[:5])).tolist()
        == runs[1].predict(runs[1].data.train, range(5)).tolist()
    )


ANN = {"model.norm": None, "model.norm_shift": None, "model.neuron": "lif", "data.encoder": None}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"units": [[0]]}, "spike times of 2 samples and units of 1"),
        ({"units": [[0], [0.5]]}, "units of sample 1 are 1-d float64; expected a row of whole"),
        ({"times": [[0.1], [[0.2]]]}, "times of sample 1 are 2-d"),
        ({"labels": [0]}, "2 samples but labels of shape (1,)"),
        ({"labels": [0, -1]}, "labels from -1 to 0; expected them from 0"),
        ({"labels": [0, 3], "class_names": ["a", "b"]}, "labels from 0 to 3; expected"),
        ({"labels": ["a", "c"], "class_names": ["a", "b"]}, "labels c are none of a, b"),
        ({"groups": [0.5, 1.0]}, "groups are float64; expected whole numbers from 0, or names"),
        ({"groups": np.array(["a", None], object)}, "groups are NoneType; expected whole numbers"),
        ({"groups": ["a", float("nan")]}, "groups are float; expected whole numbers from 0, or"),
        ({"labels": [[0], [1, 2]]}, "labels: expected an array, found rows of several lengths"),
        ({"units": [[0], [[1], [1, 2]]]}, "units of sample 1: expected an array, found rows of"),
        ({"class_names": ["a", "b", "a"]}, "class_names: a more than once"),
        ({"num_channels": 9, "plane": (2, 2, 2)}, "9 channels, and a plane (2, 2, 2) of 8"),
        ({"plane": np.array([2, 2])}, "plane (2, 2): expected (polarity, height, width)"),
        ({"plane": (1, -2, -2)}, "plane = -2: expected a whole number of at least 1"),
        ({"num_channels": 0}, "num_channels = 0: expected a whole number of at least 1"),
        ({"ticks": 0}, "ticks = 0: expected a whole number of at least 1"),
        ({"ticks": 1e6}, "ticks = 1000000.0: expected a whole number"),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit_together_are_refused(changes: dict, words: str) -> None:
    given = {"times": [[0.1], [0.2]], "units": [[0], [1]], "labels": [0, 1], **changes}
    with pytest.raises(hpcfed.InputError) as caught:
        hpcfed.events(**given)
    assert words in str(caught.value)


def test_names_and_numbers_of_classes_and_groups_mean_the_same() -> None:
    given = {"times": [[0.1], [0.2], [0.3]], "units": [[0], [1], [7]]}
    named = hpcfed.events(**given, labels=["b", "a", "b"], groups=["x", "y", "x"])
    assert (named.class_names, named.labels.tolist()) == (("a", "b"), [1, 0, 1])
    assert (named.group_names, named.groups.tolist()) == (("x", "y"), [0, 1, 0])
    numbered = hpcfed.events(**given, labels=np.array([1, 0, 1], np.uint8), groups=[7, 3, 7])
    assert numbered.class_names == ("label 0", "label 1")
    assert (numbered.group_names, numbered.groups.tolist()) == (
        ("speaker 3", "speaker 7"), [1, 0, 1],
    )  # fmt: skip
    assert (numbered.width, hpcfed.events(**given, num_channels=700).width) == (8, 700)


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.zeros((2, 3, 3)), "images of shape (2, 1, 3, 3), float64; expected"),
        (np.zeros((2, 9), np.uint8), "images of shape (2, 9), uint8; expected"),
        (np.zeros((0, 3, 3), np.uint8), "images of shape (0, 1, 3, 3), uint8; expected"),
        ([[1], [2, 3]], "pixels: expected an array, found rows of several lengths"),
    ],
)
def test_pixels_of_another_type_or_shape_are_refused(pixels: np.ndarray, words: str) -> None:
    with pytest.raises(hpcfed.InputError) as caught:
        hpcfed.images(pixels, [0, 1])
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.zeros(3), "data = ndarray, NoneType: expected samples"),
        (("train.h5", samples(3, 0)), "data = str, SpikeTimes: expected samples"),
        (hpcfed.events([[], []], [[], []], [0, 1]), "training samples: sample 0 has no spikes"),
        (hpcfed.events([[0.1]], [[0]]), "training samples: they have no labels"),
        ((samples(3, 0), hpcfed.events([[0.05]], [[9]], [0])), "test samples: 10 channels"),
        (hpcfed.events([[100.0, 0.01]] * 4, [[0, 1]] * 4, [0, 1, 2, 0]), None),
        (hpcfed.events([[100.0]] * 4, [[0]] * 4, [0, 1, 2, 0]), "probably milliseconds"),
    ],
)
def test_data_that_cannot_be_meant_is_refused_before_anything_is_written(
    tmp_path: Path, data: object, words: str | None
) -> None:
    if words is None:  # half of the spikes are late, which is allowed
        hpcfed.run(experiment(**{"server.rounds": 1}), out=tmp_path / "x", data=data, quiet=True)
        return
    with pytest.raises(hpcfed.InputError, match=words.replace("(", r"\(")):
        hpcfed.run(experiment(), out=tmp_path / "out", data=data, quiet=True)
    assert not (tmp_path / "out").exists()


def test_arrays_take_the_place_of_data_that_a_job_generates(tmp_path: Path) -> None:
    table = {"data.dataset": "two-moons", "data.generated": {"seed": 3}, "server.rounds": 1}
    found = hpcfed.run(experiment(**table), out=tmp_path, data=pair(), quiet=True)
    assert found.experiment.data.generated is None
    assert found.data.test.num_samples == 12


def test_a_test_may_be_part_of_the_arrays(tmp_path: Path) -> None:
    part = {"data.test_fraction": 0.25, "server.rounds": 1}
    found = hpcfed.run(experiment(**part), out=tmp_path, data=pair()[0], quiet=True)
    assert len(found.data.test_ids) == 9
    assert not set(found.data.test_ids) & set(found.data.train_ids)
    assert found.evaluate().accuracy == found.rounds.test_accuracy.iloc[-1]
    again = hpcfed.run(experiment(), out=tmp_path / "b", data=found.data, quiet=True)
    assert again.data.test is None  # what has been loaded is split anew


def test_a_run_without_samples_to_be_asked_about_is_given_some(tmp_path: Path) -> None:
    keys = {"data.validation_fraction": 0.0, "server.rounds": 1}
    found = hpcfed.run(experiment(**keys), out=tmp_path, data=samples(36, 0), quiet=True)
    with pytest.raises(hpcfed.InputError, match="neither tested nor validated on any sample"):
        found.predict()
    assert found.predict(ids=[3]).shape == (1,)


def test_data_by_its_name_or_path_has_what_the_table_of_the_experiment_says(
    tmp_path: Path,
) -> None:
    paths = shd(tmp_path / "train.h5", 36, 0), shd(tmp_path / "test.h5", 12, 1)
    found = hpcfed.data(*paths, duration=0.1, num_bins=10, validation_fraction=0.25)
    assert (len(found.train_ids), len(found.validation_ids), len(found.test_ids)) == (27, 9, 12)
    assert found.train.num_bins == 10
    assert found.train.class_names == CLASSES
    with pytest.raises(hpcfed.InputError, match=r"hpcfed.data: data.num_bin.*num_bins"):
        hpcfed.data(str(paths[0]), num_bin=10)


def test_data_are_looked_at_in_bins_of_any_length() -> None:
    assert hpcfed.data("spoken-digits", num_bins=4).train.num_bins == 4  # longer than any network's


# --- the experiment, and what is told -------------------------------------------------------------


@pytest.mark.parametrize("kind", ["experiment", "Path", "str", "packaged"])
def test_an_experiment_is_one_or_a_path_or_a_name(
    tmp_path: Path, made: hpcfed.Run, kind: str
) -> None:
    path = tmp_path / "job.toml"
    path.write_text(to_toml(experiment()))
    given = {"experiment": experiment(), "Path": path, "str": str(path), "packaged": "quickstart"}
    one = {"server.rounds": np.int64(1)}
    changes = SETTINGS | one if kind == "packaged" else one
    found = hpcfed.run(given[kind], out=str(tmp_path), data=pair(), overrides=changes, quiet=True)
    assert found.status == "finished"
    assert found.path == tmp_path / "run.h5"
    assert len(found.rounds) == 1
    if kind != "packaged":
        assert found.rounds.params_digest[1] == made.rounds.params_digest[1]


def test_overrides_are_texts_as_well_and_mistyped_keys_are_refused(tmp_path: Path) -> None:
    texts = ["server.rounds=1", "model.hidden=[3]"]
    found = hpcfed.run(experiment(), out=tmp_path, data=pair(), overrides=texts, quiet=True)
    assert found.experiment.model.hidden == (3,)
    with pytest.raises(hpcfed.InputError, match=r"server\.round.*server\.rounds"):
        hpcfed.run(experiment(), out=tmp_path / "b", overrides={"server": {"round": 1}})
    with pytest.raises(hpcfed.InputError, match=r"server\.rounds: .*, found None"):
        hpcfed.run(experiment(), out=tmp_path / "b", overrides={"server.rounds": None})
    with pytest.raises(hpcfed.InputError, match=r"server\.rounds: .*, found 0"):
        hpcfed.run(experiment(), out=tmp_path / "b", overrides="server.rounds=0")
    with pytest.raises(hpcfed.InputError, match="reading the job nothing"):
        hpcfed.run("nothing", out=tmp_path / "b")


def test_each_round_is_told_and_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], made: hpcfed.Run
) -> None:
    told: list[hpcfed.RoundReport] = []
    found = hpcfed.run(experiment(), out=tmp_path, data=pair(), on_round=told.append)
    assert [(report.round, report.num_rounds) for report in told] == [(1, 2), (2, 2)]
    accuracy = [report.values["test_accuracy"] for report in told]
    assert accuracy == found.rounds.test_accuracy.tolist()
    assert told[-1].uplink_bytes == found.rounds.uplink_bytes_seed.sum()
    shown = capsys.readouterr().out
    assert "round 2/2" in shown
    hpcfed.run(experiment(), out=tmp_path / "b", data=pair(), quiet=True)
    assert capsys.readouterr().out == ""


# --- a run and its resumption ---------------------------------------------------------------------


def test_a_run_on_arrays_goes_on_with_the_same_arrays_alone(
    tmp_path: Path, made: hpcfed.Run
) -> None:
    first = hpcfed.run(
        experiment(**{"server.rounds": 1}), out=tmp_path, data=pair(), quiet=True
    )  # fmt: skip
    before = first.path.read_bytes()
    others = samples(36, 2), pair()[1]
    with pytest.raises(hpcfed.InputError, match=r"other values of data\.dataset"):
        hpcfed.run(experiment(), out=tmp_path, resume=True, data=others, quiet=True)
    with pytest.raises(hpcfed.InputError, match=r"other values of data\.dataset"):
        hpcfed.run(experiment(), out=tmp_path, resume=True, quiet=True)
    again = first.experiment.model_copy(update={"server": experiment().server})
    with pytest.raises(hpcfed.InputError, match=r"were arrays in a Python program.*data=\.\.\."):
        hpcfed.run(again, out=tmp_path, resume=True, quiet=True)
    assert first.path.read_bytes() == before
    found = hpcfed.run(experiment(), out=tmp_path, resume=True, data=pair(), quiet=True)
    assert found.params.tobytes() == made.params.tobytes()


def test_figures_are_frames(made: hpcfed.Run) -> None:
    assert made.rounds.index.tolist() == [1, 2]
    assert made.rounds.index.name == "round"
    assert made.rounds.params_digest.str.len().tolist() == [64, 64]
    assert made.clients.num_samples.sum() == 29
    assert made.clients.index.name == "client"
    assert len(made.participations) == 2 * 4
    assert made.participations["round"].tolist() == [1] * 4 + [2] * 4
    assert made.confusion.to_numpy().sum() == 12
    assert made.confusion.index.tolist() == list(CLASSES)


def test_a_run_that_is_loaded_is_the_run_that_was_made(made: hpcfed.Run) -> None:
    for path in (made.path, str(made.path.parent)):
        found = hpcfed.load(path, data=pair())
        assert found.status == "finished"
        assert found.params.tobytes() == made.params.tobytes()
        assert found.rounds.equals(made.rounds)
        assert found.logits().tobytes() == made.logits().tobytes()


# --- the network, and its data --------------------------------------------------------------------


def test_a_run_is_asked_about_its_own_test_samples(made: hpcfed.Run) -> None:
    found = made.evaluate()
    assert found.accuracy == made.rounds.test_accuracy.iloc[-1]
    assert found.loss == pytest.approx(made.rounds.test_loss.iloc[-1], rel=1e-6)
    assert made.predict().tolist() == found.predictions.tolist()
    assert made.logits().shape == (12, 3)
    assert len(made.data.train_ids) + len(made.data.validation_ids) == 36
    assert made.data.train.group_names == SPEAKERS


def test_spikes_of_any_layer_of_any_sample_are_there(made: hpcfed.Run) -> None:
    spikes = made.spikes()
    assert {name: layer.shape for name, layer in spikes.items()} == {"hidden0": (12, 10, 6)}
    assert spikes["hidden0"].any()
    one = made.spikes(made.data.test, 3)["hidden0"]
    assert one.tolist() == spikes["hidden0"][3:4].tolist()
    assert made.spikes(samples(12, 1), [3])["hidden0"].tolist() == one.tolist()


def test_samples_without_labels_are_predicted_and_not_evaluated(made: hpcfed.Run) -> None:
    found = rows(12, 1)
    unknown = hpcfed.events(found["times"], found["units"])
    assert made.predict(unknown).tolist() == made.predict().tolist()
    assert made.logits(unknown, [5]).tolist() == made.logits()[5:6].tolist()
    with pytest.raises(hpcfed.InputError, match="12 of 12 samples have no label"):
        made.evaluate(unknown)


def test_samples_of_other_classes_channels_or_numbers_are_refused(made: hpcfed.Run) -> None:
    other = hpcfed.events([[0.05]], [[0]], ["up"], class_names=["up", "down"])
    with pytest.raises(hpcfed.InputError, match="it knows left, right, still"):
        made.predict(other)
    with pytest.raises(hpcfed.InputError, match="sample 0 has channel 7"):
        made.predict(hpcfed.events([[0.01]], [[7]]))
    with pytest.raises(hpcfed.InputError, match="samples 0 to 11"):
        made.predict(ids=[12])
    events = made.data.test
    for broken in (
        replace(events, channels=events.channels + 6000),
        replace(events, channels=events.channels[:5]),
        replace(events, labels=np.full(12, 9)),
    ):
        with pytest.raises(hpcfed.InputError, match=r"events: .*; expected"):
            made.predict(broken)
    with pytest.raises(hpcfed.InputError, match="asking a network about list"):
        made.predict([1, 2])  # type: ignore[arg-type]


def test_data_of_a_run_are_found_or_it_is_said_what_to_give(
    tmp_path: Path, made: hpcfed.Run
) -> None:
    with pytest.raises(hpcfed.InputError, match=r"give the same: hpcfed\.load\(run_file, data="):
        hpcfed.load(made.path).data  # noqa: B018
    with pytest.raises(hpcfed.InputError, match="give those that the run was begun with"):
        hpcfed.load(made.path, data=samples(36, 2)).data  # noqa: B018
    file = shd(tmp_path / "train.h5", 36, 0)
    of_file = hpcfed.run(experiment(), out=tmp_path / "out", data=file, quiet=True)
    assert hpcfed.load(tmp_path / "out").evaluate().accuracy == of_file.evaluate().accuracy
    with pytest.raises(hpcfed.InputError, match="not on arrays; leave data out"):
        hpcfed.load(tmp_path / "out", data=pair()).data  # noqa: B018
    shd(file, 36, 3)
    with pytest.raises(hpcfed.InputError, match="was run on other data of the name"):
        hpcfed.load(tmp_path / "out").data  # noqa: B018


def test_data_of_a_function_are_imported_with_trust_alone(tmp_path: Path) -> None:
    toy = {"data.dataset": "tests.toy_world:load", "data.num_bins": 100,
           "data.duration": 1.0}  # fmt: skip
    hpcfed.run(experiment(**toy), out=tmp_path, quiet=True)
    with pytest.raises(hpcfed.InputError, match=r"its data imports tests\.toy_world:load"):
        hpcfed.load(tmp_path).data  # noqa: B018
    assert hpcfed.load(tmp_path, trust=True).data.train.num_samples == 42


def test_a_name_of_arrays_is_bad_input_where_no_arrays_are(tmp_path: Path) -> None:
    name = {"data.dataset": pair_name()}
    with pytest.raises(hpcfed.InputError, match=r"arrays in a Python program.*hpcfed\.run"):
        hpcfed.run(experiment(**name), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def pair_name() -> str:
    return "arrays-events:0123456789ab"
