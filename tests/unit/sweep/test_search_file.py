"""The [search] table of a sweep file: what plan refuses, and what begins a new section."""

from __future__ import annotations

from pathlib import Path

import pytest
from sweep_files import finish, norse, written

from hpcfed.config.search import Search, from_table
from hpcfed.errors import InputError
from hpcfed.records.planned import read_plan
from hpcfed.records.sweepfolder import Paths
from hpcfed.sweep.planning.manifest import read_manifest, write_manifest
from hpcfed.sweep.planning.planned_run import run_of
from hpcfed.sweep.planning.searches import plan_search
from hpcfed.sweep.search.asking import may_add
from hpcfed.sweep.search.folder import SearchFolder
from hpcfed.sweep.search.propose import Proposer

BASE = "[server]\nrounds = 9\n[data]\nvalidation_fraction = 0.2\n"
HEAD = '[search]\nmethod = "random"\nmaximise = "validation_accuracy"\nevaluations = 5\n'
SPACE = '[search.space]\n"client.learning_rate" = { log = [1e-4, 1e-1] }\n'


def search(folder: Path, text: str = HEAD + SPACE, base: str = BASE) -> Search:
    found = written(folder, text, base).search
    assert found is not None
    return found


def planned_search(folder: Path, text: str) -> SearchFolder:
    sweep, paths = written(folder, text, BASE), Paths(folder / "out")
    assert sweep.search is not None
    manifest = plan_search(sweep, sweep.search, paths, norse).manifest
    write_manifest(paths, manifest, sweep.text)
    found = read_manifest(paths).search
    assert found is not None
    searched = SearchFolder(found, paths)
    searched.read()
    return searched


def propose(folder: SearchFolder, count: int) -> None:
    proposer = Proposer(folder.search, lambda point: run_of(folder.search, point, norse))
    for _ in range(count):
        folder.read()
        draft = proposer.next(folder.everything(), may_add=True)
        assert draft is not None
        assert folder.place(draft, folder.snapshot())
    folder.read()


def test_a_search_file_says_what_is_looked_for(tmp_path: Path) -> None:
    found = search(tmp_path)
    assert [(goal.name, goal.sign) for goal in found.goals] == [("validation_accuracy", -1)]
    assert found.space.keys == ("client.learning_rate",)
    assert from_table(found.as_table(), "file") == found


