"""Convolutions on images, with norms, spikes by words, masks and statistics: the same bits.

On any number of ranks and threads, by both transports, and after a stop.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpcfed.records.runfile import Record, read_record
from tests.mpi.launch import mpirun

pytestmark = pytest.mark.mpi

SETS = (
    "data.dataset=digits", "data.num_bins=4", "data.duration=0.04",
    'model.hidden=["4c3", "p2", "6c3", 12]', "model.neuron=leaky", "model.norm=bntt",
    "model.readout=current", "model.surrogate=triangle", "model.init=xavier", "client.steps=2",
    "participation.drop_probability=0.3", "uplink.mask=bernoulli", "uplink.mask_probability=0.5",
    "server.optimizer=adam",
)  # fmt: skip


def trained(num_ranks: int, out: Path, *overrides: str, resume: bool = False) -> Record:
    (out.parent / "job.toml").write_text("")
    sets = [part for item in (*SETS, *overrides) for part in ("--set", item)]
    options = ["--resume"] if resume else []
    job = str(out.parent / "job.toml")
    command = ["-m", "hpcfed", "run", job, "--quiet", "--out", str(out), *sets, *options]
    ended = mpirun(num_ranks, *command, limit_s=120)
    assert ended.rc == 0, ended.stderr
    return read_record(out)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Record:
    return trained(1, tmp_path_factory.mktemp("alone") / "a", "server.rounds=3")


@pytest.mark.parametrize(
    ("num_ranks", "overrides"),
    [(2, ["uplink.transport=reduce"]), (3, ["uplink.transport=gather", "client.threads=2"])],
)
def test_images_give_the_same_bits_on_any_number_of_ranks(
    alone: Record, tmp_path: Path, num_ranks: int, overrides: list[str]
) -> None:
    found = trained(num_ranks, tmp_path / "a", "server.rounds=3", *overrides)
    assert found.params.tobytes() == alone.params.tobytes()
    for name in ("params_digest", "test_accuracy", "test_brier_score", "train_loss"):
        assert found.log.rounds[name] == alone.log.rounds[name], name


def test_a_killed_run_goes_on_on_five_ranks_with_the_same_bits(
    alone: Record, tmp_path: Path
) -> None:
    (tmp_path / "job.toml").write_text("")
    killed = mpirun(2, "-m", "tests.mpi.killed_run", str(tmp_path / "job.toml"),
                    str(tmp_path / "a"), "2", *SETS, "server.rounds=3",
                    "run.checkpoint_seconds=0.0", limit_s=120)  # fmt: skip
    assert killed.rc != 0
    assert 0 < read_record(tmp_path / "a").checkpoint["round"] < 3
    found = trained(5, tmp_path / "a", "server.rounds=3", resume=True)
    assert found.params.tobytes() == alone.params.tobytes()
    assert found.log.rounds["params_digest"] == alone.log.rounds["params_digest"]
    assert dict(zip(*found.layout, strict=True))["hidden1.variance"] == (4, 6)
    assert found.clients["group"].tolist() == [f"form {k}" for k in range(10)]


OWN_NORMS = (
    "model.norm_federate=local", 'model.hidden=["4c3", ["6c3s2", "6c3"], "p2", 12]',
    "uplink.noise=0.3", "partition.kind=dirichlet-capped", "partition.num_clients=6",
)  # fmt: skip
POOLED = (
    "model.norm_variance=pooled", "model.norm_freeze_after=1", "model.residual=spike-add",
    'model.hidden=["4c3", ["6c3s2", "6c3"], "p2", 12]',
)  # fmt: skip


def test_norms_that_stay_go_on_after_a_stop_and_are_not_in_the_global_parameters(
    tmp_path: Path,
) -> None:
    """With noise on what arrives, by either transport; a client's norms lie in its memory."""
    alone = trained(1, tmp_path / "a", "server.rounds=2", *OWN_NORMS)
    trained(2, tmp_path / "b", "server.rounds=1", "uplink.transport=reduce", *OWN_NORMS)
    assert (tmp_path / "b" / "memory-1.npy").exists()
    found = trained(3, tmp_path / "b", "server.rounds=2", "uplink.transport=gather", *OWN_NORMS,
                    resume=True)  # fmt: skip
    assert found.params.tobytes() == alone.params.tobytes()
    assert found.log.rounds["params_digest"] == alone.log.rounds["params_digest"]
    ends = np.cumsum([int(np.prod(shape)) for shape in found.layout[1]])
    parts = dict(zip(found.layout[0], np.split(found.params, ends[:-1]), strict=True))
    assert (parts["hidden1.scale"] == 1).all()
    assert (parts["hidden1.variance"] == 1).all()
    assert (parts["hidden2.shortcut.mean"] == 0).all()
    sent = sum(int(np.prod(shape)) for name, shape in zip(*found.layout, strict=True)
               if name.endswith(("input", "readout")))  # fmt: skip
    assert max(found.log.rounds["uplink_values"]) <= 6 * sent


def test_pooled_variances_and_added_spikes_give_the_same_bits(tmp_path: Path) -> None:
    alone = trained(1, tmp_path / "a", "server.rounds=2", *POOLED)
    found = trained(3, tmp_path / "b", "server.rounds=2", "uplink.transport=gather", *POOLED)
    assert found.params.tobytes() == alone.params.tobytes()
