"""SCBO: constrained Bayesian optimisation in a trust region, by BoTorch's Gaussian processes.

Eriksson and Poloczek 2021 (arXiv 2002.08526): one process for what is minimised and one for each
constraint, each Matern 5/2 with a length scale a feature; one joint draw of all of them over
candidates in the region (Thompson sampling) orders the candidates: feasible ones by value, the
others by the sum of what they violate. The region's centre is the best feasible point, else the one
that violates least. Constraints enter as sign(c) log(1 + |c|). Points whose runs have no result yet
are added at the posterior mean. n observations, D keys, F features, Q candidates.

A fit that fails is tried with more noise, then left out; a process that cannot be asked at all is
replaced by the candidates as they come. Either is said.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any  # Any: BoTorch's classes without types

import numpy as np
from numpy.typing import NDArray

from hpcfed.config.space import Space
from hpcfed.sweep.search.data import Data
from hpcfed.sweep.search.design import word
from hpcfed.sweep.search.region import Region, fold

if TYPE_CHECKING:
    import torch

F64 = NDArray[np.float64]

MOST_POINTS = 1000  # exact processes are too slow beyond; the nearest to the centre are taken
_FEWEST_CANDIDATES, _MOST_CANDIDATES, _CANDIDATES_A_KEY = 1000, 2000, 100
_CHANGED = 20  # keys that a candidate changes at a time, on average, where there are more
_NOISE = ((1e-8, 1e-3), (1e-6, 1.0))  # variance, of standardised values; the second try's
_LENGTH_SCALES = (0.005, 4.0)
_MOST_STEPS = 60  # of the optimiser of a fit


@dataclass(frozen=True)
class Ordered:
    """Candidates (Q, D), the best first; the region, and what went wrong, "" where nothing did."""

    candidates: F64
    region: Region
    fallback: str


@dataclass
class Fits:
    """The last fits, kept while the observations are the same: a proposal of the same batch."""

    key: tuple[int, ...] = ()
    models: list[_Model] = field(default_factory=list)
    fallback: str = ""


@dataclass(frozen=True)
class _Model:
    """A process over standardised targets: z = (y - mean) / scale."""

    process: Any
    mean: float
    scale: float


def ordered(space: Space, data: Data, seed: int, number: int, fits: Fits) -> Ordered:
    """Return candidates for proposal ``number``. Deterministic, on one kind of processor."""
    import torch

    region = fold(data.judged, len(space.parameters))
    centre = _centre(data)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums in one order
    try:
        with torch.random.fork_rng(devices=()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.manual_seed(word(seed, number, 2))
            _fit(space, data, centre, fits)
            found = _candidates(space, centre, region, fits.models, word(seed, number, 1))
            try:
                return Ordered(_by_draw(space, data, found, fits.models), region, fits.fallback)
            except _numerical_errors() as error:
                text = f"no draw ({type(error).__name__}): candidates of the region as they come"
                return Ordered(found, region, "; ".join(filter(None, (fits.fallback, text))))
    finally:
        torch.set_num_threads(threads)


def _numerical_errors() -> tuple[type[Exception], ...]:
    """Return what libraries raise over hopeless numbers."""
    import torch
    from botorch.exceptions.errors import BotorchError, ModelFittingError
    from linear_operator.utils.errors import NanError, NotPSDError

    return BotorchError, ModelFittingError, NanError, NotPSDError, torch.linalg.LinAlgError  # type: ignore[attr-defined]


def bilog(values: F64) -> F64:
    """Return sign(c) log(1 + |c|): fine around 0, where feasibility is decided."""
    return np.asarray(np.sign(values) * np.log1p(np.abs(values)), np.float64)


def _centre(data: Data) -> F64:
    value = np.where(np.isfinite(data.values[:, 0]), data.values[:, 0], np.inf)
    violation = np.log1p(np.maximum(data.violations, 0.0)).sum(1)
    violation = np.where(np.isfinite(value), violation, np.maximum(violation, 1.0))
    best = np.lexsort((np.array(data.numbers), value, violation))[0]
    return np.asarray(data.units[best], np.float64)


def _fit(space: Space, data: Data, centre: F64, fits: Fits) -> None:
    """Fit one process to what is minimised and one to each constraint, unless that is done."""
    if fits.key == data.numbers and fits.models:
        return
    near = np.argsort(((data.units - centre) ** 2).sum(1), kind="stable")[:MOST_POINTS]
    near = np.sort(near)
    features = space.features(data.units)[near]
    fits.models, fits.fallback = [], ""
    for target in (data.values[:, 0], *bilog(data.violations).T):
        model, said = _fitted(features, target[near])
        fits.models.append(model)
        fits.fallback = fits.fallback or said
    fits.key = data.numbers


def _fitted(features: F64, target: F64) -> tuple[_Model, str]:
    """Return a process for ``target`` (n,) at ``features`` (n, F), and what went wrong."""
    known = np.isfinite(target)
    x, y = features[known], target[known]
    mean, scale = (float(y.mean()), float(y.std()) or 1.0) if len(y) else (0.0, 1.0)
    if len(y) == 0:
        x, y = features[:1], np.zeros(1)
    z = (y - mean) / scale
    said = ""
    for noise in _NOISE:
        process = _process(x, z, noise)
        try:
            _learn(process)
        except _numerical_errors() as error:
            said = f"fit failed ({type(error).__name__})"
            continue
        return _Model(process, mean, scale), said and f"{said}, again with more noise"
    return _Model(_process(x, z, _NOISE[-1]), mean, scale), f"{said}: process not fitted"


def _process(x: F64, z: F64, noise: tuple[float, float]) -> Any:
    import torch
    from botorch.models import SingleTaskGP
    from gpytorch.constraints import Interval
    from gpytorch.kernels import MaternKernel, ScaleKernel
    from gpytorch.likelihoods import GaussianLikelihood

    scales = Interval(*_LENGTH_SCALES)
    kernel = MaternKernel(nu=2.5, ard_num_dims=x.shape[1], lengthscale_constraint=scales)
    return SingleTaskGP(
        torch.from_numpy(x),
        torch.from_numpy(z[:, None].copy()),
        likelihood=GaussianLikelihood(noise_constraint=Interval(*noise)),
        covar_module=ScaleKernel(kernel),
        outcome_transform=None,
    )


def _learn(process: Any) -> None:
    from botorch.fit import fit_gpytorch_mll
    from gpytorch.mlls import ExactMarginalLogLikelihood

    fit_gpytorch_mll(
        ExactMarginalLogLikelihood(process.likelihood, process),
        optimizer_kwargs={"options": {"maxiter": _MOST_STEPS}},
    )


def _candidates(
    space: Space, centre: F64, region: Region, models: Sequence[_Model], seed: int
) -> F64:
    """Return (Q, D) points of the region, each with some of the centre's keys changed."""
    from scipy.stats import qmc

    num_keys = len(centre)
    number = min(max(_FEWEST_CANDIDATES, _CANDIDATES_A_KEY * num_keys), _MOST_CANDIDATES)
    half = region.length * _sides(space, models) / 2
    low, high = np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)
    drawn = qmc.Sobol(2 * num_keys + 1, rng=seed).random_base2(math.ceil(math.log2(number)))
    moved = low + drawn[:number, :num_keys] * (high - low)
    changed = drawn[:number, num_keys : 2 * num_keys] < min(_CHANGED / num_keys, 1.0)
    one = (drawn[:number, -1] * num_keys).astype(int)
    changed[np.arange(number), one] = True
    for place, parameter in enumerate(space.parameters):
        if parameter.choices:  # none lies nearer than another
            moved[:, place] = drawn[:number, place]
    units = np.where(changed, moved, centre)
    return space.snap_all(units)


