"""The GPU engine for images against torch's autograd, layer by layer and in whole trainings.

Without a GPU Triton's interpreter runs the kernels: tiny sizes, convolutions on the CPU.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from gpu_place import DEVICE
from numpy.testing import assert_array_equal
from tiny_images import images, settings
from torch import Tensor

from hpcfed.clients.population import Client
from hpcfed.config import Experiment, ModelConfig
from hpcfed.config.file import digest, parse_experiment
from hpcfed.errors import InputError, StoppedRunError
from hpcfed.federation.footprint import training_bytes
from hpcfed.learning.engines import make_trainer, resolve_engine
from hpcfed.learning.feed import feed
from hpcfed.learning.gpu.images.feed import BATCH, Batch, Resident
from hpcfed.learning.gpu.images.kernels import LayerKernels
from hpcfed.learning.gpu.images.precision import products_in
from hpcfed.learning.gpu.images.step import Buffers, Step, StepGraphs
from hpcfed.learning.gpu.images.training import ImageGpuTrainer
from hpcfed.learning.gpu.launch import Launch
from hpcfed.learning.model import TrainedModel
from hpcfed.learning.silence import limits
from hpcfed.learning.trainer import LocalUpdate
from hpcfed.networks.contract import Pass
from hpcfed.networks.firing import fired
from hpcfed.networks.layout import initial_params
from hpcfed.networks.neurons import Neurons
from hpcfed.networks.norms import Norm, norm
from hpcfed.samples.images import ImageSet
from hpcfed.samples.samples import shape_of

DEVICE_OF = torch.device(DEVICE)
MODEL = {"hidden": ["6c3"], "neuron": "leaky", "surrogate": "triangle", "surrogate_slope": 0.7}


def model_of(**tables: object) -> ModelConfig:
    return ModelConfig.model_validate(MODEL | tables)


# --- one layer, the same flowing in ---------------------------------------------------------------


def layer(
    model: ModelConfig, shape: tuple[int, ...], kernels: LayerKernels | None
) -> tuple[Tensor, list[Tensor]]:
    """Return the spikes of a normed layer that x (T, B, C, ...) flows into, and its gradients.

    Of x, and of the norm's scale, shift and factor.
    """
    rng = np.random.default_rng(0)
    num_bins, _, channels, *_ = shape
    rows = (*shape[:2], *shape[3:], channels)
    device = "cpu" if kernels is None else DEVICE

    def leaf(values: np.ndarray) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=device).requires_grad_()

    x = leaf(2 * rng.standard_normal(rows) + 0.3)
    flowing, found = x.movedim(-1, 2), None
    own = (num_bins, channels) if model.norm == "bntt" else (channels,)
    weights = {
        "a.scale": leaf(rng.uniform(0.5, 1.5, own)),
        "a.shift": leaf(rng.uniform(-0.5, 0.5, own)),
        "a.factor": leaf(rng.uniform(0.5, 1.5, num_bins)),
        "a.mean": leaf(np.zeros(own)),
        "a.variance": leaf(np.ones(own)),
    }
    if model.norm != "none":
        found = norm(model, "a", weights, flowing, Pass(learn=True, kernels=kernels))
    spikes, flags = fired(Neurons(model, 0.01), flowing, found, kernels)
    assert_array_equal(flags.cpu(), spikes.detach().cpu() > 0)
    received = torch.tensor(rng.standard_normal(shape), dtype=torch.float32, device=device)
    (spikes * received).sum().backward()
    leaves = [x, *weights.values()]
    return spikes.detach().cpu(), [one.grad.cpu() for one in leaves if one.grad is not None]


def assert_same_layer(
    model: ModelConfig, shape: tuple[int, ...], potentials: torch.dtype, tolerance: float
) -> None:
    spikes, expected = layer(model, shape, None)
    fires, found = layer(model, shape, LayerKernels(model, torch.float32, potentials))
    assert_array_equal(fires, spikes)
    assert 0.01 < spikes.mean() < 0.6
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max()


@pytest.mark.parametrize("kind", ["bntt", "batch", "tebn", "group", "none"])
@pytest.mark.parametrize("potentials", [torch.float32, torch.bfloat16], ids=str)
def test_a_layer_of_any_norm_has_the_spikes_and_gradients_of_autograd(
    kind: str, potentials: torch.dtype
) -> None:
    """Potentials of bfloat16 move no spike: the forward pass does not see them."""
    tolerance = 1e-5 if potentials == torch.float32 else 0.03
    assert_same_layer(model_of(norm=kind), (5, 3, 6, 4, 3), potentials, tolerance)


@pytest.mark.parametrize(
    "tables",
    [
        {"reset": "zero", "surrogate": "superspike", "surrogate_scale": 0.3},
        {"reset": "none", "leak": 0.8},
        {"reset_gradient": "full"},
        {"reset": "zero", "reset_gradient": "full", "threshold": 0.7},
        {"fire_first": True, "norm": "batch"},
        {"fire_first": True, "reset": "zero", "reset_gradient": "full"},
    ],
    ids=str,
)
def test_neurons_of_any_reset_have_the_spikes_and_gradients_of_autograd(
    tables: dict[str, object],
) -> None:
    model = model_of(**{"norm": "bntt"} | tables)
    assert_same_layer(model, (6, 4, 3, 2, 2), torch.float32, 1e-5)


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((1, 5, 7, 3, 2), id="one bin"),
        pytest.param((4, 6, 3, 1, 1), id="one pixel"),
        pytest.param((3, 4, 1, 2, 3), id="one channel"),
        pytest.param((3, 9, 70), id="dense, 70 neurons"),
        pytest.param((2, 30, 3, 5, 19), id="rows beyond a tile"),
    ],
)
def test_odd_sizes_agree_as_well(shape: tuple[int, ...]) -> None:
    assert_same_layer(model_of(norm="bntt"), shape, torch.float32, 1e-5)


def test_a_potential_kept_in_bfloat16_stays_on_its_side_of_the_threshold() -> None:
    """Beside 1 lie 1 - 2^-8 and 1 + 2^-7; a GPU rounds to the nearest, the interpreter down."""
    kernels = LayerKernels(model_of(threshold=1.0, leak=1.0), torch.float32, torch.bfloat16)
    x = torch.tensor([0.999, 1.0, 1.001, 1.5, -3.0], device=DEVICE).view(1, 5, 1)
    one, zero = torch.ones(1, 1, 1, device=DEVICE), torch.zeros(1, 1, 1, device=DEVICE)
    spikes, _, potentials = kernels.fire(x, one, zero)
    assert spikes.flatten().tolist() == [0, 0, 1, 1, 0]
    kept = potentials.flatten().float().tolist()
    assert kept[0] in (1 - 2**-8, 1.0)
    assert kept[1:] == [1.0, 1 + 2**-7, 1.5, -3.0]


def test_a_gain_of_zero_leaves_gradients_finite() -> None:
    model = model_of()
    kernels = LayerKernels(model, torch.float32, torch.float32)
    x = torch.ones(2, 3, 2, device=DEVICE, requires_grad=True)
    found = Norm(torch.zeros(2, 1, 2, device=DEVICE), torch.ones(2, 1, 2, device=DEVICE))
    found.gain.requires_grad_()
    spikes, _ = fired(Neurons(model, 0.01), x, found, kernels)
    spikes.sum().backward()
    assert x.grad is not None
    assert found.gain.grad is not None
    assert x.grad.tolist() == torch.zeros(2, 3, 2).tolist()
    assert found.gain.grad.tolist() == torch.zeros(2, 1, 2).tolist()


@pytest.mark.parametrize("groups", [0, 2])
def test_mean_and_variance_are_those_of_float64_whatever_the_mean(groups: int) -> None:
    """2090 rows of a channel, in tiles of 512, about a mean a hundred times their spread."""
    rng = np.random.default_rng(1)
    x = torch.tensor(rng.standard_normal((2, 22, 5, 19, 6)) + 100, dtype=torch.float32)
    wide = x.double().movedim(-1, 2)
    kernels = LayerKernels(model_of(), torch.float32, torch.float32)
    mean, variance = kernels.moments(x.to(DEVICE).movedim(-1, 2), groups)
    if groups:
        wide, axes = wide.unflatten(2, (2, 3)), (3, 4, 5)
    else:
        axes = (1, 3, 4)
    shape = (2, 22, 2) if groups else (2, 1, 6)
    expected = wide.mean(axes).view(shape), wide.var(axes, correction=0).view(shape)
    torch.testing.assert_close(mean.cpu().double(), expected[0], rtol=1e-6, atol=0)
    torch.testing.assert_close(variance.cpu().double(), expected[1], rtol=1e-5, atol=0)


# --- what is shown --------------------------------------------------------------------------------


def shown(experiment: Experiment, some: ImageSet, client: Client) -> Iterator[np.ndarray]:
    resident = Resident.of(experiment, some, DEVICE_OF, torch.float32)
    for _, told in resident.steps(client, 2):
        there = Batch(*(getattr(told, name).to(DEVICE) for name in BATCH))
        launch, found = resident.launch(there, learn=True)
        launch.run()
        yield found.cpu().numpy()


@pytest.mark.parametrize("shape", [(3, 6, 5), (1, 1, 1)])
@pytest.mark.parametrize("encoder", ["signed-poisson", "poisson", "direct", None])
def test_images_are_shown_and_augmented_as_on_a_cpu_bit_for_bit(
    encoder: str | None, shape: tuple[int, int, int]
) -> None:
    data: dict[str, object] = {"encoder": encoder}
    if encoder != "poisson":
        data |= {"crop_padding": 2, "flip": encoder != "direct"}
    experiment, some = settings("gpu", data=data), images(9, shape)
    client = Client(3, np.array([8, 1, 2, 7, 0, 5]))
    expected = [inputs for _, inputs in feed(experiment, some).steps(client, 2)]
    found = list(shown(experiment, some, client))
    assert len(expected) == 4
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.tobytes() == theirs.tobytes()
    resident = Resident.of(experiment, some, DEVICE_OF, torch.float32)
    ids = np.array([4, 0, 8])
    evaluated = feed(experiment, some).batch(ids)
    assert resident.batch(ids).cpu().numpy().tobytes() == evaluated.tobytes()


# --- whole local trainings ------------------------------------------------------------------------

TRAININGS: dict[str, dict[str, dict[str, object]]] = {
    "bntt, all of the optimiser": {
        "data": {"crop_padding": 1, "flip": True},
        "client": {"clip_norm": 1.0, "weight_decay": 0.01, "proximal": 0.1},
    },
    "adam, local statistics, maximum pool": {
        "model": {"hidden": ["6c3", "m2", 9], "norm": "batch", "norm_federate": "affine"},
        "client": {"optimizer": "adam", "momentum": None, "learning_rate": 0.01},
    },
    "groups, residual blocks, rate penalties": {
        "model": {"hidden": ["4c3", ["4c3", "4c3"], "p"], "norm": "group"},
        "client": {"rate_lower": 0.2, "rate_upper": 0.3, "epochs": 1},
    },
    "spikes added, separable, frozen": {
        "model": {
            "hidden": [["4c3", "4x3s2"], 5], "residual": "spike-add", "norm": "tebn",
            "norm_freeze_after": 1, "norm_shift": True,
        },
    },
    "no norm, dense alone": {"model": {"hidden": [7, 5], "norm": "none"}},
}  # fmt: skip


def trainer(experiment: Experiment, some: ImageSet) -> ImageGpuTrainer:
    return ImageGpuTrainer(experiment, shape_of(some), DEVICE)


def start(experiment: Experiment, some: ImageSet) -> np.ndarray:
    layout = make_trainer(settings("norse", model=_model(experiment)), shape_of(some)).layout
    params = initial_params(experiment.model, layout, 0)
    params.setflags(write=False)
    return params


def _model(experiment: Experiment) -> dict[str, object]:
    return experiment.model.model_dump(exclude_none=True)


def clients() -> list[Client]:
    return [Client(3, np.arange(7)), Client(1, np.arange(5, 9))]


@pytest.mark.parametrize("name", TRAININGS)
def test_local_training_gives_the_norse_engines_updates(name: str) -> None:
    some, tables = images(9), TRAININGS[name]
    ours, theirs = settings("gpu", **tables), settings("norse", **tables)
    params, reference = start(ours, some), make_trainer(theirs, shape_of(some))
    mine = list(trainer(ours, some).train(params, some, clients(), 2))
    expected = list(reference.train(params, some, clients(), 2))
    for update, other in zip(mine, expected, strict=True):
        delta, wanted = np.asarray(update.delta), np.asarray(other.delta)
        assert delta.dtype == np.float32
        assert np.linalg.norm(wanted) > 0.01
        assert np.linalg.norm(delta - wanted) <= 1e-4 * np.linalg.norm(wanted)
        assert update.loss == pytest.approx(other.loss, rel=1e-6)
        assert update.hidden_rate == pytest.approx(other.hidden_rate, rel=1e-9)
        assert update.activity is not None
        assert other.activity is not None
        assert_array_equal(update.activity, other.activity)
        assert update.local is not None
        assert other.local is not None
        np.testing.assert_allclose(update.local, other.local, rtol=1e-4, atol=1e-6)


def test_a_client_goes_on_with_its_own_statistics_and_learns_of_a_teacher() -> None:
    tables = {
        "model": {"hidden": ["4c3"], "norm": "batch", "norm_federate": "local"},
        "client": {"teacher": "run.h5", "teacher_weight": 0.7, "teacher_temperature": 2.0},
    }
    plain = images(9)
    logits = np.random.default_rng(3).standard_normal((9, 3)).astype(np.float32)
    some = ImageSet(**{**vars(plain), "teacher": logits})
    ours, theirs = settings("gpu", **tables), settings("norse", **tables)
    params, reference = start(ours, some), make_trainer(theirs, shape_of(some))
    local = np.linspace(0.5, 1.5, reference.layout.size - reference.layout.num_shared)
    client = Client(2, np.arange(6), local=local.astype(np.float32))
    (mine,), (expected,) = (
        list(one.train(params, some, [client], 0)) for one in (trainer(ours, some), reference)
    )
    np.testing.assert_allclose(np.asarray(mine.delta), expected.delta, rtol=1e-3, atol=1e-5)
    assert mine.local is not None
    assert expected.local is not None
    np.testing.assert_allclose(mine.local, expected.local, rtol=1e-4, atol=1e-6)
    assert mine.loss == pytest.approx(expected.loss, rel=1e-6)


def test_evaluation_is_the_norse_engines() -> None:
    some, ids = images(9), np.array([8, 3, 4, 0, 1])
    ours, theirs = settings("gpu"), settings("norse")
    params, reference = start(ours, some), make_trainer(theirs, shape_of(some))
    found = trainer(ours, some)
    mine, expected = (one.evaluate(params, some, ids) for one in (found, reference))
    np.testing.assert_allclose(mine.losses, expected.losses, rtol=1e-5)
    for name in ("predictions", "spikes", "neurons", "entering"):
        assert_array_equal(getattr(mine, name), getattr(expected, name), err_msg=name)
    rasters = zip(
        found.hidden_spikes(params, some, ids), reference.hidden_spikes(params, some, ids),
        strict=True,
    )  # fmt: skip
    for layer_of_ours, other in rasters:
        assert_array_equal(layer_of_ours, other)
    assert found.products == reference.products  # type: ignore[attr-defined]
    assert found.operations(0) == reference.operations(0)  # type: ignore[attr-defined]


def bits(updates: list[LocalUpdate]) -> list[tuple[bytes, float]]:
    return [(np.asarray(update.delta).tobytes(), update.loss) for update in updates]


def test_a_clients_bits_do_not_depend_on_what_was_trained_or_evaluated_before() -> None:
    some, experiment = images(9), settings("gpu", client={"epochs": 1})
    params, found = start(experiment, some), trainer(experiment, some)
    together = bits(list(found.train(params, some, clients(), 1)))
    found.evaluate(params, some, np.arange(3))
    backwards = bits(list(found.train(params, some, clients()[::-1], 1)))
    assert together == backwards[::-1]
    assert together[0] != together[1]


# --- precisions -----------------------------------------------------------------------------------


def test_bf16_changes_an_update_a_little_and_potentials_no_spike() -> None:
    some, updates = images(9), {}
    for client in ({}, {"potentials": "bfloat16"}, {"precision": "bf16"}):
        experiment = settings("gpu", client=client | {"epochs": None, "steps": 1})
        found = trainer(experiment, some).train(start(experiment, some), some, clients()[:1], 0)
        updates[tuple(client)] = next(iter(found))
    plain = updates[()]
    for update in updates.values():
        change = np.asarray(update.delta) - plain.delta
        assert np.linalg.norm(change) < 0.1 * np.linalg.norm(plain.delta)
    kept = updates["potentials",]
    assert kept.loss == plain.loss
    assert kept.hidden_rate == plain.hidden_rate
    assert len({np.asarray(update.delta).tobytes() for update in updates.values()}) == 3


@pytest.mark.parametrize(("precision", "rounded"), [("tf32", True), ("fp32", False), (None, False)])
def test_products_are_rounded_as_asked_and_only_while_the_engine_works(
    precision: str | None, rounded: bool
) -> None:
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32, cudnn.deterministic
    with products_in(precision):
        assert (cudnn.allow_tf32, matmul.allow_tf32) == (rounded, rounded)
        assert cudnn.deterministic
        assert not cudnn.benchmark
    assert (cudnn.allow_tf32, matmul.allow_tf32, cudnn.deterministic) == before


def test_each_precision_has_a_digest_of_its_own() -> None:
    base = ["data.dataset=digits", "client.engine=gpu"]
    sets = [
        [], ["client.precision=fp32"], ["client.precision=tf32"], ["client.precision=bf16"],
        ["client.potentials=bfloat16"],
    ]  # fmt: skip
    assert len({digest(parse_experiment("", [*base, *some])) for some in sets}) == len(sets)


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["precision=bf16", "potentials=bfloat16"])
def test_precision_belongs_to_the_gpu_engine_and_to_images(key: str) -> None:
    name = key.partition("=")[0]
    with pytest.raises(InputError, match=f'{name} is for engine = "gpu", and engine = "auto"'):
        parse_experiment("", [f"client.{key}"])
    events = parse_experiment("", [f"client.{key}", "client.engine=gpu"])
    with pytest.raises(InputError, match=rf"has no client\.{name} for events"):
        resolve_engine(events)


@pytest.mark.parametrize(
    ("model", "lack"),
    [
        ({"kind": "ann"}, r'model\.kind = "ann"'),
        ({"neuron": "lif", "readout": "mean"}, r'model\.neuron = "lif" for images'),
        ({"surrogate": "tanh"}, r'model\.surrogate = "tanh" for images'),
        ({"readout": "last"}, r'model\.readout = "last" for images'),
        ({"recurrent": True}, "recurrent weights for images"),
        ({"hidden": ["4c3", ["repeat", "4c3"]]}, "repeated blocks"),
        ({"hidden": ["4c3", "d0.3"]}, "dropout"),
    ],
)
def test_what_the_engine_lacks_for_images_is_refused(model: dict[str, object], lack: str) -> None:
    changed = {"tau_mem": 0.02, "tau_syn": 0.02, "norm": "none"} | model
    if model.get("kind") == "ann":
        changed["neuron"] = "lif"
    if changed.get("neuron", "leaky") != "leaky":
        changed["surrogate"] = "superspike"
    with pytest.raises(
        InputError, match=rf'client\.engine = "gpu" has no {lack}.*; set client\.en'
    ):
        resolve_engine(settings("gpu", model=changed))


def test_images_of_the_tiny_network_are_taken() -> None:
    assert resolve_engine(settings("gpu")) == "gpu"
    assert isinstance(make_trainer(settings("gpu"), shape_of(images(2)), DEVICE), ImageGpuTrainer)


# --- memory and graphs ----------------------------------------------------------------------------


def test_memory_is_said_beforehand_and_less_in_bfloat16() -> None:
    """Potentials of 4 or 2 bytes and a spike's byte of 7 x 30 neurons and 9, for 4 x 8 samples."""
    some = images(2)
    layers = {"model": {"hidden": ["7c3", 9]}}
    plain, half = (
        trainer(settings("gpu", **layers, client=client), some).step_bytes(8)
        for client in ({}, {"precision": "bf16", "potentials": "bfloat16"})
    )
    neurons, entering, widest = 7 * 30 + 9, 3 * 30, 7 * 30
    saved = 32 * (2 * neurons + 2 * entering + 2 * 4 * widest)
    assert plain - half == saved


