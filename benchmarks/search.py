"""What searches find, and what a proposal costs: search.py [models|cost|study|replay FILE].

``models``: test functions with known optima (BoTorch's), best feasible value by method, three
seeds. ``cost``: processor seconds of one proposal, with so many observations. ``study``: the job
search.toml by random points, tpe and scbo at equal core-hours, three seeds; writes figures of best
feasible accuracy and of the share silent over time to --out. ``replay``: methods against a forest
fitted to published evaluations (Firmin, Boulet and Talbi, a CSV file of theirs by its path), 15
simulated workers. Without an argument: models and cost.
"""

from __future__ import annotations

import argparse
import heapq
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # processor seconds of one thread
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402

from tests import search_world as world  # noqa: E402

SEEDS = (0, 1, 2)
# function, method, evaluations
MODELS = (
    ("ConstrainedGramacy", "random", 200), ("ConstrainedGramacy", "tpe", 200),
    ("ConstrainedGramacy", "gp", 40), ("PressureVessel", "random", 200),
    ("PressureVessel", "tpe", 200), ("PressureVessel", "scbo", 100),
    ("WeldedBeamSO", "random", 100), ("WeldedBeamSO", "scbo", 100),
    ("SpeedReducer", "random", 200), ("Ackley10", "random", 200), ("Ackley10", "scbo", 200),
)  # fmt: skip
OPTIMA = {"ConstrainedGramacy": 0.5998, "PressureVessel": 6059.9, "WeldedBeamSO": 1.7282,
          "SpeedReducer": 2996.3, "Ackley10": 0.0}  # fmt: skip
METHODS = ("random", "tpe", "scbo")


def main() -> None:
    """Parse arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=["models", "cost", "study", "replay"])
    parser.add_argument("file", nargs="?", type=Path, help="of replay: a CSV file of evaluations")
    parser.add_argument("--out", type=Path, default=Path("results/search-study"))
    parser.add_argument("--core-hours", type=float, default=0.02)
    options = parser.parse_args()
    if options.what in (None, "models"):
        models()
    if options.what in (None, "cost"):
        cost()
    if options.what == "study":
        study(options.out, options.core_hours)
    if options.what == "replay":
        if options.file is None or not options.file.is_file():
            print("replay: skipped, it needs the path of a CSV file of published evaluations")
            return
        replay_published(options.file)


def models() -> None:
    """Print the best feasible value that each method finds."""
    print("function, optimum, method, evaluations: best feasible by seed; processor seconds")
    for name, method, count in MODELS:
        problem = test_function(name)
        found, begin = [], time.process_time()
        for seed in SEEDS:
            search = world.search_of(
                world.box(problem.dim), method=method, seed=seed, initial=10,
                constraints=world.limits(problem.num_constraints),
            )  # fmt: skip
            seen = world.searched(search, world.botorch_function(problem), count)
            found.append(world.best(search, seen)[-1])
        spent = (time.process_time() - begin) / len(SEEDS)
        values = "  ".join(f"{value:.5g}" for value in found)
        print(f"{name:20} {OPTIMA[name]:8} {method:7} {count:4}:  {values}  ({spent:.1f} s)",
              flush=True)  # fmt: skip


def test_function(name: str) -> Any:
    """Return a test function of BoTorch; Ackley10 is constrained as in Eriksson and Poloczek."""
    from botorch.test_functions import synthetic

    return Ackley10() if name == "Ackley10" else getattr(synthetic, name)()


class Ackley10:
    """Ackley's function over [-5, 10]^10 where the sum is at most 0 and the norm at most 5."""

    dim, num_constraints = 10, 2

    def __init__(self) -> None:
        """Make the function and its bounds."""
        import torch
        from botorch.test_functions.synthetic import Ackley

        self.bounds = torch.tensor([[-5.0] * self.dim, [10.0] * self.dim])
        self._function = Ackley(dim=self.dim)

    def _evaluate_true(self, x: Any) -> Any:
        return self._function._evaluate_true(x)

    def evaluate_slack(self, x: Any, noise: bool) -> Any:
        """Return (n, 2) the slack of both constraints."""
        import torch

        return torch.stack([-x.sum(-1), 5 - x.norm(dim=-1)], -1)


