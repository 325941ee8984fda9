"""The commands that draw: every one has help that names its columns, and a script that calls it."""

from __future__ import annotations

import importlib
import re

import pytest
from typer.testing import CliRunner

from hpcfed.cli.main import app
from hpcfed.cli.plot import plot_app
from tests.places import REPOSITORY

NAMES = [str(command.callback.__name__) for command in plot_app.registered_commands
         if command.callback is not None]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_help_documents_every_column(name: str) -> None:
    said = CliRunner().invoke(app, ["plot", name, "--help"])
    assert said.exit_code == 0
    columns = importlib.import_module(f"hpcfed.report.plots.{name}").COLUMNS
    for ending, meanings in columns.items():
        assert f"PICTURE{ending}:" in said.stdout
        assert all(f"  {column}: " in said.stdout for column in meanings)
    assert bool(columns) == (name != "own")


def test_every_script_is_a_few_lines_that_call_a_command() -> None:
    called = []
    for script in (REPOSITORY / "analysis").glob("*.py"):
        text = script.read_text()
        assert len(text.splitlines()) <= 10
        called += re.findall(r'main\(\["plot", "(\w+)", \*sys\.argv\[1:\]\]\)', text)
    assert sorted(called) == sorted(NAMES)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tradeoff", ".", "--metric", "loss"], "--metric loss: expected one of test_accuracy"),
        (["curve", ".", "--split", "all"], "--split all: expected one of validation, test"),
        (["search", ".", "--only", "future"], "--only future: expected one of history"),
        (["circuits", ".", "--only", "future"], "--only future: expected one of likelihood"),
        (["curve", ".", "--target", "70"], "--target 70: give a fraction"),
        (["curve", ".", "--target", "nan"], "--target nan: give a fraction"),
        (["spikes", ".", "--saturated", "nan"], "--saturated nan: give a fraction"),
        (["spikes", ".", "--accumulate-pj", "nan"], "--accumulate-pj and --multiply-"),
        (["spikes", ".", "--accumulate-pj", "-1"], "--accumulate-pj and --multiply-"),
        (["own", "../mine", "."], "../mine is no name of a module"),
        (["compare", "a", "b", "a"], "a, b, a: give each path once"),
        (["timing", "nowhere"], "nowhere: no such file or folder"),
        (["clients", ".", "--out", "x.gif5"], "is no picture format"),
    ],
)
def test_a_wrong_argument_is_named_with_what_is_known(arguments: list[str], words: str) -> None:
    said = CliRunner().invoke(app, ["plot", *arguments])
    assert said.exit_code != 0
    assert words in str(said.exception)