def test_clients_that_train_in_turn_need_the_memory_of_one() -> None:
    some = images(9)
    needed = []
    for threads in (1, 3):
        experiment = settings("gpu", client={"threads": threads})
        job: Any = SimpleNamespace(
            experiment=experiment, trainer=trainer(experiment, some), num_samples=np.array([9])
        )
        needed.append(training_bytes(job))
    assert needed[0] == needed[1] == trainer(settings("gpu"), some).step_bytes(4)


def test_a_step_of_s_vgg9_in_bf16_is_said_to_take_less_than_1_5_gb() -> None:
    layers = ["64c3", "64c3", "p2", "128c3", "128c3", "p2", "256c3", "256c3", "256c3", "p2", 1024]
    client = {"batch_size": 32, "precision": "bf16", "potentials": "bfloat16"}
    tables = {"model": {"hidden": layers}, "data": {"num_bins": 20, "duration": 0.2}}
    found = trainer(settings("gpu", **tables, client=client), images(1, (3, 32, 32), 10))
    assert 0.6e9 < found.step_bytes(32) < 1.6e9


def test_out_of_memory_stops_the_run_with_what_to_lower(monkeypatch: pytest.MonkeyPatch) -> None:
    some, experiment = images(9), settings("gpu")

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(StepGraphs, "run", full)
    with pytest.raises(StoppedRunError, match=r"is out of memory; lower client\.batch_size"):
        list(trainer(experiment, some).train(start(experiment, some), some, clients(), 0))


