"""What keeps little for the way back gives the same as torch's own differentiation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, group_norm, max_pool2d

from hpcfed.config import ModelConfig
from hpcfed.config.stack import Convolution, Pool
from hpcfed.networks import convolution, firing
from hpcfed.networks.contract import Pass
from hpcfed.networks.firing import fired
from hpcfed.networks.neurons import Neurons
from hpcfed.networks.norms import Norm, applied, norm
from hpcfed.networks.passing import highest, mean_of_parts, num_spikes, pooled

T, B, C = 6, 5, 4
LEAKY = {"neuron": "leaky", "surrogate": "triangle", "surrogate_slope": 0.7}


def words(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gradients(model: ModelConfig, norms: int, pixels: tuple[int, ...], small: bool) -> list[Tensor]:
    """Return spikes and the gradients of x, gain and offset."""
    x = (2 * words(T, B, C, *pixels)).requires_grad_()
    found = Norm(
        (1 + 0.3 * words(T, norms, C, seed=1)).requires_grad_(),
        (0.5 + words(T, norms, C, seed=2)).requires_grad_(),
    )
    neurons = Neurons(model, 0.01)
    spikes = fired(neurons, x, found)[0] if small else neurons.spikes(applied(x, found), None)
    (spikes * words(*spikes.shape, seed=3)).sum().backward()
    return [spikes, x.grad, found.gain.grad, found.offset.grad]  # type: ignore[list-item]


@pytest.mark.parametrize("pixels", [(), (3, 2)])
@pytest.mark.parametrize("norms", [1, B])
@pytest.mark.parametrize(
    "settings",
    [
        LEAKY,
        LEAKY | {"reset": "zero", "surrogate_scale": 0.3},
        LEAKY | {"reset": "none", "surrogate": "superspike"},
        LEAKY | {"reset_gradient": "full", "leak": 0.8},
        LEAKY | {"reset_gradient": "full", "reset": "zero"},
        LEAKY | {"fire_first": True},
        LEAKY | {"fire_first": True, "reset_gradient": "full", "reset": "zero"},
        LEAKY | {"surrogate": "tanh"},
        {"neuron": "lif", "reset_gradient": "full"},
        {"neuron": "alif"},
    ],
    ids=str,
)
def test_spikes_and_gradients_are_those_of_the_plain_loop(
    settings: dict[str, object],
    norms: int,
    pixels: tuple[int, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(firing, "_PIECE_BYTES", 2 * C * 8)  # several pieces
    model = ModelConfig.model_validate(settings)
    small, plain = (gradients(model, norms, pixels, kind) for kind in (True, False))
    assert 0.1 < plain[0].mean() < 0.9
    for ours, theirs in zip(small, plain, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


def plainly_normed(model: ModelConfig, weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """Return x (T, B, C, ...) normed by torch's own operations, to be differentiated by torch."""
    scale = weights["a.scale"].reshape(-1, 1, C, *(1,) * (x.dim() - 3))
    if model.norm == "group":
        return scale * group_norm(x.flatten(0, 1), 2, eps=1e-4).view_as(x)
    axes = [axis for axis in range(x.dim()) if axis != 2 and (axis or model.norm != "bntt")]
    centred = x - x.mean(axes, keepdim=True)
    found = scale * centred / (centred.square().mean(axes, keepdim=True) + 1e-4).sqrt()
    if model.norm == "tebn":
        found = found * weights["a.factor"].view(-1, *(1,) * (x.dim() - 1))
    return found


