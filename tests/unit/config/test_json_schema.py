"""The schemas that editors check with: every shipped file passes, a mistyped key does not."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from hpcfed.cli.main import app
from hpcfed.cli.schema import JOB_SCHEMA, SWEEP_SCHEMA
from hpcfed.config.file import key_paths
from hpcfed.config.json_schema import experiment_schema
from hpcfed.errors import InputError
from hpcfed.sweep.planning.json_schema import sweep_schema
from tests.places import REPOSITORY

JOBS = sorted((REPOSITORY / "jobs").glob("*.toml"))


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Draft202012Validator]:
    """Return what checks jobs and sweeps, from the files that the command writes."""
    folder = tmp_path_factory.mktemp("schemas")
    told = CliRunner().invoke(app, ["schema", "--out", str(folder)])
    assert told.exit_code == 0, told.output
    found = {}
    for kind, name in (("job", JOB_SCHEMA), ("sweep", SWEEP_SCHEMA)):
        assert str(folder / name) in told.output
        content = json.loads((folder / name).read_text(encoding="utf-8"))
        Draft202012Validator.check_schema(content)
        found[kind] = Draft202012Validator(content)
    return found


def problems(validator: Draft202012Validator, text: str) -> list[str]:
    return [error.message for error in validator.iter_errors(tomllib.loads(text))]


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.stem)
def test_every_shipped_file_passes(path: Path, schemas: dict[str, Draft202012Validator]) -> None:
    text = path.read_text(encoding="utf-8")
    assert problems(schemas["sweep" if "base" in tomllib.loads(text) else "job"], text) == []


@pytest.mark.parametrize(
    ("kind", "text", "word"),
    [
        ("job", "[client]\nlearningrate = 0.1", "learningrate"),
        ("job", "[severs]\nrounds = 3", "severs"),
        ("job", "[server]\nrounds = 0", "minimum"),
        ("job", '[server]\nrounds = "3"', "integer"),
        ("job", '[client]\noptimizer = "adem"', "adem"),
        ("job", "[model.soft_lif]\nsigna = 0.1", "signa"),
        ("sweep", "[grid]\nseed = [1, 2]", "base"),
        ("sweep", 'base = "a"\n[grid]\n"uplink.mask_probabilty" = [0.5]', "mask_probabilty"),
        ("sweep", 'base = "a"\n[grid]\nuplink.mask_probabilty = [0.5]', "mask_probabilty"),
        ("sweep", 'base = "a"\n[grid]\n"uplink.mask_probability" = 0.5', "array"),
        ("sweep", 'base = "a"\n[set]\nserver.rounds = 0.5', "integer"),
        ("sweep", 'base = "a"\n[resources]\ngpu = 1', "gpu"),
        ("sweep", 'base = "a"\n[search]\nmaximize = "x"\nspace = {}', "maximize"),
        ("sweep", 'base = "a"\n[search.space]\n"client.rate" = [1, 2]', "client.rate"),
        ("sweep", 'base = "a"\n[search.space]\n"client.learning_rate" = { loog = [1, 2] }', "loog"),
    ],
)
def test_a_mistyped_key_or_value_is_caught(
    kind: str, text: str, word: str, schemas: dict[str, Draft202012Validator]
) -> None:
    assert word in " ".join(problems(schemas[kind], text))


def test_every_key_has_a_meaning_where_it_is_completed() -> None:
    schema = sweep_schema()
    for key in set(key_paths()) - {"name"}:
        assert schema["$defs"][f"key.{key}"]["description"], key
        assert key in schema["$defs"]["values"]["properties"]
    rounds = experiment_schema()["$defs"]["ServerConfig"]["properties"]["rounds"]
    assert rounds == {
        "type": "integer", "minimum": 1, "default": 50,
        "description": "communication rounds; may grow on resume",
    }  # fmt: skip


def test_no_key_may_be_null() -> None:
    assert '"null"' not in json.dumps([experiment_schema(), sweep_schema()])


@pytest.mark.parametrize("content", ["{}", "not JSON", '{"title": "of somebody else"}'])
def test_a_file_that_is_no_schema_of_ours_is_left_alone(tmp_path: Path, content: str) -> None:
    other = tmp_path / SWEEP_SCHEMA
    other.write_text(content)
    with pytest.raises(InputError, match="no schema of hpcfed's"):
        _schema(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [SWEEP_SCHEMA]
    assert other.read_text() == content


def test_a_schema_of_another_version_is_replaced(tmp_path: Path) -> None:
    (tmp_path / JOB_SCHEMA).write_text('{"title": "hpcfed experiment"}')
    _schema(tmp_path)
    assert "$defs" in json.loads((tmp_path / JOB_SCHEMA).read_text())


def _schema(folder: Path) -> Any:
    return CliRunner().invoke(app, ["schema", "--out", str(folder)], catch_exceptions=False)
