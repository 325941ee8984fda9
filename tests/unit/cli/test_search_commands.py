"""What the commands of a search say where libraries are missing, and of what is planned."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from hpcfed.cli.search import need_libraries
from hpcfed.config.search import METHODS
from hpcfed.errors import InputError
from hpcfed.sweep.planning.sweepfile import read_sweep
from hpcfed.sweep.search.summary import plan_lines
from tests.places import REPOSITORY


def test_every_method_but_random_names_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    missing: Any = {"optuna", "botorch"}
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in missing else real(name)
    )
    for method in METHODS:
        if method in {"random", "population"}:  # which need no model
            need_libraries(method)
            continue
        with pytest.raises(InputError, match=rf'method = "{method}" needs .*hpcfed\[search\]'):
            need_libraries(method)


def test_the_plan_of_a_search_says_what_varies_and_what_it_may_spend() -> None:
    search = read_sweep(Path(REPOSITORY / "jobs" / "search.toml")).search
    assert search is not None
    lines = list(plan_lines(search))
    assert lines[0] == "looks for most validation_accuracy over 7 keys:"
    assert "  client.batch_size: whole numbers, logarithmic, 8 to 128" in lines
    assert lines[-1] == "budget: 120 points, 20 of a design before the model"
