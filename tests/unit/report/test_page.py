"""The page's text and data; what a browser makes of it is tested in tests/browser."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from report_files import NAN, World, accuracy, grid, write_run, write_sweep

from hpcfed.errors import InputError
from hpcfed.report.page import failures, render, state_lines, write_page
from hpcfed.report.page_data import shown_rounds
from hpcfed.report.runs import find
from hpcfed.report.settings import settings
from hpcfed.report.statistics import mean_over_seeds


def page(path: Path) -> str:
    return write_page(path, path / "report.html").read_text(encoding="utf-8")


def data(text: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found.group(1))


def test_the_page_holds_every_number_and_follows_an_altered_one(tmp_path: Path) -> None:
    worlds = grid((0.0, 0.5), (0.0,))
    write_sweep(tmp_path, worlds)
    first = data(page(tmp_path))
    cells = {tuple(cell["at"]): cell for cell in first["groups"][0]["cells"]}
    assert cells[0, 0]["mean"] == pytest.approx(accuracy(0, 0, 1))
    assert cells[1, 0]["mean"] == pytest.approx(accuracy(0.5, 0, 1))
    assert cells[0, 0]["runs"] == [0, 1, 2]
    assert [run["test"] for run in first["runs"]] == pytest.approx(
        [accuracy(w.p, w.q, w.seed) for w in worlds]
    )
    assert first["curves"][0]["test_accuracy"] == [0.3, pytest.approx(accuracy(0, 0, 0))]
    assert first["curves"][0]["train_loss"] == [4.0, 2.0]
    write_run(tmp_path / "runs" / f"{1:016x}", World(test=(0.3, 0.6), seed=1))
    second = data(page(tmp_path))
    changed = second["groups"][0]["cells"][0]["mean"] - cells[0, 0]["mean"]
    assert changed == pytest.approx((0.6 - accuracy(0, 0, 1)) / 3, abs=1e-6)


def test_a_running_sweep_says_how_much_is_missing(tmp_path: Path) -> None:
    worlds = [World(seed=0), World(seed=1, status="running"), World(seed=2)]
    write_sweep(tmp_path, worlds[:2], missing=worlds[2:])
    assert state_lines(find(tmp_path)) == [
        "3 planned runs: 1 finished, 1 running.",
        "Missing: 1 of 3 have no run file yet.",
        "Figures of the trade-off hold finished runs alone.",
    ]
    assert "Missing: 1 of 3" in page(tmp_path)


def test_a_sweep_that_has_only_been_planned_has_a_page(tmp_path: Path) -> None:
    write_sweep(tmp_path, [], missing=[World(p=0.5)])
    text = page(tmp_path)
    assert "1 planned run: none has begun." in text
    assert data(text)["groups"][0]["cells"][0]["n"] == 0


def test_failures_are_shown_with_their_messages(tmp_path: Path) -> None:
    worlds = [World(seed=0, status="failed", error="disk <full>"), World(seed=1), World(seed=2)]
    write_sweep(tmp_path, worlds[:2], missing=worlds[2:])
    mark = {"error": "killed & gone", "log": "last\nlines", "tries": 3}
    given_up = tmp_path / "runs" / f"{2:016x}"
    given_up.mkdir()
    (given_up / "failure.json").write_text(json.dumps(mark))
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "run.h5").write_bytes(b"?")
    found = find(tmp_path)
    assert [(f.kind, f.message.splitlines()[0][:13]) for f in failures(found)] == [
        ("failed", "disk <full>"), ("given up", "killed & gone"), ("left out", "cannot be rea"),
    ]  # fmt: skip
    text = page(tmp_path)
    assert "disk &lt;full&gt;" in text
    assert "killed &amp; gone\nlast\nlines" in text
    assert "1 of them given up" in text


def test_text_from_configurations_is_escaped(tmp_path: Path) -> None:
    bad = "</script><script>alert(1)</script>"
    sets = [f'model.warm_start="{bad}"', 'name="<b>&\'x"']
    write_run(tmp_path / "a <i>", World(sets=sets))
    write_run(tmp_path / "b", World(seed=1))
    text = page(tmp_path)
    assert "<script>alert" not in text
    assert text.count("<script") == text.count("</script>") == 2
    found = data(text)
    assert bad in str(found["runs"])
    assert {run["href"] for run in found["runs"]} == {"a%20%3Ci%3E/run.h5", "b/run.h5"}


def test_no_evaluation_at_all_is_an_honest_page(tmp_path: Path) -> None:
    write_run(tmp_path, World(test=(NAN, NAN)))
    found = data(page(tmp_path))
    assert found["groups"][0]["cells"][0]["mean"] is None
    assert found["runs"][0]["test"] is None
    assert "test_accuracy" not in found["curves"][0]


def test_a_run_without_a_round_has_a_page(tmp_path: Path) -> None:
    write_run(tmp_path, World(test=(), status="running"))
    assert data(page(tmp_path))["runs"][0]["rounds"] == 0


def test_equal_budgets_name_the_setting_they_belong_to(tmp_path: Path) -> None:
    for index, (p, q) in enumerate(((0.5, 0.0), (0.0, 0.5))):
        for epochs in (1, 2):
            world = World(test=(0.5 + 0.1 * p,), p=p, q=q, sets=[f"client.epochs={epochs}"])
            write_run(tmp_path / f"{index}{epochs}", world)
    text = page(tmp_path)
    assert "p = 0.5, q = 0, client.epochs = 1: 55.0 %" in text
    assert "p = 0, q = 0.5, client.epochs = 2: 50.0 %" in text


def test_long_runs_send_their_evaluated_rounds(tmp_path: Path) -> None:
    test = [0.5 if r % 10 == 9 else NAN for r in range(101)]
    write_run(tmp_path, World(test=test))
    (run,) = find(tmp_path).runs
    assert shown_rounds(run, 101).tolist() == list(range(101))
    assert shown_rounds(run, 5).tolist() == [9, 29, 49, 79, 99, 100]
    assert shown_rounds(run, 50).tolist() == [*range(9, 100, 10), 100]


def test_the_page_asks_for_nothing_from_anywhere(tmp_path: Path) -> None:
    write_run(tmp_path, World())
    text = page(tmp_path)
    assert re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', text) == []
    assert "default-src 'none'" in text
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text)


def test_an_empty_folder_and_a_place_that_takes_no_page_are_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run file here or below"):
        write_page(tmp_path)
    write_run(tmp_path / "a", World())
    with pytest.raises(InputError, match="the page cannot be written"):
        write_page(tmp_path, tmp_path / "a" / "run.h5" / "page.html")


def test_links_are_relative_to_the_page(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "x", World())
    found = find(tmp_path)
    hrefs = [data(render(found, out))["runs"][0]["href"]
             for out in (tmp_path / "r.html", tmp_path / "other" / "r.html")]  # fmt: skip
    assert hrefs == ["runs/x/run.h5", "../runs/x/run.h5"]


def test_a_single_file_that_is_no_run_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "x.h5").write_bytes(b"?")
    with pytest.raises(InputError, match=r"x\.h5: cannot be read as a run file"):
        write_page(tmp_path / "x.h5")


def test_page_and_figures_need_the_base_install_alone(tmp_path: Path) -> None:
    write_run(tmp_path, World(test=(0.5, 0.75)))
    script = f"""
