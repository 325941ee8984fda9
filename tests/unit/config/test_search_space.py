"""The space of a search: values and coordinates, whole numbers, choices, conditions, bad input."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcfed.config.ranges import read_space
from hpcfed.config.space import MIDDLE, Space
from hpcfed.errors import InputError

KEYS = ("a", "b", "c", "d", "e")


def space(**table: Any) -> Space:
    return read_space(table, KEYS, "s")


MIXED = space(
    a={"float": [-1, 3]},
    b={"log": [1e-4, 1e-1]},
    c={"int": [8, 256], "log": True},
    d=["lif", "alif", [3, 4]],
    e={"log": [0.02, 2], "when": {"d": "alif"}},
)


def test_ends_and_middles_of_a_range_are_its_own() -> None:
    assert MIXED.point(np.array([0, 0, 0, 0.0, 0])) == {"a": -1, "b": 1e-4, "c": 8, "d": "lif"}
    assert MIXED.point(np.array([1, 1, 1, 0.5, 1])) == {
        "a": 3, "b": 0.1, "c": 256, "d": "alif", "e": 2
    }  # fmt: skip
    middle = MIXED.point(np.full(5, 0.5))
    assert (middle["a"], middle["d"]) == (1.0, "alif")
    assert middle["b"] == pytest.approx(math.sqrt(1e-5), rel=1e-5)  # the geometric mean
    assert middle["e"] == pytest.approx(0.2)


def test_every_whole_number_has_the_same_part_of_a_linear_range() -> None:
    found = space(a={"int": [2, 5]})
    numbers = [found.point(np.array([u]))["a"] for u in np.linspace(0.001, 0.999, 400)]
    assert {n: numbers.count(n) for n in set(numbers)} == {2: 100, 3: 100, 4: 100, 5: 100}


@given(st.lists(st.floats(0, 1), min_size=5, max_size=5))
def test_coordinates_of_a_point_give_the_point_again(unit: list[float]) -> None:
    point = MIXED.point(np.array(unit))
    again = MIXED.unit(point)
    assert MIXED.point(again) == point
    assert ((again >= 0) & (again <= 1)).all()
    assert MIXED.snap_all(again[None])[0].tolist() == pytest.approx(again.tolist(), abs=1e-5)


def test_a_key_that_is_switched_off_is_not_in_the_point_and_lies_in_the_middle() -> None:
    assert "e" not in MIXED.point(np.array([0.1, 0.1, 0.1, 0.1, 0.9]))
    assert MIXED.unit({"a": 0, "b": 1e-3, "c": 9, "d": "lif"})[4] == MIDDLE


@pytest.mark.parametrize(
    "point",
    [
        {"a": 4, "b": 1e-3, "c": 9, "d": "lif"},  # beyond the range
        {"a": 0, "b": 1e-3, "c": 9.5, "d": "lif"},  # not whole
        {"a": True, "b": 1e-3, "c": 9, "d": "lif"},
        {"a": 0, "b": 1e-3, "c": 9, "d": "if"},  # no choice
        {"a": 0, "b": 1e-3, "c": 9},  # a key is missing
        {"a": 0, "b": 1e-3, "c": 9, "d": "lif", "e": 1.0},  # switched off
        {"a": 0, "b": 1e-3, "c": 9, "d": "alif"},  # switched on, and missing
    ],
)
def test_a_point_outside_has_no_coordinates(point: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"is never|is missing|is switched off"):
        MIXED.unit(point)


def test_three_choices_lie_equally_far_from_each_other() -> None:
    units = np.array([MIXED.unit({"a": 0, "b": 1e-3, "c": 9, "d": d}) for d in ("lif", [3, 4])])
    features = MIXED.features(units)
    assert features.shape == (2, 7)
    assert features[:, MIXED.columns[3]].tolist() == [[1, 0, 0], [0, 0, 1]]
    assert features[:, MIXED.columns[0]].tolist() == [[0.25], [0.25]]


def test_corners_hold_both_ends_of_each_range_and_what_switches_it_on() -> None:
    corners = MIXED.corners
    assert len(corners) == 2 + 2 + 2 + 3 + 2
    assert {corner["d"] for corner in corners if corner.get("e") in (0.02, 2)} == {"alif"}
    assert {-1, 3} <= {corner["a"] for corner in corners}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "expected a key with its range"),
        ({"z": {"float": [0, 1]}}, "s z: no such key of an experiment"),
        ({"a": 3}, r"s a: expected a range, as \{ float = \[0, 1\] \}"),
        ({"a": {"float": [1, 1]}}, r"s a: expected \[least, largest\], found \[1.0, 1.0\]"),
        ({"a": {"log": [0, 1]}}, "s a: a logarithm begins above 0"),
        ({"a": {"float": [0, 1], "int": [0, 1]}}, "s a: expected one of float, log, int"),
        ({"a": {"int": [0.5, 2]}}, "s a: int"),
        ({"a": {"range": [0, 1]}}, "s a: range: unknown key"),
        ({"a": []}, "s a: choices"),
        ({"a": ["x", "x"]}, "s a: a choice is there twice"),
        ({"a": {"float": [0, 1], "when": {"b": 1}}}, "s a: when: b is not in the space"),
        ({"a": ["x"], "b": {"float": [0, 1], "when": {"a": "y"}}}, "s b: when: a is never 'y'"),
        (
            {"a": {"choices": ["x"], "when": {"b": "y"}}, "b": {"choices": ["y"],
             "when": {"a": "x"}}},
            "s a: when: keys switch each other on",
        ),
    ],
)  # fmt: skip
def test_a_bad_range_is_one_clear_error(table: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_space(table, KEYS, "s")
