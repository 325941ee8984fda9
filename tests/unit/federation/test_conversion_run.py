"""hpcfed convert: the run file of an ANN becomes that of a spiking network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hpcfed import load
from hpcfed.cli.main import app
from hpcfed.config.file import digest, parse_experiment
from hpcfed.datasets import load as load_data
from hpcfed.errors import InputError
from hpcfed.federation.conversion import Conversion, convert
from hpcfed.federation.run import Request, run
from hpcfed.records.runfile import Record, read_record, write_record
from hpcfed.report.figures import steps as figure
from hpcfed.report.pictures import sweep_pictures
from hpcfed.report.runs import find

JOB = """
[data]
dataset = "digits"
validation_fraction = 0.1
[model]
kind = "ann"
init = "xavier"
[client]
batch_size = 16
optimizer = "sgd"
momentum = 0.9
learning_rate = 0.05
[server]
rounds = 4
[run]
eval_every = 4
"""
ANNS = {
    "dense": ("model.hidden=[32]", "model.activation=relu"),
    "convolutions": ('model.hidden=["8c3", "p2", "8c3", "p2"]', "model.norm=batch",
                     "model.norm_shift=true", "client.threads=2"),
}  # fmt: skip


@pytest.fixture(scope="module")
def anns(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the folders of ANNs that have learned something."""
    folder = tmp_path_factory.mktemp("anns")
    for name, sets in ANNS.items():
        experiment = parse_experiment(JOB, sets)
        run(Request(lambda experiment=experiment: experiment, folder / name))
    return {name: folder / name for name in ANNS}


@pytest.fixture(scope="module")
def converted(anns: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("spiking")
    return {
        name: convert(Conversion(source, folder / name, 99.9, 64)) for name, source in anns.items()
    }


@pytest.mark.parametrize("name", ANNS)
def test_after_64_steps_little_accuracy_is_lost(
    anns: dict[str, Path], converted: dict[str, Path], name: str
) -> None:
    steps, before = read_record(converted[name]).curves["steps"], read_record(anns[name])
    assert steps["steps"].tolist() == [1, 2, 4, 8, 16, 32, 64]
    assert float(steps["ann_test_accuracy"]) == before.log.rounds["test_accuracy"][-1] > 0.7
    assert steps["test_accuracy"][-1] > steps["ann_test_accuracy"] - 0.03
    assert steps["validation_accuracy"][-1] > steps["ann_validation_accuracy"] - 0.05
    assert steps["test_accuracy"][0] < steps["test_accuracy"][-1]
    assert (steps["activation"] > 0).all()


def test_it_is_a_run_file_like_any_other(converted: dict[str, Path], anns: dict[str, Path]) -> None:
    path = converted["convolutions"]
    record = read_record(path)
    assert record.attributes["status"] == "finished"
    assert record.attributes["converted_from"] == str(anns["convolutions"])
    assert record.attributes["percentile"] == 99.9
    experiment = parse_experiment(record.attributes["config_toml"])
    assert digest(experiment) == record.attributes["config_digest"]
    assert (experiment.model.kind, experiment.data.num_bins) == ("snn", 64)
    assert record.log.num_rounds == 1
    assert record.log.rounds["num_participants"] == [0]
    assert record.log.rounds["test_accuracy"] == [record.curves["steps"]["test_accuracy"][-1]]
    assert len(record.evaluation["layer_rates"]) == 2

    model, data = load(path), load_data(experiment.data)
    found = model.evaluate(data.test, data.test_ids)
    assert found.accuracy == record.curves["steps"]["test_accuracy"][-1]
    said = CliRunner().invoke(app, ["show", str(path)]).stdout
    assert "converted from" in said
    (picture,) = sweep_pictures(find(path.parent))
    assert picture.caption == "Accuracy of converted ANNs over time steps"
    assert picture.svg.startswith("<svg")
    assert [row["steps"] for row in figure.rows(find(path.parent))][-2:] == [64, None]


def test_a_converted_network_can_be_trained_further(
    converted: dict[str, Path], tmp_path: Path
) -> None:
    path = converted["dense"]
    text = read_record(path).attributes["config_toml"]
    sets = [f'model.warm_start="{path}"', "data.num_bins=4", "client.steps=1"]
    experiment = parse_experiment(text, sets)
    run(Request(lambda: experiment, tmp_path / "run"))
    assert read_record(tmp_path / "run").log.num_rounds == 1


def test_the_command_says_what_came_of_it_and_refuses_a_folder_with_a_run(
    anns: dict[str, Path], tmp_path: Path
) -> None:
    command = ["convert", str(anns["dense"]), str(tmp_path / "out"), "--steps", "3"]
    ended = CliRunner().invoke(app, [*command, "--percentile", "99"])
    assert ended.exit_code == 0, ended.output
    assert "after 3 time steps" in " ".join(ended.stdout.split())
    assert read_record(tmp_path / "out").curves["steps"]["steps"].tolist() == [1, 2, 3]
    again = CliRunner().invoke(app, command)
    assert isinstance(again.exception, InputError)
    assert "holds a run already" in str(again.exception)


def refused(source: Path, tmp_path: Path) -> str:
    with pytest.raises(InputError) as caught:
        convert(Conversion(source, tmp_path / "out", 99.9, 4))
    assert not (tmp_path / "out").exists()
    return str(caught.value)


def test_what_cannot_be_converted_leaves_nothing(anns: dict[str, Path], tmp_path: Path) -> None:
    assert "no such run file" in refused(tmp_path / "none.h5", tmp_path)
    before = read_record(anns["dense"])

    def written(record: Record) -> Path:
        write_record(tmp_path / "changed.h5", record)
        return tmp_path / "changed.h5"

    silent = replace(before, params=-np.abs(before.params) * 0)
    assert "hidden0: none of its neurons is active" in refused(written(silent), tmp_path)
    moved = replace(before, attributes=before.attributes | {"data_digest": "other"})
    assert "other files" in refused(written(moved), tmp_path)
    text = before.attributes["config_toml"].replace('kind = "ann"', 'kind = "snn"', 1)
    spiking = replace(before, attributes=before.attributes | {"config_toml": text})
    words = refused(written(spiking), tmp_path)
    assert words.startswith(f"{tmp_path / 'changed.h5'}: cannot be converted: model.kind")


def test_code_that_the_file_names_is_imported_with_trust_alone(
    anns: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_images.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = read_record(anns["dense"])
    text = before.attributes["config_toml"].replace('"digits"', '"my_images:load"', 1)
    own = replace(before, attributes=before.attributes | {"config_toml": text})
    write_record(tmp_path / "own.h5", own)
    words = refused(tmp_path / "own.h5", tmp_path)
    assert "my_images:load" in words
    assert "--trust" in words
    with pytest.raises(Exception, match="imported"):
        convert(Conversion(tmp_path / "own.h5", tmp_path / "out", 99.9, 4, trust=True))


def test_an_ann_on_events_is_refused(tmp_path: Path) -> None:
    sets = ["data.dataset=spoken-digits", "data.num_bins=5", "model.hidden=[4]", "client.steps=1",
            "server.rounds=1"]  # fmt: skip
    experiment = parse_experiment(JOB, sets)
    run(Request(lambda: experiment, tmp_path / "run"))
    assert "bin by bin" in refused(tmp_path / "run", tmp_path)