def cost() -> None:
    """Print what a proposal costs: 17 keys, one constraint, 15 pending points."""
    from hpcfed.records.results import Result
    from hpcfed.records.searched import Item, Seen
    from hpcfed.sweep.search.propose import Proposer

    space = {f"client.{name}": {"float": [0.0, 1.0]} for name in ("learning_rate", "momentum",
             "weight_decay", "proximal", "clip_norm", "rate_lower", "rate_upper")}  # fmt: skip
    space |= {f"model.{name}": {"float": [0.0, 1.0]} for name in ("tau_mem", "tau_syn", "threshold",
              "surrogate_slope", "init_scale", "tau_adapt")}  # fmt: skip
    space |= {f"server.{name}": {"float": [0.0, 1.0]} for name in ("learning_rate", "momentum")}
    space |= {"data.drop": {"float": [0.0, 1.0]}, "data.duration": {"float": [0.0, 1.0]}}
    assert len(space) == 17
    print("observations, method: processor seconds of a proposal, fit included (median of 3)")
    for count in (100, 500, 1000):
        words = np.random.default_rng(0)
        points = words.random((count + 15, 17))
        items = tuple(
            Item(n, "point", None, 9, "initial", f"{n:016x}", "", dict(zip(space, row.tolist(),
                 strict=True))) for n, row in enumerate(points)
        )  # fmt: skip
        results = {
            n: Result({"train_loss": float(((row - 0.4) ** 2).sum()),
                       "hidden_rate": float(row[0] + row[1] - 1.0)})
            for n, row in enumerate(points[:count])
        }  # fmt: skip
        for method in ("tpe", "scbo"):
            search = world.search_of(space, method=method, constraints=world.limits(1))
            spent = []
            proposer = Proposer(search, world.run_of)
            for repeat in range(4):
                if method == "scbo":  # the fit, too
                    proposer = Proposer(search, world.run_of)
                begin = time.process_time()
                proposer.next(Seen(items, results), may_add=True)
                if repeat:  # the first one imports the library
                    spent.append(time.process_time() - begin)
            print(f"{count:5} {method:5}: {np.median(spent):.3f}", flush=True)


def study(out: Path, core_hours: float) -> None:
    """Run the job search.toml by each method, and write the table and the figure."""
    base = (REPOSITORY / "jobs" / "search.toml").read_text()
    curves: dict[str, list[list[tuple[float, float, float]]]] = {}
    for method in METHODS:
        for seed in SEEDS:
            folder = out / f"{method}-{seed}"
            folder.mkdir(parents=True, exist_ok=True)
            text = base.replace('method = "scbo"', f'method = "{method}"\nseed = {seed}')
            text = text.replace("evaluations = 120", f"core_hours = {core_hours}")
            text = text.replace("quickstart.toml", str(REPOSITORY / "jobs" / "quickstart.toml"))
            file = folder / "search.toml"
            file.write_text(text)
            subprocess.run([sys.executable, "-m", "hpcfed", "sweep", "run", file, "--out",
                            folder / "out", "--workers", "2", "--quiet"], check=True)  # fmt: skip
            curves.setdefault(method, []).append(curve(folder / "out"))
            points = curves[method][-1]
            print(f"{method:6} seed {seed}: {len(points)} points, best feasible "
                  f"{points[-1][1]:.4f}, silent {points[-1][2]:.0%}", flush=True)  # fmt: skip
            told = subprocess.run([sys.executable, "-m", "hpcfed", "sweep", "best", file, "--out",
                                   folder / "out", "--number", "1"], check=True,
                                  capture_output=True, text=True)  # fmt: skip
            print("   " + "\n   ".join(told.stdout.splitlines()[:2]), flush=True)
    draw(curves, out / "search_study.png")
    print(out / "search_study.png")


def curve(folder: Path) -> list[tuple[float, float, float]]:
    """Return (seconds of rounds so far, best feasible so far, share silent so far) by point."""
    from hpcfed.report.figures.search.view import STOPPED, read_view

    view = read_view(folder)
    assert view is not None
    spent, best, stopped, found = 0.0, 0.0, 0, []
    for number, dot in enumerate(view.dots, 1):
        spent += dot.result.seconds
        value = dot.result.figures[view.goal.name]
        best = max(best, value) if dot.kind == "feasible" else best
        stopped += dot.kind == STOPPED
        found.append((spent, best, stopped / number))
    return found


