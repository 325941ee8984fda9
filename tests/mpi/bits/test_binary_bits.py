"""Binary weights by every rule and every way to send them: the same bits, and as few as said.

On any number of ranks and threads, by both transports, and after a kill.
"""

from __future__ import annotations

import numpy as np
import pytest

from hpcfed.records.runfile import Record
from tests.mpi.ways import OnRanks, Resumed, assert_same_rounds

pytestmark = pytest.mark.mpi

JOB = """
[data]
dataset = "two-moons"
duration = 0.1
num_bins = 20
validation_fraction = 0.0
[data.generated]
samples = 60
test_samples = 70
[partition]
kind = "iid"
num_clients = 5
[model]
hidden = [16, 8]
[client]
batch_size = 8
learning_rate = 0.6
[participation]
drop_probability = 0.2
[server]
rounds = 3
"""
MASK = ("uplink.mask=bernoulli", "uplink.mask_probability=0.4")
VOTES = ("server.average=received", "uplink.dtype=sign", "rule.binary.sends=bits")
BAYES, SIGNS = "rule.kind=bayes", "rule.kind=straight-through"
LOCAL = ("rule.local.burn_in=3", "client.optimizer=sgd", "client.learning_rate=5.0")
NOISE = ("rule.bayes.noise=bin", "model.recurrent=true")
COMMITTEE = "evaluation.draws=3"
WAYS = {
    "latents": (SIGNS, *MASK),
    "signs of updates": (SIGNS, "uplink.dtype=sign", "uplink.error_feedback=true"),
    "signs": (SIGNS, *VOTES, *MASK, "server.optimizer=momentum"),
    "majority of signs": (SIGNS, *VOTES, "rule.binary.merge=majority"),
    "halves": (BAYES, "uplink.dtype=float16", "server.average=all"),
    "steps": (BAYES, COMMITTEE, "uplink.dtype=int8", "uplink.mask=random-k",
              "uplink.mask_probability=0.3"),
    "probabilities": (BAYES, COMMITTEE, *MASK, "server.average=received",
                      "rule.binary.sends=probabilities"),
    "bits": (BAYES, COMMITTEE, *VOTES, "server.learning_rate=0.5"),
    "bits in noise": (BAYES, *VOTES, "uplink.noise=0.2"),
    "majority": (BAYES, *VOTES, *MASK, "rule.binary.merge=majority"),
    "bins": (BAYES, COMMITTEE, *NOISE),
    "local": ("rule.kind=local", *LOCAL),
    "local signs": (SIGNS, *LOCAL, *VOTES),
    "local bins": (BAYES, COMMITTEE, *LOCAL, "rule.bayes.noise=bin", *VOTES, *MASK),
    "one for all": ("uplink.dtype=sign", "uplink.error_feedback=true", *MASK),
}  # fmt: skip
CUT = {"bits": 2, "signs of updates": 2, "local bins": 2}


@pytest.mark.parametrize("name", WAYS)
def test_ranks_threads_and_transports_give_the_same_bits(
    alone: dict[str, Record], on_ranks: OnRanks, name: str
) -> None:
    assert_same_rounds(on_ranks(3)[name], alone[name])


@pytest.mark.parametrize("name", WAYS)
def test_every_way_changes_the_parameters_in_each_round(
    alone: dict[str, Record], name: str
) -> None:
    record = alone[name]
    assert len({bytes(d) for d in record.log.rounds["params_digest"]}) == 3
    assert record.answers.keys() == {"known", "probe"}
    assert np.isfinite(record.log.rounds["test_loss"]).all()
    assert sum(record.log.rounds["num_rejected"]) == 0


@pytest.mark.parametrize("name", WAYS)
def test_answers_are_those_of_the_last_evaluation(alone: dict[str, Record], name: str) -> None:
    record, known = alone[name], alone[name].answers["known"]
    rounds = record.log.rounds
    right = known["probability"].argmax(1) == known["label"]
    assert right.mean() == pytest.approx(rounds["test_accuracy"][-1])
    losses = -np.log(known["probability"][np.arange(70), known["label"]].astype(np.float64))
    assert losses.mean() == pytest.approx(rounds["test_loss"][-1], rel=1e-5)
    assert known["entropy"].mean() == pytest.approx(rounds["test_entropy"][-1])
    has_members = "evaluation.draws=3" in WAYS[name]
    for column in ("expected_entropy", "deviation"):
        assert np.isfinite(known[column]).all() == has_members
    for column in ("map_accuracy", "map_loss", "map_brier_score", "mutual_information"):
        assert np.isfinite(rounds[f"test_{column}"]).all() == has_members
    if has_members:
        assert known["expected_entropy"].mean() == pytest.approx(
            rounds["test_expected_entropy"][-1]
        )


def test_bits_take_an_eighth_of_a_byte_each(alone: dict[str, Record], on_ranks: OnRanks) -> None:
    """And a scale of five bytes; in gather eight more say how long a message is."""
    record, size = on_ranks(3)["bits"], alone["bits"].params.size
    assert size % 8 == 0
    rounds = record.log.rounds
    for number, count in enumerate(rounds["num_participants"]):
        expected = count * (size / 8 + 5)
        assert rounds["uplink_bytes_seed"][number] == expected
        away = rounds["mpi_bytes"][number] - 2 * 4 * size  # less the model to two ranks
        assert away <= count * (size // 8 + 5 + 8)
        assert away % (size // 8 + 5 + 8) == 0
    masked = alone["signs"].log.rounds
    values, count = masked["uplink_values"][0], masked["num_participants"][0]
    assert masked["uplink_bytes_seed"][0] == count * (5 + 8) + values / 8
    assert masked["uplink_bytes_bitmask"][0] == count * (5 + -(-size // 8)) + values / 8
    assert masked["uplink_bytes_coordinates"][0] == count * 5 + values * (4 + 1 / 8)


@pytest.mark.parametrize("name", CUT)
def test_what_a_kill_would_leave_goes_on_with_the_same_bits(
    alone: dict[str, Record], resumed: Resumed, name: str
) -> None:
    assert_same_rounds(resumed(name), alone[name])
