"""The examples of CONTRIBUTING.md's recipes: short files outside the package, and they work."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hpcfed
from hpcfed.records.runfile import Record, read_record
from scripts import table
from tests.places import REPOSITORY

EXAMPLES = REPOSITORY / "tests" / "examples"
RECIPES = ("spike_counts", "two_compartments", "sweeping_tones", "bytes_to_accuracy")
TONES = ("data.dataset=sweeping_tones:load", "server.rounds=4")


def at_home(folder: Path, *names: str) -> Path:
    """Return a working directory that holds nothing but these examples."""
    home = folder / "home"
    home.mkdir()
    for name in names:
        shutil.copy(EXAMPLES / f"{name}.py", home)
    return home


def train(home: Path, *sets: str) -> Record:
    arguments = [part for item in sets for part in ("--set", item)]
    command = [sys.executable, "-m", "hpcfed", "run", "--out", "out", "--quiet", *arguments]
    (home / "job.toml").write_text("")
    command.insert(4, "job.toml")
    ended = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return read_record(home / "out")


@pytest.mark.parametrize("name", RECIPES)
def test_an_example_is_one_short_file_that_contributing_names(name: str) -> None:
    lines = (EXAMPLES / f"{name}.py").read_text().splitlines()
    assert len(lines) <= 60
    assert f"tests/examples/{name}.py" in (REPOSITORY / "CONTRIBUTING.md").read_text()


def test_every_example_is_one_of_the_recipes() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(RECIPES)


def test_the_data_set_is_learned_by_the_networks_of_the_house(tmp_path: Path) -> None:
    record = train(
        at_home(tmp_path, "sweeping_tones"), *TONES, "server.rounds=12",
        "model.init_scale=12.0", "client.learning_rate=0.01",
    )  # fmt: skip
    assert record.clients["group"].tolist() == [f"player {k}" for k in range(6)]
    assert record.log.rounds["test_accuracy"][-1] > 0.7  # chance is 0.33


def test_the_rule_learns_and_its_figure_is_recorded(tmp_path: Path) -> None:
    home = at_home(tmp_path, "spike_counts", "sweeping_tones")
    rule = ("rule.kind=spike_counts:RULE", "rule.own={margin = 0.1}")
    record = train(home, *TONES, *rule, "server.rounds=6")
    accuracy, corrections = (record.log.rounds[n] for n in ("test_accuracy", "corrections"))
    assert accuracy[-1] > 0.7
    assert 0 <= corrections[-1] < corrections[0]
    model = hpcfed.load(home / "out")
    assert model.weights()["readout"].shape == (3, 40)


def test_the_network_learns_and_reads_its_own_key(tmp_path: Path) -> None:
    home = at_home(tmp_path, "two_compartments", "sweeping_tones")
    own = ("model.kind=two_compartments:network", "model.own={tau_slow = 0.05}",
           "model.hidden=[16]", "model.init_scale=3.0", "client.learning_rate=0.01")  # fmt: skip
    record = train(home, *TONES, *own, "server.rounds=10")
    assert record.log.rounds["test_accuracy"][-1] > 0.5
    assert record.log.rounds["hidden_rate"][-1] > 0
    assert record.layout == (("hidden0.input", "readout"), ((16, 40), (3, 16)))


def test_the_figure_is_drawn_with_its_table(tmp_path: Path) -> None:
    home = at_home(tmp_path, "sweeping_tones", "bytes_to_accuracy")
    record = train(home, *TONES, "model.hidden=[8]")
    script = REPOSITORY / "analysis" / "figure.py"
    command = [sys.executable, script, "bytes_to_accuracy", "out"]
    ended = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert (home / "out" / "bytes_to_accuracy.png").stat().st_size > 5000
    rows = table(home / "out" / "bytes_to_accuracy.csv")
    found = [float(row["test_accuracy"]) for row in rows]
    np.testing.assert_array_equal(found, record.log.rounds["test_accuracy"])
    sent = 4 * 6 * record.params.size * np.arange(1, 5) / 1e6  # six clients, float32
    np.testing.assert_allclose([float(row["uplink_mb"]) for row in rows], sent)


@pytest.mark.parametrize(
    ("module", "words"),
    [("absent_module", "importing absent_module failed"), ("json", "json has no mapping COLUMNS")],
)
def test_a_module_that_is_no_figure_is_bad_input(tmp_path: Path, module: str, words: str) -> None:
    script = REPOSITORY / "analysis" / "figure.py"
    command = [sys.executable, script, module, "."]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
