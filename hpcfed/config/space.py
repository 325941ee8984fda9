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
from itertools import pairwise
from typing import Annotated, Any  # Any: values of an experiment's keys are of any TOML type

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hpcfed.config import Section
from hpcfed.config.tables import Point, Table, checked
from hpcfed.errors import InputError

F64 = NDArray[np.float64]

MIDDLE = 0.5
_DIGITS = 6  # of a number that is not whole: what a file is readable with


class _Range(Section):
    """The table of one key."""

    linear: tuple[float, float] | None = Field(None, alias="float")
    log: tuple[float, float] | bool | None = None
    whole: tuple[int, int] | None = Field(None, alias="int")
    choices: Annotated[tuple[Any, ...] | None, Field(min_length=1)] = None
    when: dict[str, Any] = Field({})


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
    def num_values(self) -> float:
        """Different values; infinite for a number that is not whole."""
        if self.choices:
            return len(self.choices)
        return self.high - self.low + 1 if self.is_whole else math.inf

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
    def _in_order(self) -> tuple[int, ...]:
        """The places of all keys, each after those that switch it on."""
        placed: dict[str, int] = {}
        while len(placed) < len(self.parameters):
            found = next(
                (i, p)
                for i, p in enumerate(self.parameters)
                if p.key not in placed and set(p.when) <= set(placed)
            )
            placed[found[1].key] = found[0]
        return tuple(placed.values())

    def point(self, unit: F64) -> Point:
        """Return the point at coordinates (D,)."""
        coordinates = dict(zip(self.keys, unit.tolist(), strict=True))
        return self.point_by(lambda parameter: parameter.value(coordinates[parameter.key]))

    def point_by(self, choose: Callable[[Parameter], Any]) -> Point:
        """Return the point of the values that ``choose`` gives to the keys that are on."""
        found: Point = {}
        for place in self._in_order:
            parameter = self.parameters[place]
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
            if parameter.num_values < math.inf:
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


def read_space(table: Mapping[str, Any], known: Sequence[str], source: str) -> Space:
    """Return the space of a table of dotted keys. Raises InputError naming what is wrong."""
    parameters = []
    for key, given in table.items():
        where = f"{source} {key}"
        if key not in known:
            raise InputError(f"{where}: no such key of an experiment")
        parameters.append(_parameter(key, given, where))
    if not parameters:
        raise InputError(f"{source}: expected a key with its range, as in "
                         '"client.learning_rate" = { log = [1e-4, 1e-1] }')  # fmt: skip
    space = Space(tuple(parameters))
    _check_conditions(space, source)
    return space


def _parameter(key: str, given: object, where: str) -> Parameter:
    table: Table = {"choices": given} if isinstance(given, list) else given  # type: ignore[assignment]
    if not isinstance(table, dict):
        raise InputError(
            f"{where}: expected a range, as {{ float = [0, 1] }}, {{ log = [1e-4, 1] }} or "
            f"{{ int = [1, 9] }}, or a list of choices, found {given!r}"
        )
    found = checked(_Range, table, where)
    ends = found.whole or found.linear or (found.log if isinstance(found.log, tuple) else None)
    given_ways = [found.whole, found.linear, found.choices]
    ways = sum(way is not None for way in given_ways) + isinstance(found.log, tuple)
    if ways != 1 or (found.log is not None and (found.choices or found.linear)):
        raise InputError(f"{where}: expected one of float, log, int (log = true beside it, or not) "
                         "and choices")  # fmt: skip
    when = {k: tuple(v) if isinstance(v, list | tuple) else (v,) for k, v in found.when.items()}
    if found.choices is not None:
        choices = tuple(_as_toml(choice) for choice in found.choices)
        if any(choice in choices[:i] for i, choice in enumerate(choices)):
            raise InputError(f"{where}: a choice is there twice")
        return Parameter(key, choices=choices, when=when)
    assert ends is not None
    is_log = bool(found.log)
    if not ends[0] < ends[1]:
        raise InputError(f"{where}: expected [least, largest], found {list(ends)}")
    if is_log and ends[0] <= 0:
        raise InputError(f"{where}: a logarithm begins above 0, found {list(ends)}")
    return Parameter(key, float(ends[0]), float(ends[1]), found.whole is not None, is_log, (), when)


def _check_conditions(space: Space, source: str) -> None:
    by_key = {parameter.key: parameter for parameter in space.parameters}
    for parameter in space.parameters:
        for key, values in parameter.when.items():
            other = by_key.get(key)
            if other is None:
                raise InputError(f"{source} {parameter.key}: when: {key} is not in the space")
            for value in values:
                try:
                    other.unit(value)
                except ValueError as error:
                    raise InputError(f"{source} {parameter.key}: when: {error}") from None
    placed: set[str] = set()
    while rest := [p for p in space.parameters if p.key not in placed]:
        ready = [p.key for p in rest if set(p.when) <= placed]
        if not ready:
            raise InputError(f"{source} {rest[0].key}: when: keys switch each other on")
        placed.update(ready)


def _is_on(parameter: Parameter, point: Mapping[str, Any]) -> bool:
    return all(k in point and point[k] in values for k, values in parameter.when.items())


def _as_toml(value: Any) -> Any:
    """Return a choice as TOML has it: arrays are lists."""
    return [_as_toml(one) for one in value] if isinstance(value, tuple) else value
