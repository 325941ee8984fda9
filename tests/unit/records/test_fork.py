"""A run that begins with another one's: what comes along, and what stays as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from run_files import record

from hpcfed.config import Experiment
from hpcfed.config.file import build_experiment, digest, to_toml
from hpcfed.errors import InputError
from hpcfed.records.fork import fork
from hpcfed.records.runfile import read_record, write_record
from hpcfed.records.state import NOBODY, glance_at


def parent(folder: Path, memory: str = "") -> Path:
    folder.mkdir()
    made = record(3)
    checkpoint = {**made.checkpoint, "round": 3, "memory": memory}
    attributes = made.attributes | {"status": "finished", "verdict": "", "attempt": 2,
                                    "writer": "host.1.2"}  # fmt: skip
    write_record(folder / "run.h5", replace(made, attributes=attributes, checkpoint=checkpoint))
    if memory:
        (folder / memory).write_bytes(b"what clients keep")
    return folder


def changed() -> Experiment:
    return build_experiment({"name": "child", "client": {"learning_rate": 0.7}}, "test")


def test_parameters_rounds_moments_and_memories_come_along(tmp_path: Path) -> None:
    source, child = parent(tmp_path / "a", "memory-3.h5"), tmp_path / "b"
    before = (source / "run.h5").read_bytes()
    fork(source, 3, child, changed())
    mine, theirs = read_record(child), read_record(source)
    assert mine.params.tobytes() == theirs.params.tobytes()
    np.testing.assert_array_equal(mine.checkpoint["moments"], theirs.checkpoint["moments"])
    assert mine.log.rounds["params_digest"] == theirs.log.rounds["params_digest"]
    assert (child / "memory-3.h5").read_bytes() == b"what clients keep"
    (child / "memory-3.h5").unlink()  # as the child's next checkpoint does
    assert (source / "memory-3.h5").exists()
    assert (source / "run.h5").read_bytes() == before


def test_the_child_has_its_own_configuration_and_says_whose_it_is(tmp_path: Path) -> None:
    fork(parent(tmp_path / "a"), 3, tmp_path / "b", changed())
    found = read_record(tmp_path / "b")
    assert "learning_rate = 0.7" in found.attributes["config_toml"]
    assert (found.attributes["parent"], found.attributes["parent_round"]) == ("a", 3)
    state = glance_at(tmp_path / "b" / "run.h5")
    assert (state.status, state.verdict, state.holder) == ("stopped", "", NOBODY)
    engine = changed().client.model_copy(update={"engine": found.attributes["engine"]})
    child = changed().model_copy(update={"client": engine})
    assert state.config_digest == digest(child)
    assert found.attributes["config_toml"] == to_toml(child)


def test_a_parent_at_another_round_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has 3 rounds, expected 2 to fork"):
        fork(parent(tmp_path / "a"), 2, tmp_path / "b", changed())
    assert not (tmp_path / "b").exists()