def test_a_step_asks_nothing_of_the_host_and_starts_a_few_kernels_a_layer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On tensors without values: one that is read, or that lies on the host, would be an error."""
    started: list[str] = []
    monkeypatch.setattr(Launch, "run", lambda self: started.append(self.kernel.__name__))
    tables = {
        "model": {"hidden": ["6c3", "m2", ["6c3", "6c3"], "p2", 9]},
        "client": {"precision": "bf16", "clip_norm": 1.0, "rate_lower": 0.1, "teacher": "run.h5"},
    }
    experiment, nowhere = settings("gpu", **tables), torch.device("meta")
    some = dataclasses.replace(images(9), teacher=np.zeros((9, 3), np.float32))
    network = trainer(experiment, some)._network
    kernels = dataclasses.replace(LayerKernels.of(experiment), start=Launch.run)
    resident = Resident.of(experiment, some, nowhere, kernels.signals)
    buffers = Buffers.of(network, limits(experiment, network.layers), nowhere)
    shapes = (4,), (4, 5), (4,), (5,), (1,)
    batch = Batch(*(torch.zeros(shape, dtype=torch.int64, device=nowhere) for shape in shapes))
    call = Pass(learn=True, rates=True)
    network = dataclasses.replace(network, kernels=kernels)
    Step(experiment, network, resident, buffers, batch, call).take()
    layer_of = ["measure", "join", "fire"]
    with_norm, without = ["fire_back", "add_inflow"], ["fire_back"]  # a block's sum has none
    back = with_norm + without + 2 * with_norm
    assert started == ["show", *4 * layer_of, *back, "squares", "optimise"]


def test_a_step_is_run_once_then_captured_and_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for a CUDA graph: what is done while it captures is kept, and done at replays."""
    done: list[str] = []

    class Graph:
        def __init__(self) -> None:
            self.kept: list[str] = []

        def replay(self) -> None:
            done.extend(self.kept)

    @contextmanager
    def capture(target: Graph, pool: object) -> Iterator[None]:
        assert pool == "pool"
        before = len(done)
        yield
        target.kept = done[before:]
        del done[before:]
        captured.append(target)

    captured: list[Graph] = []
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", capture)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: "pool")
    graphs, gpu = StepGraphs(), torch.device("cuda:0")
    for kind in ("a", "a", "b", "a"):
        graphs.run(kind, gpu, lambda kind=kind: done.append(kind))  # type: ignore[misc]
    assert done == ["a", "a", "b", "a"]
    assert len(captured) == 1
    graphs.clear()
    graphs.run("a", gpu, lambda: done.append("again"))
    assert done[-1] == "again"


def test_a_trained_model_can_be_looked_at_without_a_gpu() -> None:
    some, experiment = images(9), settings("gpu", client={"precision": "bf16"})
    params = start(experiment, some)
    model = TrainedModel(experiment, trainer(experiment, some).layout, params)
    reference = make_trainer(settings("norse"), shape_of(some))
    expected = reference.evaluate(params, some, np.arange(9))
    assert_array_equal(model.predict(some), expected.predictions)
