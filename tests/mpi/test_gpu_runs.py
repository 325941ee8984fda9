"""``hpcfed run --set client.engine=gpu``: as the norse engine's run, and in the same bits anywhere.

On a GPU if there is one, else in Triton's interpreter.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gpu_place import DEVICE

from hpcfed.records.runfile import Record, read_record
from tests.mpi import ways
from tests.mpi.in_turn import Run
from tests.mpi.launch import Ended, mpirun
from tests.shd_files import write_file

pytestmark = [pytest.mark.mpi, pytest.mark.slow]

# a GPU engine in an environment without the interpreter finds the GPU, if any
ENVIRONMENT = {"TRITON_INTERPRET": "1" if DEVICE == "cpu" else "0"}
GPU = ("client.engine=gpu",)
JOB = """
name = "tiny"
[data]
dataset = "{folder}/train.h5"
test = "{folder}/test.h5"
duration = 0.08
num_bins = 8
validation_fraction = 0.0
[model]
hidden = [12]
recurrent = true
tau_mem = 0.02
tau_syn = 0.02
init_scale = 14.0
[client]
optimizer = "sgd"
learning_rate = 0.3
batch_size = 4
[participation]
drop_probability = 0.2
[uplink]
mask = "bernoulli"
mask_probability = 0.5
[server]
rounds = 2
"""
# two clients of the digits, one step each
IMAGES = """
[data]
dataset = "digits"
classes = [0, 1]
num_bins = 2
duration = 0.02
[model]
hidden = ["3c3s2", "p2", 5]
neuron = "leaky"
norm = "bntt"
surrogate = "triangle"
surrogate_slope = 1.0
readout = "current"
init = "xavier"
init_scale = 2.0
[client]
steps = 1
batch_size = 8
optimizer = "sgd"
learning_rate = 0.1
[participation]
clients_per_round = 2
[server]
rounds = 1
"""


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a job of four speakers, 15 training samples and two classes."""
    folder = tmp_path_factory.mktemp("gpu")
    rng = np.random.default_rng(0)
    for name, count in (("train.h5", 15), ("test.h5", 5)):
        labels = rng.integers(0, 2, count)
        units = [np.sort(rng.choice(10, 40) + 10 * label) for label in labels]
        times = [np.sort(rng.uniform(0, 0.08, 40)) for _ in labels]
        write_file(folder / name, times, units, labels=labels, speakers=np.arange(count) % 4)
    path = folder / "job.toml"
    path.write_text(JOB.format(folder=folder))
    return path


@pytest.fixture(scope="module")
def folder(job: Path) -> Path:
    """Return the folder of runs on one rank: of both engines, and one to be resumed."""
    text, folder, norse = job.read_text(), job.parent, ("client.engine=norse",)
    runs = {
        "alone": (text, (*GPU, "uplink.transport=gather")),
        "norse": (text, norse),
        "resumed": (text, (*GPU, "server.rounds=1")),
        "images, one": (IMAGES, GPU),
        "images, norse": (IMAGES, norse),
    }
    ways.train(
        folder, 1, [Run(*run, str(folder / name)) for name, run in runs.items()], ENVIRONMENT
    )
    return folder


@pytest.fixture(scope="module")
def alone(folder: Path) -> Record:
    return read_record(folder / "alone")


@pytest.fixture(scope="module")
def shared(job: Path) -> Ended:
    """Run on two ranks that share the device, by both transports.

    Where MPI says it takes GPU memory, messages go to it as they lie; a CPU's is made to.
    """
    code = f"""
from hpcfed.federation.mpi import transport
from hpcfed.learning.gpu import update as gpu_update
from tests.mpi.in_turn import Run, go
def train(name, *sets, text={job.read_text()!r}):
    go(Run(text, [*{GPU!r}, *sets], {str(job.parent)!r} + "/" + name))
train("together", "uplink.transport=reduce")
train("images, two", "client.potentials=float32", text={IMAGES!r})
joined = gpu_update.GpuUpdate.joined
def told(self, head, others):
    print("messages on the device:", 1 + len(others), flush=True)
    return joined(self, head, others)
gpu_update.GpuUpdate.joined = told
if {DEVICE == "cpu"}:
    transport.takes_gpu_memory = lambda: True
train("direct", "uplink.transport=gather")
"""
    ended = mpirun(2, "-c", code, limit_s=280, environment=ENVIRONMENT)
    assert ended.rc == 0, ended.stderr
    return ended


