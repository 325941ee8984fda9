"""The GPU that is missing, shared, full, or gone: one clear message, or going on with less."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gpu_place import DEVICE
from tiny_events import patterns
from triton.runtime.errors import OutOfResources

from hpcfed.clients.population import Client
from hpcfed.config import Experiment
from hpcfed.errors import InputError, StoppedRunError
from hpcfed.learning.engines import device_of_rank, make_trainer, resolve_engine
from hpcfed.learning.gpu import training as gpu_training
from hpcfed.learning.gpu.device import using
from hpcfed.learning.gpu.graph import Graphs
from hpcfed.learning.gpu.launch import Launch
from hpcfed.learning.gpu.training import GpuTrainer
from hpcfed.learning.model import TrainedModel
from hpcfed.networks.layout import initial_params
from hpcfed.samples.samples import Shape


def experiment(**model: object) -> Experiment:
    return Experiment.model_validate(
        {
            "data": {"duration": 0.03, "num_bins": 3},
            "model": {"hidden": [5], "tau_syn": 0.02} | model,
            "client": {"engine": "gpu", "batch_size": 4, "optimizer": "sgd"},
        }
    )


@pytest.fixture
def no_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch, no_interpreter: None) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


# --- which device ---------------------------------------------------------------------------------


def test_ranks_of_a_host_share_its_gpus_in_turn(two_gpus: None) -> None:
    found = [device_of_rank(experiment(), local_rank) for local_rank in range(5)]
    assert found == ["cuda:0", "cuda:1", "cuda:0", "cuda:1", "cuda:0"]


def test_the_interpreter_works_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert device_of_rank(experiment(), 0) == "cpu"


def test_without_a_gpu_the_engine_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, no_interpreter: None
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=r'finds no GPU .*set client\.engine = "auto"'):
        device_of_rank(experiment(), 0)


def test_hidden_gpus_are_named_as_the_reason(
    monkeypatch: pytest.MonkeyPatch, no_interpreter: None
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    with pytest.raises(InputError, match="CUDA_VISIBLE_DEVICES=-1"):
        device_of_rank(experiment(), 0)


def test_without_triton_the_engine_says_what_to_install() -> None:
    code = """
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name == "triton" else find(name)
from hpcfed.config import Experiment
from hpcfed.errors import InputError
from hpcfed.learning.engines import device_of_rank
try:
    device_of_rank(Experiment.model_validate({"client": {"engine": "gpu"}}), 0)
except InputError as error:
    print(error)
"""
    ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "hpcfed[gpu]" in ended.stdout


def test_other_engines_import_no_triton() -> None:
    code = """
import sys
from hpcfed.config import Experiment
from hpcfed.learning.engines import device_of_rank, make_trainer
from hpcfed.samples.samples import Shape
for engine in ("event", "norse"):
    settings = Experiment.model_validate({"client": {"engine": engine}})
    make_trainer(settings, Shape((5,), 3))
    device_of_rank(settings, 0)
