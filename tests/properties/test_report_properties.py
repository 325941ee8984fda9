"""Pareto fronts and budget lines hold for any numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcfed.report.figures.tradeoff import budget_line
from hpcfed.report.grid import expected_values
from hpcfed.report.page import embedded
from hpcfed.report.statistics import pareto_front
from hpcfed.report.tables import field
from hpcfed.report.values import value_text

numbers = st.one_of(st.integers(0, 5), st.floats(0, 10), st.just(float("nan")))
grids = st.lists(st.floats(0, 0.999), min_size=2, max_size=6, unique=True).map(sorted)


@given(st.lists(st.tuples(numbers, numbers), max_size=30))
def test_the_front_dominates_the_rest_and_no_one_dominates_it(
    points: list[tuple[float, float]],
) -> None:
    costs, gains = [p[0] for p in points], [p[1] for p in points]
    front = pareto_front(costs, gains)

    def dominates(a: tuple[float, float], b: tuple[float, float]) -> bool:
        return a[0] <= b[0] and a[1] >= b[1] and a != b

    known = [p for p in points if not np.isnan(p).any()]
    for point, is_front in zip(points, front, strict=True):
        if np.isnan(point).any():
            assert not is_front
        else:
            assert is_front == (not any(dominates(other, point) for other in known))


@given(grids, grids, st.floats(1e-3, 1))
def test_a_budget_line_keeps_its_budget_and_its_place(
    masks: list[float], drops: list[float], level: float
) -> None:
    full = expected_values(0, 0.0, 7, 100)
    for x, y, p, q in budget_line(level, masks, drops, 50):
        assert expected_values(p, q, 7, 100) == pytest.approx(level * full, rel=1e-6)
        assert p == pytest.approx(np.interp(x, range(len(masks)), masks))
        assert q == pytest.approx(np.interp(y, range(len(drops)), drops), abs=1e-9)


@given(grids, grids, st.data())
def test_a_budget_line_passes_through_the_cells_of_its_budget(
    masks: list[float], drops: list[float], data: st.DataObject
) -> None:
    i = data.draw(st.integers(0, len(masks) - 1))
    j = data.draw(st.integers(0, len(drops) - 1))
    level = (1 - masks[i]) * (1 - drops[j])
    line = budget_line(level, masks, drops, 50)
    at = [(x, y) for x, y, _, _ in line if x == i]
    assert at
    assert np.interp(at[0][1], range(len(drops)), drops) == pytest.approx(drops[j], abs=1e-9)


@given(st.floats(allow_nan=False))
def test_a_number_reads_back_from_a_table_unchanged(value: float) -> None:
    assert float(field(value)) == value


@given(st.text())
def test_text_in_the_page_never_ends_its_script(text: str) -> None:
    shown = embedded({"name": text})
    assert not set("<>&") & set(shown)
    assert value_text(text) == text
