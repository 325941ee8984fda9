"""A commented job file: it says what its base says, names every key, and destroys nothing."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hpcfed.cli.main import app
from hpcfed.config.file import digest, key_paths, parse_experiment, read_experiment
from hpcfed.config.jobs import packaged_jobs
from hpcfed.errors import InputError

EXPERIMENTS = [
    name for name, path in packaged_jobs().items() if "base" not in tomllib.loads(path.read_text())
]
UNSET = re.compile(r"^#(?=[a-z_]+ = )", re.MULTILINE)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a fresh folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new(*arguments: str) -> str:
    told = CliRunner().invoke(app, ["new", *arguments], catch_exceptions=False)
    assert told.exit_code == 0, told.output
    return told.output


@pytest.mark.parametrize("base", EXPERIMENTS)
def test_a_new_job_is_the_same_experiment_as_its_base(here: Path, base: str) -> None:
    new("mine", "--from", base)
    found = read_experiment(here / "mine.toml")
    assert found.name == "mine"
    assert digest(found) == digest(read_experiment(packaged_jobs()[base]))


def test_every_key_of_its_tables_is_there_with_its_meaning(here: Path) -> None:
    assert new("mine") == "mine.toml\n"
    text = (here / "mine.toml").read_text()
    assert text.startswith("#:schema ./hpcfed.schema.json\n")
    assert (here / "hpcfed.schema.json").is_file()
    sections = dict(re.findall(r"^\[([a-z_.]+)\]$(.*?)(?=^\[|\Z)", text, re.M | re.S))
    assert list(sections) == ["data", "model", "client", "participation", "uplink", "server"]
    for key in key_paths():
        table, _, name = key.rpartition(".")
        if table in sections:
            assert re.search(rf"^# .+\n#?{name} = ", sections[table], re.M), key
    assert "# step size in round 0\nlearning_rate = 0.01\n" in text
    assert "# encoder" not in text
    assert "(superspike" not in text
    assert 'derivative that stands in for the spike\'s ("superspike", "triangle",' in text
    assert "# [partition] Which client owns which training sample.\n" in text


def test_each_line_that_is_not_set_is_a_default_and_can_be_set(here: Path) -> None:
    new("mine")
    text = (here / "mine.toml").read_text()
    experiment, places = parse_experiment(text), list(UNSET.finditer(text))
    assert len(places) > 50
    for place in places:
        tomllib.loads(text[: place.start()] + text[place.end() :])
    known = {
        key: value
        for table, values in experiment.model_dump().items()
        if isinstance(values, dict)
        for key, value in ((f"{table}.{name}", value) for name, value in values.items())
    }
    assert known["client.batch_size"] == 32
    assert "#batch_size = 32\n" in text


def test_tables_of_ones_own_and_in_one_line_are_kept(here: Path) -> None:
    (here / "base.toml").write_text(
        """
        model.kind = "nets:build"
        model.own = { width = 3, "a b" = [{ c = 1 }], inner = { d = "e" } }
        stop = { silent = { alpha = 3, beta = 0.5, rounds = 2 } }
        [rule]
        kind = "rules:RULE"
        own.rate = 0.5
        """
    )
    new("mine", "--from", "base.toml")
    text = (here / "mine.toml").read_text()
    assert "\n[model.own]\n" in text
    assert "\n[stop.silent]\n" in text
    base = read_experiment(here / "base.toml")
    assert digest(read_experiment(here / "mine.toml")) == digest(base)


def test_a_name_may_lie_in_a_folder_and_nothing_is_overwritten(here: Path) -> None:
    (here / "jobs").mkdir()
    new("jobs/mine.toml", "--from", "digits")
    before = (here / "jobs" / "mine.toml").read_bytes()
    assert read_experiment(here / "jobs" / "mine.toml").name == "mine"
    with pytest.raises(InputError, match="is there already"):
        new("jobs/mine")
    assert (here / "jobs" / "mine.toml").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere/mine"], "nowhere"),
        (["mine", "--from", "no_such_job"], "no such file"),
        (["mine", "--from", "tradeoff"], "is a sweep file"),
        (["..toml"], "expected the name of a job"),
        ([""], "expected the name of a job"),
        (["jobs/"], "expected the name of a job"),
        (["mine\nseed = 3"], "expected the name of a job"),
    ],
)
def test_what_cannot_be_written_is_one_message(
    here: Path, arguments: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        new(*arguments)
    assert not list(here.glob("*.toml"))
