"""The same bits whatever the ranks, transport, threads and placement, and those of the reference.

All settings run one after the other in one job per number of ranks, on the toy world.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from hpcfed import datasets
from hpcfed.config.file import read_experiment
from hpcfed.federation.job import build_job
from hpcfed.networks.layout import initial_params
from hpcfed.records.runfile import Record, read_record
from hpcfed.samples.samples import shape_of
from tests import toy_world
from tests.mpi.in_turn import Run
from tests.mpi.ways import TOY, toy_runs, train
from tests.places import REPOSITORY
from tests.reference_federation import Reference

pytestmark = pytest.mark.mpi

RANKS = (1, 2, 5)
SETTINGS = {
    "plain": [],
    "bernoulli": ["uplink.mask=bernoulli", "uplink.mask_probability=0.5"],
    "random-k float16": [
        "uplink.mask=random-k", "uplink.mask_probability=0.5", "uplink.dtype=float16",
    ],
    "top-k int8": ["uplink.mask=top-k", "uplink.mask_probability=0.75", "uplink.dtype=int8"],
    "sparse top-k": ["uplink.mask=top-k", "uplink.mask_probability=0.98"],
    "feedback": [
        "uplink.mask=top-k", "uplink.mask_probability=0.75", "uplink.dtype=int8",
        "uplink.error_feedback=true",
    ],
    "signs": ["uplink.dtype=sign", "uplink.error_feedback=true"],
    "masked signs": [
        "uplink.mask=bernoulli", "uplink.mask_probability=0.5", "uplink.dtype=sign",
        "server.average=received",
    ],
    "feedback of random masks": [
        "uplink.mask=bernoulli", "uplink.mask_probability=0.75", "uplink.error_feedback=true",
        "server.average=received",
    ],
    "received": [
        "uplink.mask=random-k", "uplink.mask_probability=0.5", "server.average=received",
    ],
    "all rescaled": [
        "uplink.mask=bernoulli", "uplink.mask_probability=0.5", "server.average=all",
        "server.rescale=true", "participation.drop_probability=[0.1,0.5,0.2,0.3,0.0,0.9,0.4]",
    ],
    "uniform": ["server.client_weights=uniform", "server.learning_rate=0.3"],
    "momentum": ["server.optimizer=momentum", "server.momentum=0.8", "uplink.dtype=float16"],
    "adam": ["server.optimizer=adam", "server.learning_rate=0.1"],
    "everybody drops": ["participation.drop_probability=1.0", "server.optimizer=adam"],
}  # fmt: skip
SELDOM = "run.checkpoint_seconds=10"  # writing takes longer than all the rest
WAYS = {
    "gather": ["uplink.transport=gather"],
    "reduce": ["uplink.transport=reduce"],
    "threads": ["client.threads=3"],
}


@pytest.fixture(scope="module", params=RANKS)
def records(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """Run everything on one number of ranks; return {(setting, way): record}."""
    folder = tmp_path_factory.mktemp(f"ranks-{request.param}")
    runs = [
        Run(TOY, [*SETTINGS[setting], *WAYS[way], SELDOM], str(folder / setting / way))
        for setting in SETTINGS
        for way in WAYS
    ]
    train(folder, request.param, runs)
    return {(s, w): read_record(folder / s / w) for s in SETTINGS for w in WAYS}


def reference(setting: str) -> tuple[list[bytes], Reference]:
    """Return the digest after each round, and the reference after the last."""
    experiment = read_experiment(REPOSITORY / "tests/mpi/toy.toml", SETTINGS[setting])
    data = datasets.load(experiment.data)
    trainer = toy_world.make_trainer(experiment, shape_of(data.train))
    speakers = data.train.groups[data.train_ids]
    plain = Reference(
        experiment,
        num_samples=np.bincount(speakers).tolist(),
        params=initial_params(experiment.model, trainer.layout, experiment.seed),
    )
    digests = []
    for _ in range(experiment.server.rounds):
        plain.step(lambda params, k, turn: toy_world.delta(experiment.seed, params, k, turn))
        digests.append(hashlib.sha256(plain.params.tobytes()).hexdigest().encode())
    return digests, plain


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_round_has_the_bits_of_the_reference(
    records: dict[tuple[str, str], Record], setting: str
) -> None:
    digests, plain = reference(setting)
    found = {way: [bytes(d) for d in records[setting, way].log.rounds["params_digest"]]
             for way in WAYS}  # fmt: skip
    assert found["gather"] == found["reduce"] == found["threads"]
    if setting in {"all rescaled", "adam", "momentum"}:  # floating point in another order
        params = records[setting, "gather"].params
        np.testing.assert_allclose(params, plain.params, rtol=1e-5, atol=1e-6)
    else:
        assert found["gather"] == digests


def test_figures_do_not_depend_on_the_way(records: dict[tuple[str, str], Record]) -> None:
    names = ("train_loss", "validation_loss", "test_loss", "validation_accuracy",
             "num_participants", "uplink_values", "uplink_bytes_coordinates")  # fmt: skip
    for setting in SETTINGS:
        for name in names:
            gathered, reduced = (
                records[setting, way].log.rounds[name] for way in ("gather", "reduce")
            )
            np.testing.assert_array_equal(gathered, reduced, err_msg=f"{setting} {name}")


def test_a_round_without_participants_changes_nothing(
    records: dict[tuple[str, str], Record],
) -> None:
    record = records["everybody drops", "gather"]
    rounds = record.log.rounds
    assert rounds["num_participants"] == [0] * 4
    assert len({bytes(d) for d in rounds["params_digest"]}) == 1
    assert not record.checkpoint["moments"].any()
    assert np.isnan(rounds["train_loss"]).all()
    assert rounds["uplink_bytes_seed"] == [0.0] * 4
    assert not np.isnan(rounds["validation_loss"]).any()


def test_momentum_is_kept_through_a_round_without_participants(tmp_path: Path) -> None:
    # with q = 0.85 some of 6 rounds are empty; plain momentum would go on moving
    sets = ["participation.drop_probability=0.85", "server.rounds=12", "server.optimizer=momentum"]
    (record,) = toy_runs(2, tmp_path, sets)
    rounds = record.log.rounds
    empty = [i for i, n in enumerate(rounds["num_participants"]) if n == 0 and i > 0]
    assert empty
    for i in empty:
        assert rounds["params_digest"][i] == rounds["params_digest"][i - 1]
    moving = [i for i, n in enumerate(rounds["num_participants"]) if n > 0 and i > 0]
    for i in moving:
        assert rounds["params_digest"][i] != rounds["params_digest"][i - 1]


def test_bytes_moved_are_the_bytes_predicted(records: dict[tuple[str, str], Record]) -> None:
    exact = ("plain", "random-k float16", "top-k int8", "sparse top-k", "received")
    for setting in exact:
        for way in ("gather", "reduce"):
            rounds = records[setting, way].log.rounds
            assert rounds["mpi_bytes"] == rounds["predicted_bytes"], f"{setting} {way}"
    rounds = records["bernoulli", "gather"].log.rounds
    messages = np.array(rounds["num_participants"])
    deviation = 4 * 4 * np.sqrt(messages * 48 * 0.25)
    assert (np.abs(np.subtract(rounds["mpi_bytes"], rounds["predicted_bytes"])) <= deviation).all()


def test_auto_moves_no_more_than_either_transport(
    records: dict[tuple[str, str], Record],
) -> None:
    for setting in ("plain", "sparse top-k"):
        predicted = {
            way: np.array(records[setting, way].log.rounds["predicted_bytes"]) for way in WAYS
        }
        best = np.minimum(predicted["gather"], predicted["reduce"])
        assert predicted["threads"].tolist() == best.tolist()  # its transport is "auto"


def test_the_uplink_is_counted_by_hand(records: dict[tuple[str, str], Record]) -> None:
    rounds = records["top-k int8", "reduce"].log.rounds
    for i, participants in enumerate(rounds["num_participants"]):
        values = 12 * participants  # a quarter of 48
        assert rounds["uplink_values"][i] == values
        assert np.isnan(rounds["uplink_bytes_seed"][i])
        assert rounds["uplink_bytes_bitmask"][i] == values + participants * (4 + 6)
        assert rounds["uplink_bytes_coordinates"][i] == values * 5 + participants * 4
        assert rounds["downlink_bytes"][i] == participants * 48 * 4


def test_participations_say_who_took_part(records: dict[tuple[str, str], Record]) -> None:
    record = records["plain", "gather"]
    participated = record.log.participated(7)
    losses = record.log.table("train_loss", 7)
    assert participated.sum(axis=1).tolist() == record.log.rounds["num_participants"]
    assert 0 < participated.sum() < participated.size
    expected = np.where(participated, 1.0 + np.arange(7), np.nan)
    np.testing.assert_array_equal(losses, expected)
    assert (np.isnan(record.log.table("update_norm", 7)) == ~participated).all()
    weights = participated * record.clients["num_samples"]
    mean = (weights * (1.0 + np.arange(7))).sum(axis=1) / weights.sum(axis=1)
    np.testing.assert_allclose(record.log.rounds["train_loss"], mean)


def test_a_job_assigns_every_client_to_one_rank_only() -> None:
    for feedback in ("false", "true"):
        experiment = read_experiment(
            REPOSITORY / "tests/mpi/toy.toml", [f"uplink.error_feedback={feedback}"]
        )
        for num_ranks in RANKS:
            job = build_job(experiment, num_ranks, 0)
            cohort = job.cohort(0, num_ranks)
            held = [k for rank in range(num_ranks) for k in cohort.of(rank).tolist()]
            assert sorted(held) == cohort.clients.tolist()
