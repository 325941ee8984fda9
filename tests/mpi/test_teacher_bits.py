"""Learning from a teacher: the same bits on any ranks, threads, transports, after a kill."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpcfed.config.file import parse_experiment
from hpcfed.federation.run import Request, run
from hpcfed.records.runfile import Record, read_record
from tests.mpi import ways
from tests.mpi.ways import OnRanks, assert_same_rounds, killed_and_resumed

pytestmark = pytest.mark.mpi

JOB = """
[data]
dataset = "spoken-digits"
duration = 0.7
num_bins = 10
classes = [0, 1, 2]
[model]
hidden = [8]
tau_mem = 0.08
tau_syn = 0.08
init_scale = 3.0
[client]
steps = 2
batch_size = 8
[participation]
drop_probability = 0.2
[server]
rounds = 3
[run]
eval_every = 3
"""
DIGITS = ("data.dataset=digits", "data.duration=0.03", "data.num_bins=3")
TEACHERS = {
    "recurrent": ("model.hidden=[16]", "model.recurrent=true"),
    "committee": ("rule.kind=bayes", "evaluation.draws=3"),
    "ann": (*DIGITS, "model.kind=ann", 'model.hidden=["4c3", "p2"]'),
}
STUDENTS = {
    "recurrent": ("uplink.mask=bernoulli", "uplink.mask_probability=0.5",
                  "uplink.error_feedback=true", "client.teacher_weight=0.8"),
    "committee": ("rule.kind=straight-through", "client.teacher_temperature=3.5"),
    "ann": (*DIGITS, 'model.hidden=["4c3", "p4"]', "data.encoder=direct", "model.neuron=leaky",
            "model.readout=current"),
}  # fmt: skip


@pytest.fixture(scope="module")
def students(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, ...]]:
    """Return the settings of each student, whose teacher has been trained for three rounds."""
    folder, found = tmp_path_factory.mktemp("teachers"), dict[str, tuple[str, ...]]()
    for name, sets in TEACHERS.items():
        trained(folder / name, sets)
        found[name] = (*STUDENTS[name], f"client.teacher={folder / name / 'run.h5'}")
    return found


@pytest.fixture(scope="module")
def on_ranks(
    tmp_path_factory: pytest.TempPathFactory, students: dict[str, tuple[str, ...]]
) -> OnRanks:
    """Return the students of event networks on so many ranks: their engine starts quickly."""
    of_events = {name: sets for name, sets in students.items() if name != "ann"}
    return ways.on_ranks(tmp_path_factory, JOB, of_events)


@pytest.fixture(scope="module")
def alone(
    tmp_path_factory: pytest.TempPathFactory, students: dict[str, tuple[str, ...]]
) -> dict[str, Record]:
    """Return each student on one rank, in this process."""
    folder = tmp_path_factory.mktemp("alone")
    return {name: trained(folder / name, sets) for name, sets in students.items()}


def trained(folder: Path, sets: tuple[str, ...]) -> Record:
    experiment = parse_experiment(JOB, sets)
    run(Request(lambda: experiment, folder))
    return read_record(folder)


@pytest.mark.parametrize("name", ["recurrent", "committee"])
@pytest.mark.parametrize("num_ranks", [2, 3, 5])
def test_ranks_threads_and_transports_give_the_same_bits(
    alone: dict[str, Record], on_ranks: OnRanks, name: str, num_ranks: int
) -> None:
    assert_same_rounds(on_ranks(num_ranks)[name], alone[name])


def test_an_ann_teaches_a_spiking_network_alike_on_two_ranks(
    alone: dict[str, Record],
    students: dict[str, tuple[str, ...]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    found = ways.on_ranks(tmp_path_factory, JOB, {"ann": students["ann"]})(2)
    assert_same_rounds(found["ann"], alone["ann"])


def test_a_killed_run_goes_on_with_the_same_bits(
    alone: dict[str, Record], students: dict[str, tuple[str, ...]], tmp_path: Path
) -> None:
    found = killed_and_resumed(tmp_path, JOB, students["recurrent"], 2)
    assert_same_rounds(found, alone["recurrent"])


@pytest.mark.parametrize("name", STUDENTS)
def test_weight_0_gives_the_bits_without_a_teacher(
    alone: dict[str, Record], students: dict[str, tuple[str, ...]], tmp_path: Path, name: str
) -> None:
    plain = tuple(item for item in STUDENTS[name] if not item.startswith("client."))
    first = trained(tmp_path / "plain", plain)
    second = trained(tmp_path / "weightless", (*students[name], "client.teacher_weight=0.0"))
    assert_same_rounds(second, first)
    assert not np.array_equal(first.params, alone[name].params)
