"""Records of probabilistic units in which every number that a picture shows is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from run_files import record

from hpcfed.config.file import parse_experiment, to_toml
from hpcfed.records.log import Log
from hpcfed.records.runfile import Record
from hpcfed.records.schema import PARTICIPATION_FIELDS, ROUND_FIELDS
from hpcfed.report.figures.view import View

GLM = ("rule.kind='glm'", "rule.circuit.bases=2", "rule.circuit.window=4", "rule.circuit.width=1.0")
WTA = ("rule.kind='wta'", "rule.circuit.hidden=1", "rule.circuit.lateral=true",
       "rule.circuit.feedback=true", "rule.circuit.bases=2", "rule.circuit.window=4",
       "rule.circuit.width=1.0")  # fmt: skip
ONLINE = ("data.dataset='timing'", "client.optimizer='sgd'", "client.batch_size=1")
FIGURES = {"log_likelihood": ("f8", "nat", "of the targets' spikes")}


@dataclass(frozen=True)
class Rounds:
    """What a run has recorded: a value a round."""

    likelihood: Sequence[float] = (-1.5, -1.0, -0.5)
    accuracy: Sequence[float] = (0.5, 0.625, 0.75)
    groups: Sequence[Sequence[int]] = ()
    participants: Sequence[int] = (2, 2, 2)
    rejected: Sequence[int] = (0, 0, 0)
    others: dict[str, Sequence[float]] = field(default_factory=dict)


def log(rounds: Rounds) -> Log:
    """Return the log of a run with likelihoods."""
    found = Log(FIGURES)
    for index, likelihood in enumerate(rounds.likelihood):
        values: dict[str, Any] = dict.fromkeys(ROUND_FIELDS, 0.0)
        values |= {
            "log_likelihood": likelihood,
            "validation_accuracy": rounds.accuracy[index],
            "test_accuracy": np.nan if index else 0.25,
            "num_participants": rounds.participants[index],
            "num_rejected": rounds.rejected[index],
            "params_digest": f"{index:064d}",
        }
        rows = {name: np.full(2, float(index)) for name in (*PARTICIPATION_FIELDS, *FIGURES)}
        groups = np.array(rounds.groups[index] if rounds.groups else [], np.int64)
        found.append(values, rows | {"client": np.arange(2)}, groups=groups)
    return found


def layout(kernel: tuple[int, ...], feedback: bool = False) -> Any:
    """Return names and shapes of a circuit's parameters."""
    rows = (kernel[1],)
    parts = {"kernel": kernel, **({"feedback": rows} if feedback else {}), "bias": rows}
    return tuple(parts), tuple(parts.values())


def evaluation(hidden: int = 0, **changes: Any) -> dict[str, Any]:
    """Return what is stored of an evaluation: units count no operations of matrices."""
    found = record().evaluation
    for name in ("weights", "operations", "entering", "entering_value"):
        del found[name]
    layers = 1 if hidden else 0
    found |= {"layer": np.arange(layers), "layer_rates": np.full(layers, 0.25),
              "layer_neurons": np.full(layers, hidden)}  # fmt: skip
    if not hidden:
        del found["example_spikes"]["hidden0"]
    return found | changes


def run(
    overrides: Sequence[str] = GLM,
    params: NDArray[Any] | None = None,
    rounds: Rounds | None = None,
    units: dict[str, Any] | None = None,
    **changes: Any,
) -> Record:
    """Return the record of a run: glm has 3 inputs and 2 outputs; wta 2 inputs, 1 hidden unit."""
    wta = overrides[0] == WTA[0]
    parts = layout((2, 6, 10), feedback=True) if wta else layout((2, 2, 3))
    size = sum(int(np.prod(shape)) for shape in parts[1])
    given = np.ones(size) if params is None else params
    fields: dict[str, Any] = {
        "layout": parts,
        "log": log(rounds or Rounds()),
        "params": given.astype(np.float32),
        "evaluation": evaluation(hidden=int(wta)),
    }
    base = record(**(fields | changes))
    toml = to_toml(parse_experiment("", [*ONLINE, *overrides]))
    found = replace(base, attributes=base.attributes | {"config_toml": toml})
    if units is not None:
        found = replace(found, evaluation=found.evaluation | {"example_units": units})
    return found


def view(*args: Any, **changes: Any) -> View:
    """Return the view of ``run``."""
    return View(run(*args, **changes))


def units(
    samples: int, bins: int, num_units: int, values: int, label: Sequence[int] | None = None
) -> dict[str, Any]:
    """Return plausible units of samples: a sine of potential, and spikes as it says."""
    rng = np.random.default_rng(7)
    time = np.linspace(0, 6, bins)[None, :, None]
    shift = rng.uniform(0, 6, (samples, 1, num_units * values))
    potential = 2 * np.sin(time + shift) - 1
    weights = np.exp(potential.reshape(samples, bins, num_units, values))
    cumulated = np.cumsum(weights / (1 + weights.sum(-1, keepdims=True)), -1)
    draws = rng.random((samples, bins, num_units, 1))
    value = np.where(draws[..., 0] < cumulated[..., -1], 1 + (draws > cumulated).sum(-1), 0)
    return {
        "potential": potential.astype(np.float32),
        "probability": cumulated[..., -1].astype(np.float32),
        "value": value.astype(np.uint8),
        "label": np.array(label if label is not None else np.arange(samples) % 2),
    }


def kinds() -> dict[str, tuple[Record, set[str]]]:
    """Return records of all kinds, and the pictures that each has data for."""
    every = {"likelihood", "kernels", "confusion"}
    sends = Rounds(groups=[[2, 0], [1, 1], [0, 2]])
    rng = np.random.default_rng(2)
    wta = rng.normal(size=2 * 6 * 10 + 12)
    many, classes = 20, np.array([f"class {k}" for k in range(20)], object)
    confused = rng.integers(0, 9, (many, many))
    parts = layout((2, 2 * 23, 2 * 29))
    return {
        "glm": (run(), every),
        "glm, one round": (run(rounds=Rounds((-1.0,), (0.5,))), every),
        "glm, groups": (run([*GLM, *SENDS], rounds=sends), every | {"sent"}),
        "glm, units": (run(units=units(2, 30, 2, 1)), every | {"units"}),
        "glm, 60 rounds": (
            run(rounds=Rounds([-1.0] * 60, [0.5] * 60, (), [2] * 60, [0] * 60)), every
        ),
        "wta": (run(WTA, wta, units=units(4, 25, 3, 2)), every | {"units"}),
        "wta, 20 outputs": (
            run(
                [WTA[0], "rule.circuit.hidden=3", *WTA[4:]],
                rng.normal(size=2 * 46 * 58 + 46),
                layout=parts,
                evaluation=evaluation(3, confusion=confused, label=classes, prediction=classes),
                units=units(2, 20, 23, 2, (19, 3)),
            ),
            every | {"units"},
        ),
        "no evaluation": (run(evaluation={}), every - {"confusion"}),
        "no round": (run(rounds=Rounds((), ()), evaluation={}), {"kernels"}),
        "another rule": (replace(record(), log=log(Rounds())), set()),
    }  # fmt: skip


SENDS = ("uplink.mask='groups'", "uplink.groups=1", "server.average='received'")