def test_a_federated_run_is_that_of_the_norse_engine(folder: Path, alone: Record) -> None:
    """Two rounds of masked updates; the parameters moved, and moved to the same place."""
    reference = read_record(folder / "norse")
    ours, theirs = alone.log.rounds, reference.log.rounds
    assert (alone.attributes["engine"], alone.attributes["status"]) == ("gpu", "finished")
    np.testing.assert_array_equal(ours["uplink_values"], theirs["uplink_values"])
    np.testing.assert_allclose(ours["hidden_rate"], theirs["hidden_rate"], rtol=1e-9)
    assert all(0.01 < rate < 0.2 for rate in theirs["hidden_rate"]), theirs["hidden_rate"]
    for name in ("train_loss", "test_loss"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-4)
    assert len({bytes(digest) for digest in ours["params_digest"]}) == 2
    scale = np.abs(reference.params).max()
    np.testing.assert_allclose(alone.params, reference.params, rtol=0, atol=1e-3 * scale)


def test_two_ranks_that_share_the_device_give_the_same_bits(
    folder: Path, alone: Record, shared: Ended
) -> None:
    together = read_record(folder / "together")
    assert together.params.tobytes() == alone.params.tobytes()
    for name in ("params_digest", "train_loss", "test_loss", "hidden_rate"):
        np.testing.assert_array_equal(together.log.rounds[name], alone.log.rounds[name])
    for name, rows in alone.log.rows().items():
        np.testing.assert_array_equal(together.log.rows()[name], rows, err_msg=name)


def test_updates_that_mpi_takes_from_the_device_give_the_same_bits(
    folder: Path, alone: Record, shared: Ended
) -> None:
    assert shared.stdout.count("messages on the device") in ({2} if DEVICE == "cpu" else {0, 2})
    direct = read_record(folder / "direct")
    assert direct.params.tobytes() == alone.params.tobytes()
    for name, rows in alone.log.rows().items():
        np.testing.assert_array_equal(direct.log.rows()[name], rows, err_msg=name)


def test_mpi_is_asked_whether_it_takes_gpu_memory_and_silence_is_a_no() -> None:
    code = """
import ctypes
from types import SimpleNamespace
from hpcfed.federation.mpi.transport import takes_gpu_memory
takes_gpu_memory()
for library in ({"MPIX_Query_cuda_support": lambda: 1}, {"MPIX_Query_cuda_support": lambda: 0}, {}):
    ctypes.CDLL = lambda path: SimpleNamespace(**library)
    print(takes_gpu_memory())
"""
    assert mpirun(1, "-c", code).stdout.split() == ["True", "False", "False"]


def test_a_resumed_run_gives_the_same_bits(folder: Path, job: Path, alone: Record) -> None:
    out = folder / "resumed"
    assert read_record(out).log.num_rounds == 1
    ended = mpirun(
        1, "-m", "hpcfed", "run", str(job), "--out", str(out), "--resume",
        "--set", GPU[0], "--set", "server.rounds=2", limit_s=250, environment=ENVIRONMENT,
    )  # fmt: skip
    assert ended.rc == 0, ended.stderr
    assert read_record(out).params.tobytes() == alone.params.tobytes()


@pytest.mark.skipif(DEVICE != "cpu", reason="there is a GPU")
def test_without_a_gpu_a_run_ends_with_one_message(job: Path) -> None:
    ended = mpirun(
        2, "-m", "hpcfed", "run", str(job), "--out", str(job.parent / "none"),
        "--set", "client.engine=gpu", environment={"TRITON_INTERPRET": "0"},
    )  # fmt: skip
    assert ended.rc == 2
    assert "finds no GPU" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (job.parent / "none").exists()


def test_images_train_in_the_same_bits_on_two_ranks_and_begin_as_norses(
    folder: Path, shared: Ended
) -> None:
    one, norse, two = (read_record(folder / f"images, {name}") for name in ("one", "norse", "two"))
    assert two.params.tobytes() == one.params.tobytes()
    for name in ("train_loss", "hidden_rate"):
        np.testing.assert_allclose(
            one.log.rounds[name], norse.log.rounds[name], rtol=1e-6, err_msg=name
        )
    scale = np.abs(norse.params).max()
    np.testing.assert_allclose(one.params, norse.params, rtol=0, atol=1e-4 * scale)
