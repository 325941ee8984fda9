"""Learning from a teacher: the same bits on any ranks, threads, transports, after a kill."""

from __future__ import annotations

import numpy as np
import pytest

from hpcfed.records.runfile import Record
from tests.mpi.ways import OnRanks, Resumed, assert_same_rounds

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
WAYS = {f"teacher of {name}": sets for name, sets in TEACHERS.items()}
for name, sets in STUDENTS.items():
    taught = (*sets, f"client.teacher={{runs}}/teacher of {name}/run.h5")
    WAYS[name] = taught
    WAYS[f"{name}, weight 0"] = (*taught, "client.teacher_weight=0.0")
    WAYS[f"{name}, alone"] = tuple(item for item in sets if not item.startswith("client."))
CUT = {"recurrent": 2}


@pytest.mark.parametrize("name", STUDENTS)
def test_ranks_threads_and_transports_give_the_same_bits(
    alone: dict[str, Record], on_ranks: OnRanks, name: str
) -> None:
    assert_same_rounds(on_ranks(3)[name], alone[name])


@pytest.mark.parametrize("name", CUT)
def test_what_a_kill_would_leave_goes_on_with_the_same_bits(
    alone: dict[str, Record], resumed: Resumed, name: str
) -> None:
    assert_same_rounds(resumed(name), alone[name])


@pytest.mark.parametrize("name", STUDENTS)
def test_weight_0_gives_the_bits_without_a_teacher(alone: dict[str, Record], name: str) -> None:
    plain = alone[f"{name}, alone"]
    assert_same_rounds(alone[f"{name}, weight 0"], plain)
    assert not np.array_equal(plain.params, alone[name].params)
