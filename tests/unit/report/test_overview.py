"""What ``hpcfed show`` says of runs: what varies, means over seeds, JSON, configuration."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from report_files import NAN, SIZE, VALUE_BYTES, World, grid, write_run, write_sweep
from typer.testing import CliRunner

from hpcfed.cli.main import app
from hpcfed.config.file import digest, parse_experiment
from hpcfed.errors import InputError
from hpcfed.records.runfile import read_record
from hpcfed.report.overview import content, run_rows, setting_rows, varying_rows
from hpcfed.report.runs import find
from hpcfed.report.statistics import mean_over_seeds
from hpcfed.report.summary import configuration
from tests.report_files import accuracy

SENT = 10 * SIZE * VALUE_BYTES  # bytes a round without masks and drops


def shown(*arguments: str | Path) -> str:
    said = CliRunner().invoke(app, ["show", *map(str, arguments)])
    assert said.exit_code == 0, said.exception
    return said.stdout


def test_keys_that_vary_stand_above_and_beside_each_run(tmp_path: Path) -> None:
    write_sweep(tmp_path, grid((0.0, 0.5), (0.0,)))
    found = content(find(tmp_path))
    assert list(varying_rows(found)) == [("seed", "0, 1, 2"), ("uplink.mask_probability", "0, 0.5")]
    assert [row[1] for row in run_rows(found)][:2] == [
        "seed 0, mask_probability 0", "seed 1, mask_probability 0",
    ]  # fmt: skip
    text = shown(tmp_path)
    assert "varies:" in text
    assert "uplink.mask_probability  0, 0.5" in text


def test_settings_have_a_mean_with_its_interval_over_seeds_and_the_cheapest_uplink(
    tmp_path: Path,
) -> None:
    write_sweep(tmp_path, grid((0.0, 0.5), (0.0,)))
    full, half = setting_rows(content(find(tmp_path)))
    mean = mean_over_seeds([accuracy(0.0, 0.0, seed) for seed in range(3)])
    text = f"{100 * mean.mean:.1f} % [{100 * mean.low:.1f}, {100 * mean.high:.1f}]"
    assert full == ("mask_probability 0", "3", text, text, "640 B")
    assert half[-1] == "320 B"  # by seeds, of which bitmask and coordinates send more
    assert text in shown(tmp_path)


def test_two_seeds_have_a_mean_and_no_interval(tmp_path: Path) -> None:
    for seed in range(2):
        write_run(tmp_path / str(seed), World(test=(0.5 + 0.1 * seed,), seed=seed))
    ((_, number, _, test, _),) = setting_rows(content(find(tmp_path)))
    assert (number, test) == ("2", "55.0 %")


def test_folds_and_seeds_of_the_partition_are_repetitions_of_one_setting(tmp_path: Path) -> None:
    for at in range(4):
        sets = ["data.folds=2", f"data.fold={at % 2}", f"partition.seed={at // 2}",
                "partition.kind=iid", "partition.num_clients=10"]  # fmt: skip
        write_run(tmp_path / str(at), World(test=(0.5 + 0.1 * at,), sets=sets))
    ((_, number, _, test, _),) = setting_rows(content(find(tmp_path)))
    assert (number, test[:6]) == ("4", "65.0 %")


def test_runs_that_are_not_finished_are_shown_and_not_averaged(tmp_path: Path) -> None:
    for seed, status in enumerate(("finished", "finished", "failed")):
        write_run(tmp_path / str(seed), World(seed=seed, status=status, error="no power"))
    found = content(find(tmp_path))
    assert [run["status"] for run in found["runs"]] == ["finished", "finished", "failed"]
    assert [setting["num_runs"] for setting in found["settings"]] == [2]


def test_keys_of_one_last_name_are_told_apart(tmp_path: Path) -> None:
    sets = ["client.learning_rate=0.5", "server.learning_rate=0.5"]
    for at, some in enumerate(([], sets)):
        write_run(tmp_path / str(at), World(sets=some))
    (_, text, *_), _ = run_rows(content(find(tmp_path)))
    assert "client.learning_rate 0.001, server.learning_rate 1" in text


def test_the_json_has_the_same_numbers_and_null_for_what_is_not_known(tmp_path: Path) -> None:
    write_sweep(tmp_path, [World(test=(NAN,), validation=(0.5,))], missing=[World(seed=1)])
    found = json.loads(shown(tmp_path, "--json"))
    (run,) = found["runs"]
    assert (run["test_accuracy"], run["validation_accuracy"]) == (None, 0.5)
    assert (run["uplink_bytes"], run["mpi_bytes"], run["num_rounds"]) == (SENT, 1100.0, 1)
    assert run["seconds"]["train"] == 0.5
    assert (found["num_missing"], found["varying"]) == (1, {})
    (setting,) = found["settings"]
    assert setting["validation_accuracy"] == {
        "count": 1, "mean": 0.5, "sd": None, "low": None, "high": None,
    }  # fmt: skip


def test_the_configuration_in_a_run_file_is_a_job_again(tmp_path: Path) -> None:
    file = write_run(tmp_path, World(p=0.25, seed=7))
    text = shown(tmp_path, "--config")
    assert digest(parse_experiment(text)) == read_record(file).attributes["config_digest"]
    assert json.loads(shown(file, "--config", "--json")) == tomllib.loads(text)


def test_several_configurations_are_not_one(tmp_path: Path) -> None:
    for seed in range(2):
        write_run(tmp_path / str(seed), World(seed=seed))
    with pytest.raises(InputError, match=r"2 runs, and a configuration is of one; name its folder"):
        configuration(tmp_path)


def test_what_is_no_run_is_bad_input_in_every_form(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.h5").write_bytes(b"?")
    for options in ([], ["--json"], ["--config"]):
        for name, words in (("empty", "no run.h5"), ("x.h5", "cannot be read"), ("z", "no such")):
            said = CliRunner().invoke(app, ["show", str(tmp_path / name), *options])
            assert isinstance(said.exception, InputError)
            assert words in str(said.exception)