@pytest.mark.parametrize("pixels", [(), (3, 2)])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("kind", ["bntt", "batch", "tebn", "group"])
@pytest.mark.parametrize("neuron", ["leaky", "if", None])
def test_gradients_go_through_the_statistics_of_every_norm(
    neuron: str | None, kind: str, batch: int, pixels: tuple[int, ...]
) -> None:
    """A batch of one is what a client's last samples often are; None: no neurons, as in ANNs."""
    settings = {"norm": kind, "surrogate": "triangle", "neuron": neuron or "lif"}
    model = ModelConfig.model_validate(settings)
    x = words(T, batch, C, *pixels).requires_grad_()
    shape = (T, C) if kind == "bntt" else (C,)
    weights = {"a.scale": (1 + 0.3 * words(*shape, seed=1)).requires_grad_()}
    weights["a.factor"] = (1 + 0.3 * words(T, seed=2)).requires_grad_()
    weights |= {"a.mean": torch.zeros(shape).double(), "a.variance": torch.ones(shape).double()}
    neurons = Neurons(model, 0.01)
    found = norm(model, "a", weights, x, Pass(learn=True))
    plain = plainly_normed(model, weights, x)
    if neuron is None:
        ours, theirs = applied(x, found), plain
    else:
        ours, theirs = fired(neurons, x, found)[0], neurons.spikes(plain, None)
    outer = words(*x.shape, seed=3)
    leaves = [x, weights["a.scale"], *([weights["a.factor"]] if kind == "tebn" else [])]
    for mine, expected in zip(
        torch.autograd.grad((ours * outer).sum(), leaves),
        torch.autograd.grad((theirs * outer).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(mine, expected, rtol=1e-9, atol=1e-9)


def test_single_precision_differs_in_the_last_bits_alone() -> None:
    x = words(T, B, 64, 3, 2).float().requires_grad_()
    neurons = Neurons(ModelConfig.model_validate(LEAKY), 0.01)
    plain = neurons.spikes(x, None)
    ours, flags = fired(neurons, x, None)
    assert torch.equal(ours, plain)
    assert torch.equal(flags, plain.bool())
    assert not flags.requires_grad
    weight = words(*plain.shape, seed=3).float()
    found = [torch.autograd.grad((spikes * weight).sum(), x)[0] for spikes in (ours, plain)]
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("spec", [Convolution(6, 3, 1, 1, 1), Convolution(6, 3, 2, 0, 2)])
@pytest.mark.parametrize("spiking", [True, False])
def test_convolutions_in_pieces_are_convolutions(
    spec: Convolution, spiking: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convolution, "PIECE_BYTES", 4000)
    signal = words(9, 4, 7, 6)
    signal = ((signal > 0.5).double() if spiking else signal).requires_grad_()
    weight = words(6, 4 // spec.groups, 3, 3, seed=1).requires_grad_()
    kept = signal.detach().bool() if spiking else signal
    ours = convolution.convolve(signal, weight, spec, kept)
    plain = conv2d(signal, weight, stride=spec.stride, padding=spec.padding, groups=spec.groups)
    torch.testing.assert_close(ours, plain, rtol=1e-12, atol=1e-12)
    outer = words(*plain.shape, seed=2)
    for mine, theirs in zip(
        torch.autograd.grad((ours * outer).sum(), (signal, weight)),
        torch.autograd.grad((plain * outer).sum(), (signal, weight)),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-10)


def test_average_pools_are_averages_where_rows_are_left_over() -> None:
    signal = words(2, 3, 4, 7, 5).requires_grad_()
    ours, plain = pooled(Pool(False, 2), signal), avg_pool2d(signal.flatten(0, 1), 2)
    torch.testing.assert_close(ours.flatten(0, 1), plain)
    outer = words(*plain.shape, seed=2)
    (mine,) = torch.autograd.grad((ours.flatten(0, 1) * outer).sum(), signal)
    (theirs,) = torch.autograd.grad((plain * outer).sum(), signal)
    torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("size", [2, 3])
def test_average_pools_of_a_gpu_are_those_of_a_cpu(size: int) -> None:
    """Rows and columns are left over."""
    signal = words(6, 3, 7, 5)
    torch.testing.assert_close(mean_of_parts(signal, size), avg_pool2d(signal, size))


@pytest.mark.parametrize(
    "shape", [(2, 3, 8), (2, 3, 9), (4, 2, 16), (2, 3, 5), (600, 2, 4, 3, 2), (300, 1, 3, 3, 3)]
)
def test_spikes_of_samples_are_counted_in_any_shape_and_any_number_of_bins(
    shape: tuple[int, ...],
) -> None:
    spikes = words(*shape) > -0.6
    plain = spikes.flatten(2).sum((0, 2))
    assert torch.equal(num_spikes(spikes), plain)
    assert torch.equal(num_spikes(spikes.contiguous().float()), plain)
    lying = (spikes.movedim(2, 0).contiguous().movedim(0, 2), spikes[:, :, ::2], spikes[:, 1:, 1:])
    for other in lying:
        assert torch.equal(num_spikes(other), other.flatten(2).sum((0, 2)))
    if len(shape) > 3:
        last = spikes.movedim(2, -1).contiguous().movedim(-1, 2)  # as pictures lie
        assert torch.equal(num_spikes(last), plain)


def test_maximum_pools_of_a_gpu_send_gradients_to_the_first_maximum_as_on_a_cpu() -> None:
    """Of spikes most squares have several; rows and columns that are left over get nothing."""
    signal = (words(6, 3, 7, 5) > 0.3).double().requires_grad_()
    ours, plain = highest(signal, 2), max_pool2d(signal, 2)
    assert torch.equal(ours, plain)
    outer = words(*plain.shape, seed=2)
    (mine,) = torch.autograd.grad((ours * outer).sum(), signal)
    (theirs,) = torch.autograd.grad((plain * outer).sum(), signal)
    assert torch.equal(mine, theirs)
