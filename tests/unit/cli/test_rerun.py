"""Runs that are continued, or run again, by what their file says: in one process, of toys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hpcfed.cli import main, rerun
from hpcfed.cli import start as started
from hpcfed.cli.rank import RunOptions
from hpcfed.cli.source import asked
from hpcfed.errors import InputError
from hpcfed.federation.run import Request
from hpcfed.federation.run import run as federate
from hpcfed.launch.restart import JobEnd
from hpcfed.records.configuration import recipe
from hpcfed.records.runfile import Record, read_record, write_record
from hpcfed.records.schema import RUN_FILE
from tests.toy_world import SETS

TOY = [part for item in (*SETS, "server.rounds=2", "name=toy") for part in ("--set", item)]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Train in this process, in a fresh folder; return what mpirun's ranks would be given."""
    given: list[tuple[str, ...]] = []

    def start(options: RunOptions, ranks: int | None, more: Sequence[str] = ()) -> int:
        given.append(tuple(more))
        federate(Request(options.experiment, options.out, options.resume))
        return 0

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(main, "start", start)
    monkeypatch.setattr(rerun, "start", start)
    (tmp_path / "job.toml").write_text("")
    return given


def hpcfed(*arguments: str) -> None:
    told = CliRunner().invoke(main.app, arguments, catch_exceptions=False)
    assert told.exit_code == 0, told.output


def record(folder: str) -> Record:
    return read_record(Path(folder))


@pytest.mark.parametrize("named", ["results/toy", f"results/toy/{RUN_FILE}"])
def test_a_folder_is_enough_to_go_on_and_rounds_may_grow(named: str) -> None:
    hpcfed("run", "job.toml", *TOY)
    hpcfed("run", "--resume", named, "--set", "server.rounds=4")
    hpcfed("run", "job.toml", *TOY, "--set", "server.rounds=4", "--out", "whole")
    continued, whole = record("results/toy"), record("whole")
    assert continued.log.rounds["params_digest"] == whole.log.rounds["params_digest"]
    assert len(continued.attempts) == 2


def test_a_job_with_resume_goes_on_as_ever() -> None:
    hpcfed("run", "job.toml", *TOY, "--out", "job")
    hpcfed("run", "job.toml", *TOY, "--set", "server.rounds=3", "--out", "job", "--resume")
    assert record("job").log.num_rounds == 3


def test_another_value_is_refused_where_a_run_goes_on() -> None:
    hpcfed("run", "job.toml", *TOY)
    before = Path("results/toy", RUN_FILE).read_bytes()
    with pytest.raises(InputError, match="other values of seed"):
        hpcfed("run", "--resume", "results/toy", "--set", "seed=1")
    assert Path("results/toy", RUN_FILE).read_bytes() == before


def test_a_folder_without_resume_is_told_what_can_be_done() -> None:
    hpcfed("run", "job.toml", *TOY)
    with pytest.raises(InputError, match=r"--resume results/toy, .* hpcfed rerun results/toy"):
        hpcfed("run", "results/toy")
    with pytest.raises(InputError, match=r"^results: is a folder, and holds no run \(run.h5\)"):
        hpcfed("run", "--resume", "results")


def test_a_packaged_job_is_itself_beside_a_folder_of_its_name() -> None:
    hpcfed("run", "job.toml", *TOY, "--out", "quickstart")
    assert asked(Path("quickstart"), ()).name == "quickstart"
    hpcfed("run", "--resume", "quickstart", "--set", "server.rounds=3")
    assert record("quickstart").attributes["name"] == "toy"
    assert record("quickstart").log.num_rounds == 3


def test_a_run_is_run_again_with_the_same_bits_in_the_next_free_folder() -> None:
    hpcfed("run", "job.toml", *TOY)
    hpcfed("rerun", "results/toy")
    hpcfed("rerun", f"results/toy/{RUN_FILE}", "--set", "seed=5")
    first, again, other = (record(f"results/{name}") for name in ("toy", "toy-2", "toy-3"))
    assert first.params.tobytes() == again.params.tobytes() != other.params.tobytes()
    assert [r.attributes["name"] for r in (first, again, other)] == ["toy", "toy-2", "toy-3"]
    assert first.attributes["config_digest"] == again.attributes["config_digest"]
    assert "seed = 5\n" in other.attributes["config_toml"]


def test_a_name_or_a_folder_may_be_given() -> None:
    hpcfed("run", "job.toml", *TOY)
    hpcfed("rerun", "results/toy", "--set", "name=other")
    hpcfed("rerun", "results/toy", "--out", "there")
    assert record("results/other").attributes["name"] == "other"
    assert record("there").attributes["name"] == "toy"
    with pytest.raises(InputError, match="holds a run already"):
        hpcfed("rerun", "results/toy", "--out", "there")


def test_ranks_that_are_started_again_know_the_name(here: list[tuple[str, ...]]) -> None:
    hpcfed("run", "job.toml", *TOY)
    hpcfed("rerun", "results/toy", "--ranks", "2")
    hpcfed("rerun", "results/toy", "--ranks", "2", "--out", "there")
    assert here == [(), ("--set", 'name="toy-2"'), ()]


def test_ranks_get_further_options_before_a_dash_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def run_job(command: list[str], *rest: object) -> JobEnd:
        commands.append(command)
        return JobEnd(2, False, True)

    hpcfed("run", "job.toml", *TOY)
    monkeypatch.setattr("hpcfed.launch.run_job", run_job)
    monkeypatch.setattr("sys.argv", ["hpcfed", "rerun", "--ranks", "2", "--", "-run"])
    options = RunOptions(lambda: recipe(Path("results/toy")), Path("out"), False, True)
    started.start(options, 2, ("--set", "name=toy-2"))
    assert commands[0][-5:] == ["rerun", "--set", "name=toy-2", "--", "-run"]


def test_what_a_configuration_alone_does_not_make_is_refused() -> None:
    hpcfed("run", "job.toml", *TOY)
    done = record("results/toy")
    for name, word in (("parent", "hpcfed sweep follow"), ("converted_from", "not trained")):
        Path(name).mkdir()
        marked = replace(done, attributes=done.attributes | {name: "elsewhere"})
        write_record(Path(name, RUN_FILE), marked)
        with pytest.raises(InputError, match=word):
            hpcfed("rerun", name)
    assert not Path("results/toy-2").exists()


@pytest.mark.parametrize("content", [None, b"broken"])
def test_a_file_that_is_none_of_a_runs_is_one_message(content: bytes | None) -> None:
    Path("other").mkdir()
    if content is not None:
        Path("other", RUN_FILE).write_bytes(content)
    with pytest.raises(InputError, match=rf"^other/{RUN_FILE}: "):
        hpcfed("rerun", "other")


def test_an_unknown_key_names_the_nearest_one() -> None:
    hpcfed("run", "job.toml", *TOY)
    with pytest.raises(InputError, match=r"run.h5: client.rate: unknown key; did you mean"):
        hpcfed("rerun", "results/toy", "--set", "client.rate=1")


def test_a_run_leaves_the_numbers_of_its_file_alone_when_it_is_run_again() -> None:
    hpcfed("run", "job.toml", *TOY)
    before = Path("results/toy", RUN_FILE).read_bytes()
    hpcfed("rerun", "results/toy", "--set", "server.rounds=1")
    assert Path("results/toy", RUN_FILE).read_bytes() == before
    assert np.array(record("results/toy-2").log.rounds["uplink_values"]).shape == (1,)