def draw(curves: dict[str, list[list[tuple[float, float, float]]]], picture: Path) -> None:
    """Write the figure of the study."""
    from hpcfed.report.drawing import COLOURS, new_figure, note, our_style, save

    with our_style():
        figure = new_figure(3.6)
        panels = figure.subplots(2, 1, sharex=True)
        for (method, seeds), colour in zip(curves.items(), COLOURS, strict=False):
            for place, found in enumerate(seeds):
                seconds, best, silent = zip(*found, strict=True)
                label = method if place == 0 else None
                panels[0].step(seconds, best, where="post", color=colour, label=label)
                panels[1].plot(seconds, silent, color=colour)
        panels[0].set_ylabel("best feasible\nvalidation accuracy")
        panels[1].set_ylabel("share silent")
        panels[1].set_xlabel("seconds of rounds, all runs (one core)")
        panels[0].legend()
        note(figure, f"jobs/search.toml, {len(SEEDS)} seeds of each method.")
        save(figure, picture)


def replay_published(file: Path) -> None:
    """Search a forest that was fitted to published evaluations."""
    import pandas
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    table = pandas.read_csv(file)
    end = next(i for i, name in enumerate(table.columns) if "accuracy" in name.lower())
    settings = table[table.columns[:end]].select_dtypes("number")
    keys = [name for name in settings if settings[name].nunique() > 1]
    x = table[keys].to_numpy(np.float64)
    accuracy = table[table.columns[end]].to_numpy(np.float64)
    stopped = table["stopped"].astype(bool).to_numpy()
    low, high = x.min(0), x.max(0)
    unit = (x - low) / (high - low)
    value = ExtraTreesRegressor(200, random_state=0).fit(unit, accuracy)
    silent = ExtraTreesClassifier(200, random_state=0).fit(unit, stopped)
    space = cost_space(len(keys))

    def function(point: Any) -> dict[str, float]:
        row = np.array([[point[key] for key in space]])
        chance = float(silent.predict_proba(row)[0, 1])
        return {"train_loss": -float(value.predict(row)[0]), "hidden_rate": chance - 0.5}

    print(f"{file.name}: {len(keys)} keys, {len(table)} evaluations")
    for method in METHODS:
        for seed in SEEDS:
            search = world.search_of(
                space, method=method, seed=seed, initial=60, constraints=world.limits(1)
            )
            begin = time.process_time()
            seen = simulated(search, function, 300, 15)
            last = [seen.results[i.number].figures["hidden_rate"] > 0 for i in seen.items[-100:]]
            print(f"{method:6} seed {seed}: best feasible {-world.best(search, seen)[-1]:.3f}, "
                  f"silent of the last 100 {np.mean(last):.0%}, "
                  f"{time.process_time() - begin:.0f} s", flush=True)  # fmt: skip


def cost_space(count: int) -> dict[str, Any]:
    """Return a space of so many keys of experiments."""
    from hpcfed.config.file import key_paths

    names = [
        key for key in key_paths() if key.startswith(("client.", "model.", "server.", "data."))
    ]
    return {key: {"float": [0.0, 1.0]} for key in names[:count]}


def simulated(
    search: Any, function: Callable[[Any], dict[str, float]], count: int, workers: int
) -> Any:
    """Search with workers whose runs take from one to three units of time."""
    from hpcfed.records.results import Result
    from hpcfed.records.searched import Item, Seen
    from hpcfed.sweep.search.propose import Proposer

    proposer, items, results = Proposer(search, world.run_of), list[Item](), dict[int, Result]()
    lengths: Iterator[float] = iter(np.random.default_rng(0).uniform(1, 3, count).tolist())
    ends: list[tuple[float, int]] = []
    now = 0.0
    for number in range(count):
        if len(ends) == workers:
            now, done = heapq.heappop(ends)
            results[done] = Result(function(items[done].point))
        seen = Seen(tuple(items), dict(results))
        draft = proposer.next(seen, may_add=True)
        assert draft is not None
        items.append(world.item_of(draft, number, seen.pending))
        heapq.heappush(ends, (now + next(lengths), number))
    for _, done in ends:
        results[done] = Result(function(items[done].point))
    return Seen(tuple(items), results)


if __name__ == "__main__":
    main()
