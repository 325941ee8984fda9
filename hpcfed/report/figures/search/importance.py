"""Which keys matter, for the figure and for feasibility: permutation importance of a forest.

Breiman 2001 (doi:10.1023/A:1010933404324), by scikit-learn: how much worse a forest's prediction of
the figure (R2, feasible points alone), or of whether a point is feasible (accuracy), becomes when
a key's values are shuffled. With few points these are rough; the error bars are of the shuffles.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any  # Any: a table's values are text or numbers

import numpy as np
from numpy.typing import NDArray

from hpcfed.errors import InputError
from hpcfed.report.drawing import COLOURS, new_figure, note, plain
from hpcfed.report.figures.search.view import FEASIBLE, View, need_dots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

F64 = NDArray[np.float64]

COLUMNS = {
    "key": "key of the space",
    "target": "the figure (of feasible points), or feasible",
    "importance": "what the prediction loses when this key is shuffled: R2, or accuracy",
    "error": "standard deviation over shuffles",
    "points": "points that it rests on",
}
_FEWEST, _TREES, _SHUFFLES = 10, 200, 10


def rows(view: View) -> Iterator[dict[str, Any]]:
    """Yield the importance of each key. Raises InputError where it cannot be told."""
    units, values, feasible = view.units(), view.values(view.goal.name), view.is_kind(FEASIBLE)
    targets: list[tuple[str, F64, F64 | NDArray[np.bool_]]] = []
    if feasible.sum() >= _FEWEST:
        targets.append((view.goal.name, units[feasible], values[feasible]))
    if min(feasible.sum(), (~feasible).sum()) >= _FEWEST // 2:
        targets.append(("feasible", units, feasible))
    if not targets:
        raise InputError(f"fewer than {_FEWEST} feasible points, which tell nothing of importance")
    for name, x, y in targets:
        for key, mean, error in zip(view.search.space.keys, *_importance(x, y), strict=True):
            yield {
                "key": key, "target": name, "importance": mean, "error": error, "points": len(y)
            }  # fmt: skip


def draw(view: View) -> Figure:
    """Return the figure. Raises InputError where importance cannot be told."""
    need_dots(view)
    found = list(rows(view))
    targets = list(dict.fromkeys(row["target"] for row in found))
    keys = list(view.search.space.keys)
    figure = new_figure(0.28 * len(keys) * len(targets) + 1.0)
    axes = figure.subplots()
    height = 0.8 / len(targets)
    for index, (target, colour) in enumerate(zip(targets, COLOURS, strict=False)):
        mine = {row["key"]: row for row in found if row["target"] == target}
        y = np.arange(len(keys)) + (index - (len(targets) - 1) / 2) * height
        axes.barh(y, [mine[key]["importance"] for key in keys], height,
                  xerr=[mine[key]["error"] for key in keys], color=colour,
                  label=plain(target.replace("_", " ")), error_kw={"lw": 0.6})  # fmt: skip
    axes.set_yticks(range(len(keys)), [plain(key) for key in keys])
    axes.invert_yaxis()
    axes.axvline(0, color="#000000", lw=0.5)
    axes.set_xlabel("importance (R2 or accuracy lost by shuffling)")
    axes.legend()
    note(figure, "Permutation importance of a forest of "
                 f"{_TREES} trees; bars of the shuffles' standard deviation.")  # fmt: skip
    return figure


def _importance(x: F64, y: F64 | NDArray[np.bool_]) -> tuple[list[float], list[float]]:
    try:
        from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
        from sklearn.inspection import permutation_importance
    except ImportError:
        raise InputError(
            "importance needs scikit-learn; install with: pip install 'hpcfed[search]'"
        ) from None
    forest = ExtraTreesClassifier if y.dtype == bool else ExtraTreesRegressor
    fitted = forest(n_estimators=_TREES, min_samples_leaf=2, random_state=0).fit(x, y)
    found = permutation_importance(fitted, x, y, n_repeats=_SHUFFLES, random_state=0)
    return found.importances_mean.tolist(), found.importances_std.tolist()