print("triton" in sys.modules)
"""
    ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ended.stdout == "False\n"


@pytest.mark.parametrize(
    ("model", "lack"),
    [
        ({"kind": "ann"}, r'model\.kind = "ann"'),
        ({"surrogate": "circ"}, r'model\.surrogate = "circ"'),
        ({"hidden": [100, 257]}, "hidden layer of 257 neurons, only up to 256"),
    ],
)
def test_what_the_engine_lacks_is_refused(model: dict[str, object], lack: str) -> None:
    with pytest.raises(InputError, match=rf'client\.engine = "gpu" has no {lack}; set'):
        resolve_engine(experiment(**model))
    assert resolve_engine(experiment(hidden=[256])) == "gpu"


def test_a_trained_model_can_be_looked_at_without_a_gpu(no_interpreter: None) -> None:
    settings, events = experiment(), patterns(8, num_bins=3)
    layout = GpuTrainer(settings, Shape((20,), 4)).layout
    model = TrainedModel(settings, layout, initial_params(settings.model, layout, 0))
    on_cpu = settings.model_copy(
        update={"client": settings.client.model_copy(update={"engine": "event"})}
    )
    expected = make_trainer(on_cpu, Shape((20,), 4)).evaluate(model.params, events, np.arange(8))
    assert model.predict(events).tolist() == expected.predictions.tolist()


# --- out of memory --------------------------------------------------------------------------------


def clients(count: int) -> list[Client]:
    return [Client(k, np.arange(k, k + 3)) for k in range(count)]


def train(trainer: GpuTrainer, count: int) -> list[bytes]:
    params = initial_params(experiment().model, trainer.layout, 0)
    updates = trainer.train(params, patterns(20, num_bins=3), clients(count), 0)
    return [np.asarray(update.delta).tobytes() for update in updates]


def full_beyond(monkeypatch: pytest.MonkeyPatch, most: int) -> list[int]:
    """Let work space for more than ``most`` clients be too large; return the sizes tried."""
    make, tried = gpu_training.make_work, []

    def make_work(plan, experiment, size, packed, learn, device=None):
        if device is None or device.type != "meta":
            tried.append(size.clients)
            if size.clients > most:
                raise torch.OutOfMemoryError("CUDA out of memory")
        return make(plan, experiment, size, packed, learn, device)

    monkeypatch.setattr(gpu_training, "make_work", make_work)
    return tried


def test_out_of_memory_halves_the_group_goes_on_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected = train(GpuTrainer(experiment(), Shape((20,), 4), DEVICE), 9)
    tried = full_beyond(monkeypatch, 2)
    trainer = GpuTrainer(experiment(), Shape((20,), 4), DEVICE, most_clients=8)
    with caplog.at_level(logging.WARNING, "hpcfed"):
        assert train(trainer, 9) == expected
    assert tried == [8, 4, 2]
    assert [record.getMessage().partition("memory ")[2] for record in caplog.records] == [
        "with 8 clients at once; going on with 4", "with 4 clients at once; going on with 2",
    ]  # fmt: skip
    assert train(trainer, 9) == expected
    assert tried == [8, 4, 2]


def test_halving_begins_with_the_clients_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = full_beyond(monkeypatch, 2)
    train(GpuTrainer(experiment(), Shape((20,), 4), DEVICE, most_clients=4000), 9)
    assert tried == [9, 4, 2]


def test_out_of_memory_in_the_middle_of_a_round_repeats_only_the_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = train(GpuTrainer(experiment(), Shape((20,), 4), DEVICE), 9)
    run, calls = Graphs.run, []

    def sometimes(self, work, packed, num_steps, launches):
        calls.append(work.size.clients)
        run(self, work, packed, num_steps, launches)
        if len(calls) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Graphs, "run", sometimes)
    assert train(GpuTrainer(experiment(), Shape((20,), 4), DEVICE, most_clients=4), 9) == expected
    assert calls == [4, 4, 2, 2, 2]


def test_a_single_client_that_does_not_fit_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    full_beyond(monkeypatch, 0)
    with pytest.raises(StoppedRunError, match=r"out of memory with a single client; lower"):
        train(GpuTrainer(experiment(), Shape((20,), 4), DEVICE, most_clients=2), 3)


def test_groups_are_as_large_as_free_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_training, "usable_bytes", lambda device: 200_000)
    tried = full_beyond(monkeypatch, 100)
    train(GpuTrainer(experiment(), Shape((20,), 4), DEVICE), 40)
    (size,) = tried
    assert 1 < size < 40
    work = GpuTrainer(experiment(), Shape((20,), 4), DEVICE, most_clients=size)
    train(work, 40)
    assert work._training is not None
    assert 200_000 * size / (size + 1) * 0.9 < work._training.num_bytes < 200_000 * 1.1


# --- graphs ---------------------------------------------------------------------------------------


def test_a_training_runs_once_then_is_captured_for_each_number_of_steps_and_replayed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stand-in for a CUDA graph: what starts while it captures is kept, and done at a replay."""
    done: list[int] = []
    kept: list[list[int]] = []

    class Graph:
        def __init__(self) -> None:
            self.steps: list[int] = []
            kept.append(self.steps)

        def replay(self) -> None:
            done.extend(self.steps)

    @contextmanager
    def graph(target: Graph) -> Iterator[None]:
        before = len(done)
        yield
        target.steps.extend(done[before:])
        del done[before:]

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    graphs, packed = Graphs(), SimpleNamespace()
    weights = SimpleNamespace(device=torch.device("cuda:0"))
    one, other = SimpleNamespace(weights=weights), SimpleNamespace(weights=weights)

    def started(work: object, num_steps: int) -> list[int]:
        done.clear()
        launches = [[SimpleNamespace(run=partial(done.append, step))] for step in range(9)]
        graphs.run(work, packed, num_steps, lambda step: launches[step])
        return list(done)

    assert started(one, 2) == [0, 1]
    assert kept == []
    assert started(one, 3) == started(one, 3) == [0, 1, 2]
    assert started(one, 2) == [0, 1]
    assert kept == [[0, 1, 2], [0, 1]]
    assert started(other, 3) == [0, 1, 2]
    assert len(kept) == 2
    assert started(other, 3) == [0, 1, 2]
    assert len(kept) == 3


# --- a GPU that vanishes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    ["CUDA error: unspecified launch failure\nCompile with ...", "Triton Error [CUDA]: no device"],
)
def test_a_gpu_that_vanishes_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError(message)

    monkeypatch.setattr(Graphs, "run", fail)
    with pytest.raises(StoppedRunError, match=r"the GPU .* failed \(.*\); see .*--resume") as found:
        train(GpuTrainer(experiment(), Shape((20,), 4), DEVICE), 2)
    assert message.splitlines()[0] in str(found.value)
    assert "Compile with" not in str(found.value)


def test_a_gpu_too_small_for_a_kernel_is_one_clear_error() -> None:
    class TooLarge:
        def __getitem__(self, grid: tuple[int, ...]) -> object:
            raise OutOfResources(106496, 101376, "shared memory")

        __name__ = "forward"

    with pytest.raises(InputError, match=r"kernel forward does not fit .*106496.*A100"):
        Launch(TooLarge(), (1,), (), {}).run()


def test_a_batch_beyond_what_kernels_count_is_refused() -> None:
    trainer = GpuTrainer(experiment(hidden=[5, 200]), Shape((20,), 4), DEVICE)
    params = np.zeros(trainer.layout.size, np.float32)
    samples = np.zeros(3_000_000, np.int64)
    with pytest.raises(InputError, match=r"3000000 samples x 3 bins x 256 neurons .*batch_size"):
        trainer.evaluate(params, patterns(4, num_bins=3), samples)


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="a mistake of ours"), using(torch.device("cpu")):
        raise RuntimeError("a mistake of ours")
