"""What a learning rule is: how its trainer is made, what its clients exchange, what it measures.

A rule of your own is a value ``RULE = Rule(...)`` in a module of yours, named by
``rule.kind = "module:RULE"``; what it needs to be told stands in ``[rule.own]``. P parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.dotted import resolve
from hpcfed.config import Experiment
from hpcfed.config.rule import BACKPROP, BAYES, GLM, LOCAL, STDP, STRAIGHT_THROUGH, WTA
from hpcfed.errors import InputError
from hpcfed.learning.trainer import Trainer
from hpcfed.networks.layout import Layout
from hpcfed.records.schema import FIGURE, PARTICIPATION_FIELDS, ROUND_FIELDS, Field
from hpcfed.samples.samples import Shape

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Initial = Callable[[Experiment, Layout], F32]

# imported when used: a rule's libraries are heavy
RULES = {
    BACKPROP: "hpcfed.learning.engines:BACKPROP",
    STRAIGHT_THROUGH: "hpcfed.learning.rules.binary:rule",
    BAYES: "hpcfed.learning.rules.binary:rule",
    LOCAL: "hpcfed.learning.rules.local:RULE",
    GLM: "hpcfed.learning.rules.circuit:rule",
    WTA: "hpcfed.learning.rules.circuit:rule",
    STDP: "hpcfed.learning.rules.stdp:RULE",
}


@dataclass(frozen=True)
class Exchange:
    """What a client sends, and what the root makes of it.

    Attributes:
        sends: "update": what training changed, which the server steps along; "value": what training
            arrived at, which is put in the parameters' place. It holds for the parts that masks may
            thin out; parts that are sent whole are always updates.
        value: for "value": from the mean (P,) float64 of what arrived, the number of clients that
            sent it and the parameters (P,) float32 that they had received to new parameters (P,);
            None: the mean itself.
        memory: float32 numbers that each client keeps between its rounds (``Client.memory``).
    """

    sends: Literal["update", "value"] = "update"
    value: Callable[[F64, int, F32], F64] | None = None
    memory: int = 0


@dataclass(frozen=True)
class Figure:
    """A number that training gives for each client and round (``LocalUpdate.figures``).

    The run file has it as a column of its rounds: the mean over accepted clients, by samples.
    """

    name: str
    unit: str
    meaning: str


@dataclass(frozen=True)
class Rule:
    """A learning rule.

    Attributes:
        trainer: makes the trainer of an experiment between input and classes, on a device.
        exchange: what travels.
        figures: what it measures besides loss and rate.
        initial: gives the first parameters (P,) float32 of an experiment and its layout; None:
            ``model.init`` draws them.
        device: gives the device of the rank that is number so-and-so on its host.
    """

    trainer: Callable[[Experiment, Shape, str], Trainer]
    exchange: Exchange = Exchange()
    figures: tuple[Figure, ...] = ()
    initial: Initial | None = None
    device: Callable[[Experiment, int], str] = lambda experiment, local_rank: "cpu"

    def columns(self) -> dict[str, Field]:
        """Return its figures as columns of a run file. Raises InputError for a name in use."""
        taken = {*ROUND_FIELDS, *PARTICIPATION_FIELDS, "participation", "participated"}
        for name in (names := [figure.name for figure in self.figures]):
            if name in taken or not name.isidentifier() or names.count(name) > 1:
                raise InputError(
                    f'rule.kind: a figure cannot have the name "{name}"; expected a word of its own'
                )
        return {f.name: (FIGURE, f.unit, f.meaning) for f in self.figures}


def rule_of(experiment: Experiment) -> Rule:
    """Return the experiment's rule. Raises InputError if the user's own cannot be imported."""
    kind = experiment.learning_rule.kind
    rule = resolve(RULES.get(kind, kind), "rule.kind", "Rule")
    if kind in RULES and not isinstance(rule, Rule):
        rule = rule(experiment)
    if not isinstance(rule, Rule):
        raise InputError(
            f'rule.kind = "{kind}": it is {type(rule).__name__}, expected a hpcfed.Rule'
        )
    return rule