def test_keys_of_a_space_may_be_nested_or_quoted(tmp_path: Path) -> None:
    nested = HEAD + "[search.space]\nclient.learning_rate = { log = [1e-4, 1e-1] }\n"
    assert search(tmp_path / "a", nested).space == search(tmp_path / "b").space


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + SPACE + "[grid]\nseed = [0, 1]", "varies the keys of its space; .*confirm"),
        (HEAD.replace("validation", "test") + SPACE, "a search never sees the test split"),
        (HEAD.replace("maximise", "maximize") + SPACE, "maximize: unknown key"),
        (HEAD.replace("_accuracy", "_acuracy") + SPACE, "did you mean validation_accuracy"),
        (HEAD.replace("evaluations = 5\n", "") + SPACE, "expected a budget"),
        (HEAD.replace("random", "grid") + SPACE, "method"),
        (HEAD, "search.*space: is missing"),
        (HEAD + '[search.space]\nseed = { int = [0, 9] }', "confirm"),
        (HEAD + '[search.space]\n"run.eval_every" = { int = [1, 9] }', "is no setting"),
        (HEAD + '[search.space]\n"client.rate" = { int = [1, 9] }', "no such key"),
        (HEAD + SPACE + "[search.halving]\nrungs = [3, 2]", "ascending order"),
        (HEAD + SPACE + '[search.halving]\nrungs = [3, 4]\n[set]\n"run.eval_every" = 3', "pause"),
        (HEAD + SPACE + "[search.population]\nmembers = 3", 'needs method = "population"'),
        (HEAD.replace("random", "population") + SPACE + "[search.population]\ninterval = 4",
         "is no multiple of"),
        (HEAD.replace("random", "population") + '[search.space]\n"data.num_bins" = { int=[9,99] }',
         "cannot change while a run goes on"),
        (HEAD + SPACE + '[[points]]\n"client.learning_rate" = 3.0', r"\[\[points\]\] 1: does not"),
        (HEAD + 'minimise = ["uplink_bytes", "train_loss"]\n' + SPACE, "two of them for a front"),
        (HEAD.replace("random", "scbo") + 'minimise = "uplink_bytes"\n' + SPACE, "has one figure"),
        (HEAD + SPACE + "[search.constraints]\nspikes = 3", "spikes: unknown key"),
        ("search = 3", "expected a table"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_clear_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        search(tmp_path, text)


def test_without_a_validation_split_nothing_is_compared_by_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no validation split; set data\.validation_fraction"):
        search(tmp_path, base="[server]\nrounds = 9\n[data]\nvalidation_fraction = 0.0\n")


def test_both_ends_of_each_range_are_validated(tmp_path: Path) -> None:
    text = HEAD + '[search.space]\n"model.tau_mem" = { log = [1e-6, 1] }\n'
    sweep = written(tmp_path, text, BASE)
    assert sweep.search is not None
    with pytest.raises(InputError, match=r"model.tau_mem = 1e-06:\n.*shorter than a time bin"):
        plan_search(sweep, sweep.search, Paths(tmp_path / "out"), norse)


def test_the_method_is_chosen_by_the_space_and_the_budget(tmp_path: Path) -> None:
    def method(name: str, keys: list[str], evaluations: int, more: str = "") -> str:
        space = "\n".join(f'"{key}" = {{ log = [0.1, 0.5] }}' for key in keys)
        head = HEAD.replace('method = "random"\n', "").replace("= 5", f"= {evaluations}")
        return search(tmp_path / name, f"{head}{more}[search.space]\n{space}\n").method

    few = ["client.learning_rate", "client.proximal"]
    many = [*few, "model.tau_mem", "model.tau_syn", "model.threshold", "model.surrogate_slope",
            "model.init_scale", "client.clip_norm"]  # fmt: skip
    assert method("a", few, 50) == "gp"
    assert method("b", many, 50) == "scbo"
    assert method("c", few, 300) == "scbo"
    assert method("d", few, 5000) == "tpe"
    assert method("e", few, 50, 'minimise = "train_loss"\n') == "tpe"


def test_the_budget_may_change_and_anything_else_begins_a_new_section(tmp_path: Path) -> None:
    first = search(tmp_path / "a")
    free = HEAD.replace("5", "50") + "core_hours = 3\nahead = 3\nworkers = 9\n"
    assert search(tmp_path / "b", free + SPACE).section == first.section
    for number, changed in enumerate(
        [HEAD + "seed = 1\n" + SPACE, HEAD + SPACE.replace("1e-4", "1e-3"), HEAD + SPACE +
         "[search.constraints]\ntrain_loss = 3", HEAD + SPACE + '[set]\n"server.rounds" = 8']
    ):  # fmt: skip
        assert search(tmp_path / f"c{number}", changed).section != first.section


def test_planning_again_with_another_space_takes_over_the_runs_that_lie_in_it(
    tmp_path: Path,
) -> None:
    first = planned_search(tmp_path, HEAD + SPACE)
    propose(first, 3)
    finish(first.paths, [first.run(number) for number in (0, 1)], num_rounds=9)
    before = [item.point["client.learning_rate"] for item in first.items]
    assert sorted(before)[0] < 1e-3  # so that not all lie in the space that follows
    second = planned_search(tmp_path, HEAD + SPACE.replace("1e-4", "1e-3"))
    inside = [{"client.learning_rate": rate} for rate in before[:2] if rate >= 1e-3]
    assert inside
    assert list(second.search.known) == inside
    propose(second, len(inside) + 1)
    whys = [item.why for item in second.items]
    assert whys == ["known"] * len(inside) + ["initial"]
    # they do not count as tried: five more may be
    assert may_add(second, second.snapshot(), 1)
    propose(second, 3)
    assert may_add(second, second.snapshot(), 1)
    propose(second, 1)
    assert not may_add(second, second.snapshot(), 1)
    assert planned_search(tmp_path, HEAD + SPACE.replace("1e-4", "1e-3")).search == second.search
    manifest = read_manifest(second.paths)
    assert len(manifest.current) == len(inside) + 5
    assert len(manifest.dropped) == 3 - len(inside)
    assert len(read_plan(second.paths.out).runs) == len(manifest.current)


def test_a_proposal_that_is_missing_or_damaged_is_one_clear_error(tmp_path: Path) -> None:
    sweep, paths = written(tmp_path, HEAD + SPACE, BASE), Paths(tmp_path / "out")
    assert sweep.search is not None
    manifest = plan_search(sweep, sweep.search, paths, norse).manifest
    write_manifest(paths, manifest, sweep.text)
    folder = SearchFolder(sweep.search, paths)
    proposer = Proposer(sweep.search, lambda point: run_of(folder.search, point, norse))
    for _ in range(2):
        draft = proposer.next(folder.everything(), may_add=True)
        assert draft is not None
        snapshot = folder.snapshot()
        assert folder.place(draft, snapshot)
        assert not folder.place(draft, snapshot)  # the number is taken
        folder.read()
    file = folder.folder / "000001" / "proposal.json"
    text = file.read_text()
    for broken in (text[:-30], "{}", text.replace('"number": 1', '"number": 7')):
        file.write_text(broken)
        with pytest.raises(InputError, match="proposal"):
            read_manifest(paths)
    file.write_text(text)
    (folder.folder / "000000").rename(folder.folder / "000002")
    with pytest.raises(InputError, match="proposal 0 is missing"):
        read_manifest(paths)


def test_a_search_that_comes_back_begins_with_what_was_found_since(tmp_path: Path) -> None:
    first = planned_search(tmp_path, HEAD + SPACE)
    propose(first, 3)
    finish(first.paths, [first.run(number) for number in (0, 1)], num_rounds=9)
    wide = HEAD + SPACE.replace("1e-4", "1e-5")
    second = planned_search(tmp_path, wide)
    assert len(second.search.known) == 2
    propose(second, 4)  # two that are known, and two more
    finish(second.paths, [second.run(number) for number in (2, 3)], num_rounds=9)
    third = planned_search(tmp_path, HEAD + SPACE)  # as the first one was
    inside = [i.point for i in second.items if i.point["client.learning_rate"] >= 1e-4]
    assert list(third.search.known) == inside
    assert third.search.section != first.search.section  # which had seen less
    propose(third, len(inside))
    assert [item.why for item in third.items] == ["known"] * len(inside)
