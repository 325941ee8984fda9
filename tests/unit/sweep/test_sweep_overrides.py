"""Keys of the base experiment that a command sets beside the sweep file."""

from __future__ import annotations

from pathlib import Path

import pytest
from sweep_files import BASE
from typer.testing import CliRunner

from hpcfed.cli.main import app
from hpcfed.errors import InputError
from hpcfed.records.sweepfolder import Paths
from hpcfed.sweep.planning.grid import cells
from hpcfed.sweep.planning.manifest import read_manifest
from hpcfed.sweep.planning.sweepfile import Sweep, read_sweep

GRID = '[grid]\nseed = [0, 1]\n[set]\n"client.batch_size" = 8'
SEARCH = """
[set]
data.validation_fraction = 0.2
server.rounds = 4
[search]
maximise = "validation_accuracy"
evaluations = 4
halving = { rungs = [2, 4] }
stop = { saturated = 0.5 }
[search.space]
"client.learning_rate" = { log = [1e-3, 1e-1] }
"""


def read(folder: Path, text: str, *items: str) -> Sweep:
    (folder / "base.toml").write_text(BASE)
    path = folder / "study.toml"
    path.write_text(f'base = "base.toml"\n{text}\n')
    return read_sweep(path, items)


def test_every_point_has_the_value_over_the_base_and_over_set(tmp_path: Path) -> None:
    sweep = read(tmp_path, GRID, "client.batch_size=4", "server.rounds=9")
    found = [cell.experiment for cell in cells(sweep)]
    assert [(e.client.batch_size, e.server.rounds, e.seed) for e in found] == [(4, 9, 0), (4, 9, 1)]
    assert sweep.text.splitlines()[-2:] == [
        "# planned with --set 'client.batch_size=4'",
        "# planned with --set 'server.rounds=9'",
    ]


def test_a_search_begins_from_it(tmp_path: Path) -> None:
    plain, other = read(tmp_path, SEARCH), read(tmp_path, SEARCH, "client.batch_size=4")
    assert plain.search is not None
    assert other.search is not None
    assert other.search.base["client"]["batch_size"] == 4
    assert plain.search.section != other.search.section


@pytest.mark.parametrize(
    ("text", "item", "message"),
    [
        (GRID, "seed=3", "varies seed"),
        ('[[points]]\n"server.rounds" = 3', "server.rounds=4", r"varies server\.rounds"),
        ('[[cases]]\n"server.rounds" = 3', "server={ rounds = 4 }", r"varies server\.rounds"),
        (SEARCH, "client.learning_rate=0.1", r"varies client\.learning_rate"),
        (SEARCH, "server.rounds=8", r"varies server\.rounds"),
        (SEARCH, "stop.saturated=0.1", r"varies stop\.saturated"),
        (GRID, "client.batchsize=3", r"did you mean client\.batch_size\?"),
        (GRID, "name=other", "bear the sweep's name"),
        (GRID, "server.rounds", "expected KEY=VALUE"),
    ],
)
def test_what_has_no_meaning_is_refused(tmp_path: Path, text: str, item: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, text, item)


def test_plan_and_submit_take_it(tmp_path: Path) -> None:
    read(tmp_path, GRID)
    arguments = [
        str(tmp_path / "study.toml"),
        "--out",
        str(tmp_path / "out"),
        "--set",
        "data.num_bins=120",
    ]
    for command in (["plan"], ["submit", "--dry-run"]):
        told = CliRunner().invoke(app, ["sweep", *command, *arguments], catch_exceptions=False)
        assert told.exit_code == 0, told.output
    manifest = read_manifest(Paths(tmp_path / "out"))
    assert [run.config["data"]["num_bins"] for run in manifest.current] == [120, 120]
