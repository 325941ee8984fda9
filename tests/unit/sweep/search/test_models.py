"""Models against test functions with known optima, and each repair of SCBO by itself.

Thresholds have been settled over three seeds; what takes minutes is benchmarks/search.py.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from botorch.exceptions.errors import ModelFittingError
from botorch.test_functions.synthetic import (
    ConstrainedGramacy,
    PressureVessel,
    WeldedBeamSO,
)

from hpcfed.sweep.search import scbo
from hpcfed.sweep.search.data import Data
from hpcfed.sweep.search.region import FIRST, LEAST, MOST, Judged, Region, fold
from tests.search_world import best, botorch_function, box, limits, search_of, searched

torch.set_num_threads(1)


def least(method: str, problem: type, count: int, seed: int = 0, initial: int = 10) -> float:
    problem = problem()
    num_constraints = problem.num_constraints
    search = search_of(
        box(problem.dim), method=method, seed=seed, constraints=limits(num_constraints),
        initial=initial,
    )  # fmt: skip
    return best(search, searched(search, botorch_function(problem), count))[-1]


def test_tpe_finds_a_constrained_optimum_that_random_points_do_not() -> None:
    assert least("tpe", ConstrainedGramacy, 200) <= 0.63  # optimum 0.5998; random 0.632
    assert least("tpe", PressureVessel, 200) <= 9000  # optimum 5868 here; random 24071


def test_a_gaussian_process_finds_it_in_forty_points() -> None:
    assert least("gp", ConstrainedGramacy, 40) <= 0.605


def test_constraints_of_any_scale_are_met_and_fits_that_fail_are_survived() -> None:
    # constraints of the beam reach from 0.1 to 1e8; random points meet them never
    assert np.isfinite(least("scbo", WeldedBeamSO, 22))
    assert not np.isfinite(least("random", WeldedBeamSO, 22))


def judged(*values: float, violation: float = 0.0) -> list[Judged]:
    return [Judged(value, violation, True) for value in values]


def test_a_region_doubles_after_three_successes_in_a_row() -> None:
    assert fold(judged(9, 8, 7), 2) == Region(MOST)
    assert fold(judged(9, 8), 2) == Region(FIRST, successes=2)
    # a success is better by a thousandth
    assert fold(judged(9, 8.9999, 8, 7.9999), 2).length == FIRST


def test_a_region_is_halved_after_as_many_failures_as_there_are_keys_counted_one_by_one() -> None:
    assert fold(judged(1, *[2] * 4), 2) == Region(FIRST / 2)  # four at least
    assert fold(judged(1, *[2] * 6), 7) == Region(FIRST, failures=6)
    assert fold(judged(1, *[2] * 7), 7) == Region(FIRST / 2)


def test_a_region_that_is_too_small_begins_anew_and_keeps_its_best() -> None:
    halvings = int(np.ceil(np.log2(FIRST / LEAST)))
    region = fold(judged(1, *[2] * (4 * halvings)), 2)
    assert region == Region(restarts=1)
    # what is no better than before the restart is no success
    assert fold(judged(1, *[2] * (4 * halvings), 1.5), 2).failures == 1


def test_a_feasible_point_is_a_success_over_any_infeasible_one() -> None:
    infeasible, feasible = Judged(-9.0, 0.5, True), Judged(5.0, 0.0, True)
    assert fold([infeasible, feasible], 2).successes == 2
    assert fold([feasible, infeasible], 2).failures == 1
    # without a feasible one, less violation is a success, whatever the value
    assert fold([infeasible, Judged(99.0, 0.4, True)], 2).successes == 2


def test_points_of_a_design_do_not_move_the_region() -> None:
    assert fold([Judged(value, 0.0, False) for value in (3, 2, 1)], 2) == Region()


def data(units: list[list[float]], values: list[float], violations: list[list[float]]) -> Data:
    found = np.array(units)
    return Data(
        tuple(range(len(found))), found, np.array(values)[:, None],
        np.array(violations).reshape(len(found), -1), np.zeros((0, found.shape[1])), (),
    )  # fmt: skip


def test_the_centre_is_the_best_feasible_point_not_the_best_of_all() -> None:
    units = [[0.1, 0.1], [0.5, 0.5], [0.9, 0.9]]
    assert scbo._centre(data(units, [0, 5, 4], [[1], [-1], [-1]])).tolist() == [0.9, 0.9]
    # without a feasible one the least violation, each constraint by itself
    least_bad = scbo._centre(data(units, [0, 5, 4], [[0.1, 0.1], [3, -1e9], [0.3, -1]]))
    assert least_bad.tolist() == [0.1, 0.1]
    # what is not known is not the centre
    assert scbo._centre(data(units, [np.nan, 5, 6], [[-1], [-1], [-1]])).tolist() == [0.5, 0.5]


def test_bilog_is_fine_around_nought_and_tames_large_values() -> None:
    found = scbo.bilog(np.array([-1e6, -0.01, 0, 0.01, 1e6]))
    expected = [-np.log1p(1e6), -np.log1p(0.01), 0, np.log1p(0.01), np.log1p(1e6)]
    assert found.tolist() == pytest.approx(expected)


def test_candidates_lie_in_the_region_and_on_the_cells_of_whole_numbers() -> None:
    search = search_of({**box(2), "client.epochs": {"int": [1, 4]}}, method="scbo")
    world = data([[0.5, 0.5, 0.125], [0.1, 0.9, 0.375]], [0, 1], [[-1], [-1]])
    fits = scbo.Fits()
    scbo._fit(search.space, world, np.array([0.5, 0.5, 0.125]), fits)
    centre = np.array([0.5, 0.5, 0.125])
    found = scbo._candidates(search.space, centre, Region(0.25), fits.models, 3)
    half = 0.25 * scbo._sides(search.space, fits.models) / 2
    assert (np.abs(found[:, :2] - centre[:2]) <= half[:2] + 1e-12).all()
    assert set(found[:, 2].round(6)) <= {0.125, 0.375, 0.625, 0.875}
    assert (found != centre).any(1).all()  # each has changed something


def test_a_fit_that_fails_is_said_and_a_proposal_comes_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(process: object) -> None:
        raise ModelFittingError("no")

    monkeypatch.setattr(scbo, "_learn", fail)
    search = search_of(box(2), method="scbo")
    world = data([[0.5, 0.5], [0.1, 0.9], [0.2, 0.3]], [0, 1, 2], [[-1], [1], [1]])
    found = scbo.ordered(search.space, world, 0, 3, scbo.Fits())
    assert found.fallback == "fit failed (ModelFittingError): process not fitted"
    assert len(found.candidates)


def test_pending_points_are_taken_to_turn_out_as_expected() -> None:
    search = search_of(box(1), method="scbo")
    x = np.linspace(0, 1, 9)[:, None]
    world = data(x.tolist(), ((x[:, 0] - 0.4) ** 2).tolist(), [[-1]] * 9)
    fits = scbo.Fits()
    scbo._fit(search.space, world, np.array([0.4]), fits)
    process, at = fits.models[0].process, torch.tensor([[0.31]], dtype=torch.float64)
    process.eval()
    with torch.no_grad():
        told = scbo._with_pending(process, at)
        before, after = process.posterior(at), told.posterior(at)
    assert float(after.mean) == pytest.approx(float(before.mean), abs=1e-4)
    assert float(after.variance) < 0.6 * float(before.variance)


def test_no_more_than_the_nearest_thousand_points_are_fitted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scbo, "MOST_POINTS", 5)
    search = search_of(box(1), method="scbo")
    x = np.linspace(0, 1, 21)[:, None]
    world = data(x.tolist(), x[:, 0].tolist(), [[-1]] * 21)
    fits = scbo.Fits()
    scbo._fit(search.space, world, np.array([0.5]), fits)
    used = fits.models[0].process.train_inputs[0].numpy().ravel()
    assert used.tolist() == pytest.approx([0.4, 0.45, 0.5, 0.55, 0.6])
