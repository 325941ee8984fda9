"""From the table [search.space] to the space: the range of each key, and when it is switched on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import CycleError
from typing import Annotated, Any  # Any: values of an experiment's keys are of any TOML type

from pydantic import Field

from hpcfed.config import Section
from hpcfed.config.space import Parameter, Space, order_of_keys
from hpcfed.config.tables import Table, checked
from hpcfed.errors import InputError


class Range(Section):
    """The table of one key."""

    linear: tuple[float, float] | None = Field(None, alias="float")
    log: tuple[float, float] | bool | None = None
    whole: tuple[int, int] | None = Field(None, alias="int")
    choices: Annotated[tuple[Any, ...] | None, Field(min_length=1)] = None
    when: dict[str, Any] = Field({})


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
    found = checked(Range, table, where)
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
    try:
        order_of_keys(space.parameters)
    except CycleError as error:
        raise InputError(f"{source} {error.args[1][0]}: when: keys switch each other on") from None


def _as_toml(value: Any) -> Any:
    """Return a choice as TOML has it: arrays are lists."""
    return [_as_toml(one) for one in value] if isinstance(value, tuple) else value
