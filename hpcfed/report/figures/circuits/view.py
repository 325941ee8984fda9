"""The units of a run as its pictures see them: their names, and their parameters.

H hidden units and K outputs make U = H + K units, each of C values; J units and inputs are seen by
them; B bases, P parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.config.rule import CIRCUITS, GLM, CircuitConfig
from hpcfed.errors import InputError
from hpcfed.report.drawing import told_apart
from hpcfed.report.figures.view import View

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hpcfed.config.tree import Value

F64 = NDArray[np.float64]

KERNEL, BIAS = "kernel", "bias"
_TABLE = "rule.circuit."
_LONGEST_NAME = 14


@dataclass(frozen=True)
class Units:
    """What the units of a run are.

    Attributes:
        settings: the run's ``[rule.circuit]``, with defaults.
        num_values: C.
        num_hidden: H.
        names: (U,) of the units, hidden ones first; an output has its class's name.
        sources: (J,) of what they see: inputs, hidden units, and outputs if they see each other.
    """

    settings: CircuitConfig
    num_values: int
    num_hidden: int
    names: list[str]
    sources: list[str]

    @property
    def num_outputs(self) -> int:
        """K."""
        return len(self.names) - self.num_hidden


def is_circuit(keys: Mapping[str, Value]) -> bool:
    """Say whether a configuration is of probabilistic units."""
    return keys.get("rule.kind") in CIRCUITS


def settings_of(keys: Mapping[str, Value]) -> CircuitConfig:
    """Return ``[rule.circuit]`` of a configuration, given or not."""
    given = {key.removeprefix(_TABLE): v for key, v in keys.items() if key.startswith(_TABLE)}
    return CircuitConfig(**given)


def has_units(view: View) -> bool:
    """Say whether the run has learned by probabilistic units."""
    return is_circuit(view.keys) and {KERNEL, BIAS} <= set(view.record.layout[0])


def units_of(view: View) -> Units:
    """Return what the units are. Raises InputError for runs of other rules."""
    if not has_units(view):
        kinds = " and ".join(f'"{kind}"' for kind in CIRCUITS)
        raise InputError(f"{view.name}: units with probabilities are of rule.kind = {kinds}")
    settings = settings_of(view.keys)
    values = 1 if view.keys["rule.kind"] == GLM else settings.values or 2
    shapes = dict(zip(*view.record.layout, strict=True))
    (_, rows, lines), hidden = shapes[KERNEL], settings.hidden
    outputs = rows // values - hidden
    classes = view.classes or [f"output {place}" for place in range(outputs)]
    hidden_names = [f"hidden {place}" for place in range(hidden)]
    output_names = told_apart(classes, _LONGEST_NAME, 1)
    seen = [*hidden_names, *(output_names if settings.lateral else [])]
    inputs = [f"input {place}" for place in range(lines // values - len(seen))]
    return Units(settings, values, hidden, [*hidden_names, *output_names], [*inputs, *seen])


def parameters(view: View) -> tuple[dict[str, F64], dict[str, F64]]:
    """Return the parameters before training and after it, by part.

    Kernels are (B, U C, J C), NaN where there is no synapse: these begin at 0 and stay there.
    Raises InputError for runs of other rules, and for parameters that are no numbers.
    """
    units_of(view)
    if not np.isfinite(view.record.params).all():
        raise InputError(f"{view.name}: some parameters are no numbers: the run has diverged")
    start = settings_of(view.keys).start
    trained = np.asarray(view.record.params, np.float64)
    uniforms = Stream(int(view.keys["seed"]), Purpose.INITIAL_WEIGHTS).uniforms(len(trained))
    first = (start * (2 * uniforms - 1)).astype(np.float32).astype(np.float64)
    before, after = (_split(view, params) for params in (first, trained))
    missing = (after[KERNEL] == 0).all(axis=0)
    for parts in (before, after):
        parts[KERNEL][:, missing] = np.nan
    return before, after


def base_rate(view: View) -> float:
    """Return the accuracy of always saying the commonest class; NaN without an evaluation."""
    confusion = view.record.evaluation.get("confusion")
    if confusion is None or not confusion.sum():
        return float("nan")
    return float(confusion.sum(1).max() / confusion.sum())


def _split(view: View, params: F64) -> dict[str, F64]:
    found, start = {}, 0
    for name, shape in zip(*view.record.layout, strict=True):
        end = start + int(np.prod(shape))
        found[name] = params[start:end].reshape(shape).copy()
        start = end
    return found