import contextlib, sys
for name in ("torch", "mpi4py", "norse", "tonic", "numba", "soundfile", "requests", "plotly"):
    sys.modules[name] = None
from hpcfed.cli.main import main
names = ("tradeoff", "curve", "clients", "timing", "spikes", "calibration")
for command in [["report"], *(["plot", name] for name in names)]:
    with contextlib.suppress(SystemExit):
        main([*command, {str(tmp_path)!r}])
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
    pictures = {path.stem for path in tmp_path.glob("*.png")}
    wanted = {"tradeoff", "learning_curve", "clients", "timing", "spikes"}
    assert pictures == {*wanted, "calibration_reliability"}
    assert (tmp_path / "report.html").is_file()


def test_settings_of_any_key_stand_in_a_table_beside_the_best(tmp_path: Path) -> None:
    gains = {1: (0.0, 0.01, 0.02), 2: (0.1, 0.12, 0.11)}
    worlds = [
        World(test=(0.5 + gains[epochs][seed],), seed=seed, sets=[f"client.epochs={epochs}"])
        for epochs in gains
        for seed in range(3)
    ]
    write_sweep(tmp_path, worlds)
    worse, best = settings(find(tmp_path), "test_accuracy")
    assert (worse.label, best.label) == ("client.epochs = 1", "client.epochs = 2")
    assert (best.is_reference, best.difference.count) == (True, 0)
    expected = mean_over_seeds([-0.1, -0.11, -0.09])
    assert worse.difference.mean == pytest.approx(expected.mean)
    assert worse.difference.low == pytest.approx(expected.low)
    table = re.search(r'<table id="settings">.*?</table>', page(tmp_path), re.DOTALL)
    assert table is not None
    assert "client.epochs = 1" in table.group()
    assert "-10.0 [-12.5, -7.5]" in table.group()
    assert "the best on validation" in table.group()


def test_numbers_that_chose_a_setting_are_not_compared_with_it(tmp_path: Path) -> None:
    worlds = [World(test=(NAN,), validation=(0.5 + 0.1 * epochs + 0.01 * seed,), seed=seed,
                    sets=[f"client.epochs={epochs}"])
              for epochs in (1, 2) for seed in range(3)]  # fmt: skip
    write_sweep(tmp_path, worlds)
    assert "each against the first" in page(tmp_path)
    first, _ = settings(find(tmp_path), "validation_accuracy")
    assert first.is_reference


def test_one_setting_has_no_table_of_settings(tmp_path: Path) -> None:
    write_sweep(tmp_path, [World(seed=seed) for seed in range(2)])
    assert 'id="settings"' not in page(tmp_path)


def test_the_page_of_one_run_shows_it_and_no_trade_off(tmp_path: Path) -> None:
    write_run(tmp_path, World(test=(0.3, 0.5)))
    text = page(tmp_path)
    assert text.count("<svg") == 4
    assert '<section id="tradeoff" hidden>' in text
    assert 'href="#tradeoff"' not in text
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text)
    for word in ("recognised", "took part", "accuracy / %", "time / s", "chance alone"):
        assert word in text
    assert text.count("<style") == 1  # a picture brings no rules for the rest of the page
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids))


def test_the_page_of_a_run_without_an_evaluation_says_what_it_cannot_show(tmp_path: Path) -> None:
    write_run(tmp_path, World(test=(NAN,), validation=(NAN,)))
    assert "no evaluation yet, no spikes are stored" in re.sub(r"\s+", " ", page(tmp_path))
