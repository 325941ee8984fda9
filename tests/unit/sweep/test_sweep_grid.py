"""The sweep file and its points: products, zips, exclusions, names, and one message if wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sweep_files import norse, written

from hpcfed.config.file import parse_experiment
from hpcfed.config.jobs import packaged_jobs
from hpcfed.config.tables import read_toml
from hpcfed.errors import InputError
from hpcfed.records.sweepfolder import Paths
from hpcfed.sweep.planning.grid import cells, expand, keys_that_vary, name_of
from hpcfed.sweep.planning.manifest import plan, read_manifest, write_manifest
from hpcfed.sweep.planning.sweepfile import read_sweep

P, Q = "uplink.mask_probability", "participation.drop_probability"


def test_a_grid_is_the_product_of_its_values_the_last_key_fastest(tmp_path: Path) -> None:
    sweep = written(tmp_path, f'[grid]\n"{P}" = [0.0, 0.5]\nseed = [0, 1, 2]')
    assert [(p[P], p["seed"]) for p in expand(sweep)] == [
        (0.0, 0), (0.0, 1), (0.0, 2), (0.5, 0), (0.5, 1), (0.5, 2),
    ]  # fmt: skip
    assert keys_that_vary(sweep) == [P, "seed"]


@pytest.mark.parametrize(
    "text",
    [
        f'[grid]\n"{P}" = [0.0, 0.5]\n[set]\n"server.rounds" = 3',
        "[grid]\nuplink.mask_probability = [0.0, 0.5]\n[set.server]\nrounds = 3",
        "[grid.uplink]\nmask_probability = [0.0, 0.5]\n[set]\nserver = { rounds = 3 }",
    ],
)
def test_dotted_and_nested_keys_mean_the_same(text: str, tmp_path: Path) -> None:
    found = cells(written(tmp_path, text))
    assert [c.experiment.uplink.mask_probability for c in found] == [0.0, 0.5]
    assert [c.experiment.server.rounds for c in found] == [3, 3]


def test_zipped_keys_move_together_and_multiply_with_the_grid(tmp_path: Path) -> None:
    text = f'[grid]\nseed = [0, 1]\n[zip]\n"{P}" = [0.1, 0.2]\n"{Q}" = [0.3, 0.4]'
    points = expand(written(tmp_path, text))
    assert [(p["seed"], p[P], p[Q]) for p in points] == [
        (0, 0.1, 0.3), (0, 0.2, 0.4), (1, 0.1, 0.3), (1, 0.2, 0.4),
    ]  # fmt: skip


def test_cases_have_keys_of_their_own_and_multiply_with_the_grid(tmp_path: Path) -> None:
    text = f'[grid]\nseed = [0, 1]\n[[cases]]\n"{P}" = 0.5\n[[cases]]\n"{Q}" = 0.4\n{P} = 0.1\n'
    sweep = written(tmp_path, f"{text}[[points]]\nseed = 9")
    assert expand(sweep) == [
        {P: 0.5, "seed": 0}, {P: 0.5, "seed": 1},
        {Q: 0.4, P: 0.1, "seed": 0}, {Q: 0.4, P: 0.1, "seed": 1}, {"seed": 9},
    ]  # fmt: skip
    assert keys_that_vary(sweep) == [P, Q, "seed"]


def test_cases_alone_are_the_whole_sweep(tmp_path: Path) -> None:
    assert expand(written(tmp_path, "[[cases]]\nseed = 3\n[[cases]]\nseed = 4")) == [
        {"seed": 3}, {"seed": 4},
    ]  # fmt: skip


def test_a_key_of_cases_cannot_be_an_axis_too(tmp_path: Path) -> None:
    sweep = written(tmp_path, "[grid]\nseed = [0, 1]\n[[cases]]\nseed = 3")
    with pytest.raises(InputError, match=r"seed is in \[\[cases\]\] and in"):
        expand(sweep)


def test_points_are_added_to_the_product_and_equal_points_are_one_run(tmp_path: Path) -> None:
    text = f'[grid]\nseed = [0, 1]\n[[points]]\nseed = 1\n[[points]]\n"{P}" = 0.9\nseed = 7'
    assert [c.point for c in cells(written(tmp_path, text))] == [
        {"seed": 0}, {"seed": 1}, {P: 0.9, "seed": 7},
    ]  # fmt: skip


def test_points_alone_are_the_whole_sweep(tmp_path: Path) -> None:
    assert len(cells(written(tmp_path, "[[points]]\nseed = 3\n[[points]]\nseed = 4"))) == 2


def test_a_file_without_axes_is_one_run(tmp_path: Path) -> None:
    assert [c.point for c in cells(written(tmp_path, ""))] == [{}]


def test_a_point_is_excluded_if_all_its_keys_match(tmp_path: Path) -> None:
    grid = f'[grid]\n"{P}" = [0.0, 0.5, 0.9]\n"{Q}" = [0.0, 0.5]\n'
    both = written(tmp_path, f'{grid}[exclude]\n"{P}" = [0.5, 0.9]\n"{Q}" = 0.5')
    assert [(p[P], p[Q]) for p in expand(both)] == [(0.0, 0.0), (0.0, 0.5), (0.5, 0.0), (0.9, 0.0)]
    two = written(tmp_path, f'{grid}[[exclude]]\n"{P}" = 0.5\n[[exclude]]\n"{Q}" = 0.5')
    assert [(p[P], p[Q]) for p in expand(two)] == [(0.0, 0.0), (0.9, 0.0)]


@pytest.mark.parametrize("spelt", ["", '[set]\n"uplink.mask" = "none"\n'])
@pytest.mark.parametrize(
    "key", ['"uplink.mask" = "none"', '"client.epochs" = 1', '"model.hidden" = [128]']
)
def test_an_exclusion_is_the_same_whether_a_default_is_spelt_out_or_not(
    spelt: str, key: str, tmp_path: Path
) -> None:
    text = f"{spelt}[grid]\nseed = [0, 1]\n[exclude]\nseed = 1\n{key}"
    assert [p["seed"] for p in expand(written(tmp_path, text, base=""))] == [0]


def test_an_exclusion_does_not_take_a_default_that_another_key_has_cleared(tmp_path: Path) -> None:
    text = '[grid]\n"client.steps" = [2, 3]\n[exclude]\n"client.epochs" = 1'
    assert len(expand(written(tmp_path, text))) == 2


def test_a_point_that_is_not_valid_can_be_excluded_by_a_default(tmp_path: Path) -> None:
    text = f'[grid]\n"{P}" = [0.0, 0.5]\n[exclude]\n"{P}" = 0.5\n"uplink.mask" = "none"'
    assert [c.point for c in cells(written(tmp_path, text, base=""))] == [{P: 0.0}]


@pytest.mark.parametrize("base", ["quickstart", "quickstart.toml", "jobs/quickstart.toml"])
def test_a_base_may_be_a_packaged_job(base: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(f'base = "{base}"')
    assert (
        read_sweep(tmp_path / "a.toml").base == read_toml(packaged_jobs()["quickstart"], "job")[0]
    )


def test_a_base_beside_the_sweep_file_comes_before_a_packaged_job(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('base = "quickstart.toml"')
    (tmp_path / "quickstart.toml").write_text("seed = 7")
    assert read_sweep(tmp_path / "a.toml").base == {"seed": 7}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[grid]\nuplink.mask_propability = [0.1]", "did you mean uplink.mask_probability?"),
        ("[grid]\nseed = 3", r"\[grid\] seed: expected a list of values, found 3"),
        ("[grid]\nseed = []", "expected a list of values"),
        ('[grid]\n"seed" = [1]\n[zip]\nseed = [1]', r"seed is in \[grid\] and \[zip\]"),
        (f'[zip]\nseed = [1, 2]\n"{P}" = [0.1]', f"seed has 2, {P} has 1"),
        ("[grids]\nseed = [1]", "grids: unknown key; did you mean grid?"),
        ("[resources]\nthrottel = 3", "throttel: unknown key; did you mean throttle?"),
        ("[resources]\nranks_per_run = 0", "ranks_per_run: input should be greater"),
        ('[set]\nname = "x"', "runs of a sweep bear the sweep's name"),
        ('[grid]\n"uplink.dtype" = ["int8"]\n[grid.uplink]\ndtype = ["int8"]', "given twice"),
        ("[grid]\nclient.threads = [1, 2]", "client.threads cannot change what a run records"),
        ("[grid]\nseed = [1]\n[exclude]\nseed = 1", "no point is left"),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        cells(written(tmp_path, text))


def test_every_invalid_point_is_counted_before_anything_starts(tmp_path: Path) -> None:
    sweep = written(tmp_path, f'[grid]\n"{P}" = [0.5, 1.5]\nseed = [0, 1]')
    with pytest.raises(InputError) as caught:
        cells(sweep)
    assert "2 points are not valid; nothing has been started" in str(caught.value)
    assert f"{P} = 1.5, seed = 0 and 1 more" in str(caught.value)


def test_a_missing_base_and_a_missing_site_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('base = "nowhere.toml"')
    with pytest.raises(InputError, match=r"nowhere\.toml: no such base experiment"):
        read_sweep(tmp_path / "a.toml")
    sweep = written(tmp_path, '[resources]\nsite = "moon"')
    with pytest.raises(InputError, match=r"moon.*plain"):
        plan(sweep, Paths(tmp_path / "out"), norse)


def test_a_name_covers_every_key_that_leaves_a_trace_and_no_other() -> None:
    name = name_of(parse_experiment(""))
    for same in ("name=other", "client.threads=3", "run.checkpoint_seconds=1", "data.root=x"):
        assert name_of(parse_experiment("", [same])) == name
    for other in ("seed=1", "server.rounds=51", "run.eval_every=2", "uplink.transport=reduce"):
        assert name_of(parse_experiment("", [other])) != name


def test_planning_again_adds_points_and_keeps_those_that_are_known(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "out")
    first = plan(written(tmp_path, "[grid]\nseed = [0, 1]"), paths, norse)
    write_manifest(paths, first.manifest, "text")
    assert (first.num_new, first.num_known, first.num_gone) == (2, 0, 0)
    before = {run.digest: run.config for run in read_manifest(paths).runs}

    again = plan(written(tmp_path, "[grid]\nseed = [1, 2, 3]"), paths, norse)
    write_manifest(paths, again.manifest, "text")
    assert (again.num_new, again.num_known, again.num_gone) == (2, 1, 1)
    found = read_manifest(paths)
    assert [run.point["seed"] for run in found.current] == [1, 2, 3]
    assert [run.point["seed"] for run in found.runs if not run.current] == [0]
    after = {run.digest: run.config for run in found.runs}
    assert before.items() <= after.items()


def test_the_engine_chosen_at_the_first_planning_stays(tmp_path: Path) -> None:
    paths, sweep = Paths(tmp_path / "out"), written(tmp_path, "[grid]\nseed = [0]")
    first = plan(sweep, paths, norse)
    write_manifest(paths, first.manifest, "text")
    again = plan(sweep, paths, lambda experiment: "another engine")
    assert again.manifest.runs == first.manifest.runs
    assert again.manifest.runs[0].config["client"]["engine"] == "norse"


def test_a_changed_base_makes_other_runs_never_other_meanings(tmp_path: Path) -> None:
    paths, text = Paths(tmp_path / "out"), "[grid]\nseed = [0]"
    first = plan(written(tmp_path, text), paths, norse)
    write_manifest(paths, first.manifest, "text")
    again = plan(written(tmp_path, text, "[server]\nrounds = 7\n"), paths, norse)
    assert (again.num_new, again.num_gone) == (1, 1)
    assert again.manifest.runs[1].config == first.manifest.runs[0].config


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    paths, sweep = Paths(tmp_path / "out"), written(tmp_path, "")
    write_manifest(paths, plan(sweep, paths, norse).manifest, "text")
    other = written(tmp_path, 'name = "other"')
    with pytest.raises(InputError, match="holds the sweep study, this one is other"):
        plan(other, paths, norse)
    (tmp_path / "run.h5").touch()
    with pytest.raises(InputError, match="holds a run"):
        plan(sweep, Paths(tmp_path), norse)
    paths.manifest.write_text(json.dumps({"format": "else"}))
    with pytest.raises(InputError, match="manifest"):
        plan(sweep, paths, norse)
