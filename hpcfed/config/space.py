"""The space of a search: keys of the experiment, their ranges, and points as numbers in a cube.

A point is a table of dotted keys. As numbers it is u (D,) in [0, 1], one coordinate for each key in
the file's order: linear, or linear in the logarithm; whole numbers and choices are cells of equal
size. A key that another key's value switches off is not in the point, and its coordinate is 1/2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import TopologicalSorter
from itertools import pairwise
from typing import Any  # Any: values of an experiment's keys are of any TOML type

import numpy as np
from numpy.typing import NDArray

from hpcfed.config.tables import Point

F64 = NDArray[np.float64]

MIDDLE = 0.5
_DIGITS = 6  # of a number that is not whole: what a file is readable with


@dataclass(frozen=True)
class Parameter:
    """One key of the space.

    Attributes:
        low, high: of a number, both included.
        is_whole, is_log: how it lies between them.
        choices: its values where it is no number; nothing else counts then.
        when: keys of the space and the values of theirs with which this one is switched on.
    """

    key: str
    low: float = 0.0
    high: float = 1.0
    is_whole: bool = False
    is_log: bool = False
    choices: tuple[Any, ...] = ()
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    @property
    def is_discrete(self) -> bool:
        """Whether its coordinate falls into cells."""
        return self.is_whole or bool(self.choices)

    def value(self, unit: float) -> Any:
        """Return the value at a coordinate."""
        if self.choices:
            return self.choices[min(int(unit * len(self.choices)), len(self.choices) - 1)]
        low, high = self._ends
        found = low + unit * (high - low)
        found = math.exp(found) if self.is_log else found
        if self.is_whole:
            return int(min(max(math.floor(found + 0.5), self.low), self.high))
        return min(max(float(f"{found:.{_DIGITS}g}"), self.low), self.high)

    def unit(self, value: Any) -> float:
        """Return the coordinate of a value, the middle of its cell. Raises ValueError outside."""
        if self.choices:
            if value not in self.choices:
                raise ValueError(f"{self.key} is never {value!r}")
            return (self.choices.index(value) + 0.5) / len(self.choices)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        inside = is_number and self.low <= value <= self.high
        if not inside or (self.is_whole and value != int(value)):
            raise ValueError(f"{self.key} is never {value!r}")
        low, high = self._ends
        return ((math.log(value) if self.is_log else value) - low) / (high - low)

    def __str__(self) -> str:
        """Return the key and its range as people read them."""
        kind = "whole numbers, " if self.is_whole else ""
        kind += "logarithmic, " if self.is_log else ""
        span = f"{kind}{self.low:g} to {self.high:g}"
        text = f"{self.key}: {', '.join(map(str, self.choices)) if self.choices else span}"
        for key, values in self.when.items():
            text += f", when {key} is {' or '.join(map(str, values))}"
        return text

    @property
    def _ends(self) -> tuple[float, float]:
        """The ends of the coordinate; half a whole number further, so that all cells are whole."""
        half = 0.5 if self.is_whole else 0.0
        low, high = self.low - half, self.high + half
        return (math.log(low), math.log(high)) if self.is_log else (low, high)


@dataclass(frozen=True)
class Space:
    """All keys of a search, D of them."""

    parameters: tuple[Parameter, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(parameter.key for parameter in self.parameters)

    @property
    def is_conditional(self) -> bool:
        """Whether some keys are switched on by others."""
        return any(parameter.when for parameter in self.parameters)

    @cached_property
    def _in_order(self) -> tuple[Parameter, ...]:
        """All keys, each after those that switch it on."""
        by_key = {parameter.key: parameter for parameter in self.parameters}
        return tuple(by_key[key] for key in order_of_keys(self.parameters))

    def point(self, unit: F64) -> Point:
        """Return the point at coordinates (D,)."""
        coordinates = dict(zip(self.keys, unit.tolist(), strict=True))
        return self.point_by(lambda parameter: parameter.value(coordinates[parameter.key]))

    def point_by(self, choose: Callable[[Parameter], Any]) -> Point:
        """Return the point of the values that ``choose`` gives to the keys that are on."""
        found: Point = {}
        for parameter in self._in_order:
            if _is_on(parameter, found):
                found[parameter.key] = choose(parameter)
        return {key: found[key] for key in self.keys if key in found}

    def unit(self, point: Point) -> F64:
        """Return a point's coordinates (D,). Raises ValueError for a point outside."""
        found = np.full(len(self.parameters), MIDDLE)
        rest = set(point)
        for place, parameter in enumerate(self.parameters):
            if _is_on(parameter, point):
                if parameter.key not in point:
                    raise ValueError(f"{parameter.key} is missing")
                found[place] = parameter.unit(point[parameter.key])
                rest.discard(parameter.key)
        if rest:
            raise ValueError(f"{sorted(rest)[0]} is switched off, or no key of the space")
        return found

    def snapped(self, unit: F64) -> F64:
        """Return the coordinates (D,) of the point at ``unit``: what the experiment really gets."""
        return self.unit(self.point(unit))

    def snap_all(self, units: F64) -> F64:
        """Return coordinates (n, D) moved to the cells' middles, as ``snapped`` does for one.

        Numbers that are not whole are left as they are.
        """
        found = units.copy()
        for place, parameter in enumerate(self.parameters):
            if parameter.is_discrete:
                column = (parameter.unit(parameter.value(u)) for u in units[:, place].tolist())
                found[:, place] = np.fromiter(column, np.float64, len(units))
        if self.is_conditional:
            return np.array([self.snapped(unit) for unit in found])
        return found

    @cached_property
    def columns(self) -> tuple[slice, ...]:
        """Which features (F,) are those of each key."""
        widths = [len(p.choices) if len(p.choices) > 2 else 1 for p in self.parameters]
        ends = np.cumsum([0, *widths]).tolist()
        return tuple(slice(a, b) for a, b in pairwise(ends))

    def features(self, units: F64) -> F64:
        """Return (n, F): coordinates (n, D), a column for each choice of those that are no number.

        A choice that is taken is 1, the others are 0; so none lies between two others.
        """
        columns = []
        for place, parameter in enumerate(self.parameters):
            column = units[:, place]
            if len(parameter.choices) < 3:
                columns.append(column[:, None])
            else:
                number = len(parameter.choices)
                index = np.minimum((column * number).astype(int), number - 1)
                is_off = column[:, None] == MIDDLE if parameter.when else False
                columns.append(np.where(is_off, MIDDLE, np.eye(number)[index]))
        return np.concatenate(columns, 1)

    @cached_property
    def corners(self) -> tuple[Point, ...]:
        """For each key its least and its largest value, or each choice, the others in the middle.

        What switches it on is as it must be.
        """
        found = []
        for place, parameter in enumerate(self.parameters):
            ends = parameter.choices or (parameter.value(0.0), parameter.value(1.0))
            for value in ends:
                unit = np.full(len(self.parameters), MIDDLE)
                unit[place] = parameter.unit(value)
                self._switch_on(parameter, unit)
                found.append(self.point(unit))
        return tuple(found)

    def _switch_on(self, parameter: Parameter, unit: F64) -> None:
        for key, values in parameter.when.items():
            place = self.keys.index(key)
            unit[place] = self.parameters[place].unit(values[0])
            self._switch_on(self.parameters[place], unit)


def order_of_keys(parameters: Sequence[Parameter]) -> list[str]:
    """Return the keys, each after those that switch it on. Raises CycleError where none can."""
    sorter = TopologicalSorter({p.key: tuple(p.when) for p in parameters})
    return list(sorter.static_order())


def _is_on(parameter: Parameter, point: Mapping[str, Any]) -> bool:
    return all(k in point and point[k] in values for k, values in parameter.when.items())
