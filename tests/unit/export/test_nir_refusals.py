"""What NIR cannot say is refused with a reason; a file is written whole, and never by accident."""

from __future__ import annotations

import builtins
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import pytest

import hpcfed
from hpcfed.errors import InputError
from hpcfed.export.run import Export, export
from tests.nir_runs import experiment, without_evaluation, write_run

SMALL: dict[str, Any] = {"hidden": [6]}
REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "hpcfed convert": ({"hidden": [6], "kind": "ann"}, {}),
    "its neurons are refractory": ({"hidden": [6], "kind": "soft-lif"}, {"data": {"num_bins": 60}}),
    "a program of your own": ({"hidden": [6], "kind": "mynetwork:network"}, {}),
    "a threshold that moves": ({"hidden": [6], "neuron": "alif"}, {}),
    "follows from each sample": ({"hidden": [6], "norm": "group"}, {}),
    "no maximum pools": ({"hidden": ["4c3", "m2", 6]}, {}),
    "before it is repeated": ({"hidden": [["repeat", 7]]}, {}),
    "a probability for each weight": (SMALL, {"rule": {"kind": "bayes"}}),
    "local readouts are refractory": (SMALL, {"rule": {"kind": "local"}}),
    'rule.kind = "glm"': (
        SMALL,
        {"rule": {"kind": "glm"}, "client": {"batch_size": 1, "optimizer": "sgd"}},
    ),
    'rule.kind = "stdp"': (
        SMALL,
        {"rule": {"kind": "stdp"}, "client": {"batch_size": 1, "optimizer": "sgd"}},
    ),
    'rule.kind = "myrule:RULE"': (SMALL, {"rule": {"kind": "myrule:RULE"}}),
    "another one in each bin": ({"hidden": [6], "norm": "bntt"}, {}),
    "is another one": ({"hidden": [6], "norm": "tebn"}, {}),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_nir_cannot_say_is_refused_and_nothing_is_written(tmp_path: Path, reason: str) -> None:
    model, tables = REFUSED[reason]
    inputs = (2, 8, 6) if "4c3" in model["hidden"] else (7,)
    run = write_run(tmp_path / "run", experiment(model, **tables), inputs)
    with pytest.raises(InputError, match="run: cannot be written as NIR") as refused:
        export(Export(run, tmp_path / "net.nir"))
    assert reason in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_the_command_refuses_with_one_message_and_code_2(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", experiment({"hidden": [6], "neuron": "alif"}), (7,))
    ended = subprocess.run(
        [sys.executable, "-m", "hpcfed", "export", run, tmp_path / "net.nir"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: ")
    assert "a threshold that moves" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_file_that_is_there_is_replaced_when_asked_for_alone(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", experiment(SMALL), (7,))
    out = tmp_path / "net.nir"
    out.write_text("somebody's")
    with pytest.raises(InputError, match=r"net\.nir: is there already; replace it with --force"):
        export(Export(run, out))
    assert out.read_text() == "somebody's"
    assert export(Export(run, out, force=True)) == out
    assert nir.read(out).nodes


def test_a_refusal_leaves_the_file_that_would_be_replaced(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", experiment({"hidden": [6], "neuron": "alif"}), (7,))
    out = tmp_path / "net.nir"
    out.write_text("somebody's")
    with pytest.raises(InputError, match="a threshold that moves"):
        export(Export(run, out, force=True))
    assert out.read_text() == "somebody's"


def test_a_file_that_appears_meanwhile_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run(tmp_path / "run", experiment(SMALL), (7,))
    out, write = tmp_path / "net.nir", nir.write

    def beside(*arguments: Any) -> None:
        write(*arguments)
        out.write_text("somebody's")

    monkeypatch.setattr(nir, "write", beside)
    with pytest.raises(InputError, match="is there already"):
        export(Export(run, out))
    assert out.read_text() == "somebody's"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.nir", "run"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda run: Export(run, run), "is a folder; expected a file to write"),
        (lambda run: Export(run, run / "run.h5", force=True), "is a run file, which is not"),
        (lambda run: Export(run, Path("/dev/null"), force=True), "/dev/null: is a device"),
        (lambda run: Export(run, run / "no" / "net.nir"), "cannot be written: No such file"),
        (lambda run: Export(run / "no", run / "net.nir"), "no such run file"),
        (lambda run: Export(run, run / "net.nir", time_step=0.0), "--time-step 0: expected"),
        (lambda run: Export(run, run / "net.nir", time_step=float("nan")), "--time-step nan"),
    ],
)  # fmt: skip
def test_wrong_paths_and_steps_are_said(
    tmp_path: Path, wrong: Callable[[Path], Export], message: str
) -> None:
    run = write_run(tmp_path / "run", experiment(SMALL), (7,))
    with pytest.raises(InputError, match=message):
        export(wrong(run))
    assert [path.name for path in run.iterdir()] == ["run.h5"]


def test_a_run_of_another_name_is_not_replaced_by_its_network(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", experiment(SMALL), (7,))
    (run / "run.h5").rename(tmp_path / "kept.h5")
    (tmp_path / "link").symlink_to("kept.h5")
    before = (tmp_path / "kept.h5").read_bytes()
    for out in ("kept.h5", "link"):
        with pytest.raises(InputError, match="is a run file, which is not replaced"):
            export(Export(tmp_path / "kept.h5", tmp_path / out, force=True))
    assert (tmp_path / "kept.h5").read_bytes() == before


def test_a_current_has_no_voltage(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", experiment(SMALL | {"readout": "current"}), (7,))
    with pytest.raises(InputError, match=r'model\.readout = "current" has no voltage'):
        export(Export(run, tmp_path / "net.nir", voltage=True))


def test_without_the_package_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run(tmp_path / "run", experiment(SMALL), (7,))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install nir"):
        export(Export(run, tmp_path / "net.nir"))


def test_the_file_says_which_run_it_is_of(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", experiment(SMALL, data={"counts": True}), (7,))
    found = nir.read(export(Export(run, tmp_path / "net.nir"))).metadata
    assert found["written_by"] == f"hpcfed {hpcfed.__version__}"
    assert (found["run"], int(found["rounds"])) == ("example", 3)
    assert found["params_digest"] == f"{2:064d}"
    assert json.loads(found["class_names"]) == ["zero", "one", "two"]
    assert (found["time_bin"], found["time_step"], found["num_bins"]) == (0.01, 0.01, 12)
    assert found["input"].endswith("counted")
    assert len(found["config_digest"]) == 64


def test_a_picture_that_no_evaluation_has_shown_is_that_of_the_data(tmp_path: Path) -> None:
    names = tuple(map(str, range(10)))
    made = experiment({"hidden": ["4c3", "p2"]}, data={"dataset": "digits"})
    run = write_run(tmp_path / "run", made, (1, 8, 8), names)
    without_evaluation(run)
    graph = nir.read(export(Export(run, tmp_path / "net.nir")))
    assert graph.nodes["input"].input_type["input"].tolist() == [1, 8, 8]
    assert "sign of x = 2 p / 255 - 1 with probability |x| / 2" in graph.metadata["input"]
    assert json.loads(graph.metadata["class_names"]) == list(names)


def test_code_of_the_data_is_imported_with_trust_alone(tmp_path: Path) -> None:
    made = experiment({"hidden": ["4c3", "p2"]}, data={"dataset": "nowhere_at_all:load"})
    run = write_run(tmp_path / "run", made, (1, 8, 8))
    without_evaluation(run)
    with pytest.raises(InputError, match="nowhere_at_all:load makes; if you trust that code"):
        export(Export(run, tmp_path / "net.nir"))
    with pytest.raises(InputError, match="importing nowhere_at_all failed"):
        export(Export(run, tmp_path / "net.nir", trust=True))


def test_help_and_export_load_the_package_where_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def counted(name: str, *arguments: Any) -> Any:
        assert name != "nir"
        return imported(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", counted)
    for name in [n for n in sys.modules if n.startswith("hpcfed.export")]:
        monkeypatch.delitem(sys.modules, name)
    import hpcfed.export.run  # noqa: F401