def _sides(space: Space, models: Sequence[_Model]) -> F64:
    """Return (D,) sides of a region of length 1: by the length scales of what is minimised."""
    scales = models[0].process.covar_module.base_kernel.lengthscale.detach().numpy().ravel()
    widths = np.array([scales[columns].mean() for columns in space.columns])
    widths = widths / widths.mean()
    return np.asarray(widths / np.exp(np.log(widths).mean()), np.float64)


def _by_draw(space: Space, data: Data, candidates: F64, models: Sequence[_Model]) -> F64:
    """Return the candidates, in the order of one joint draw of all processes."""
    import torch

    x = torch.from_numpy(space.features(candidates))
    pending = torch.from_numpy(space.features(data.pending)) if len(data.pending) else None
    drawn = [_draw(model, x, pending) for model in models]
    violation = sum((np.maximum(draw, 0.0) for draw in drawn[1:]), np.zeros(len(candidates)))
    return np.asarray(candidates[np.lexsort((drawn[0], violation))], np.float64)


def _draw(model: _Model, x: torch.Tensor, pending: torch.Tensor | None) -> F64:
    """Return one draw (Q,) of a process at features ``x`` (Q, F), in the units of its target."""
    import torch

    process = model.process
    process.eval()
    with torch.no_grad():
        if pending is not None:
            process = _with_pending(process, pending)
        z = process.posterior(x).rsample(torch.Size([]))[:, 0]
    return np.asarray(z.numpy() * model.scale + model.mean, np.float64)


def _with_pending(process: Any, pending: torch.Tensor) -> Any:
    """Return the process as it would be if ``pending`` (m, F) had turned out as it expects."""
    import torch

    mean = process.posterior(pending).mean
    x = torch.cat([process.train_inputs[0], pending])
    z = torch.cat([process.train_targets, mean[:, 0]])
    noise = process.likelihood.noise_covar.raw_noise_constraint
    more = _process(x.numpy(), z.numpy(), (float(noise.lower_bound), float(noise.upper_bound)))
    more.load_state_dict(process.state_dict())
    more.eval()
    return more
