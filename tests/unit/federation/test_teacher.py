"""Which run files may be teachers, what is recorded of them, and that they stay the same."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from hpcfed import load
from hpcfed.config.file import parse_experiment
from hpcfed.datasets import load as load_data
from hpcfed.errors import InputError
from hpcfed.federation import teacher as teachers
from hpcfed.federation.run import Request, run
from hpcfed.learning.model import TrainedModel
from hpcfed.networks.layout import Layout
from hpcfed.records import origins as recorded
from hpcfed.records.origins import Made
from hpcfed.records.runfile import Record, read_record, write_record
from tests import toy_world

OWN = "def network(experiment, inputs, num_classes):\n    raise RuntimeError('imported')\n"
JOB = """
[data]
dataset = "digits"
validation_fraction = 0.1
[model]
kind = "ann"
hidden = [4]
[client]
steps = 1
batch_size = 8
[server]
rounds = 2
[run]
eval_every = 2
"""


def train(out: Path, *sets: str, resume: bool = False) -> Record:
    experiment = parse_experiment(JOB, sets)
    run(Request(lambda: experiment, out, resume))
    return read_record(out)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher") / "run"
    train(folder, "model.hidden=[8]")
    return folder / "run.h5"


def changed(source: Path, target: Path, toml: str = "", **fields: object) -> Path:
    """Return a copy of a run file, with some lines more in its configuration."""
    record = read_record(source)
    attributes = record.attributes | {"config_toml": record.attributes["config_toml"] + toml}
    write_record(target, replace(record, **({"attributes": attributes} | fields)))
    return target


def test_a_student_learns_other_parameters_and_says_from_whom(
    teacher: Path, tmp_path: Path
) -> None:
    plain, taught = train(tmp_path / "a"), train(tmp_path / "b", f"client.teacher={teacher}")
    assert not np.array_equal(plain.params, taught.params)
    known = json.loads(taught.attributes["origins"])
    assert len(known["teacher"]) == 64
    assert set(known) - set(json.loads(plain.attributes["origins"])) == {"teacher"}
    assert f'teacher = "{teacher}"' in taught.attributes["config_toml"]


def test_the_logits_are_those_of_the_loaded_run_in_batches_of_64(teacher: Path) -> None:
    experiment = parse_experiment(JOB, [f"client.teacher={teacher}"])
    data = load_data(experiment.data)
    model = teachers.read_teacher(experiment, data)
    assert model is not None
    rows = np.zeros((data.train.num_samples, 10))
    teachers._answer(model, data, SimpleNamespace(rank=0, size=1), rows)
    expected = load(teacher).logits(data.train, data.train_ids)
    np.testing.assert_allclose(rows[data.train_ids], expected, rtol=1e-6, atol=1e-7)
    assert not rows[data.validation_ids].any()


def test_a_teacher_of_another_split_is_said(teacher: Path, tmp_path: Path) -> None:
    said: list[str] = []
    for seed in (0, 1):
        sets = [f"client.teacher={teacher}", f"data.split_seed={seed}"]
        experiment = parse_experiment(JOB, sets)
        out = tmp_path / f"{seed}"
        run(Request(lambda experiment=experiment: experiment, out, notify=said.append))
    assert sum("may have seen the validation samples" in line for line in said) == 1


def test_a_changed_teacher_is_refused_on_resume_and_the_old_one_goes_on(
    teacher: Path, tmp_path: Path
) -> None:
    path, out = tmp_path / "teacher.h5", tmp_path / "run"
    shutil.copyfile(teacher, path)
    train(out, f"client.teacher={path}")
    before = (out / "run.h5").read_bytes()
    params = read_record(path).params
    changed(path, path, params=params + np.float32(0.5))
    with pytest.raises(InputError, match=r"other values of the teacher"):
        train(out, f"client.teacher={path}", "server.rounds=3", resume=True)
    assert (out / "run.h5").read_bytes() == before
    shutil.copyfile(teacher, path)
    assert train(out, f"client.teacher={path}", "server.rounds=3", resume=True).log.num_rounds == 3


def test_runs_of_other_teachers_under_one_name_are_told_apart() -> None:
    runs = [
        Made(name, {"client.teacher": "t.h5"}, {"origins": json.dumps({"teacher": digest})})
        for name, digest in {"a": "x", "b": "x", "c": "y"}.items()
    ]
    found = recorded.apart(runs)
    assert list(found) == ["c"]
    assert "teachers" in found["c"]


def refused(tmp_path: Path, *sets: str) -> str:
    with pytest.raises(InputError) as caught:
        train(tmp_path / "student", *sets)
    assert not (tmp_path / "student").exists()
    return str(caught.value)


def test_what_is_no_run_file_or_has_no_parameters_is_refused(teacher: Path, tmp_path: Path) -> None:
    missing = refused(tmp_path, "client.teacher=none/run.h5", "client.teacher_weight=0")
    assert missing == "client.teacher = none/run.h5: none/run.h5: no such run file"
    (tmp_path / "text.h5").write_text("no run")
    assert "text.h5" in refused(tmp_path, f"client.teacher={tmp_path / 'text.h5'}")
    empty = changed(teacher, tmp_path / "empty.h5", params=np.zeros(0, np.float32))
    assert "holds 0 parameters" in refused(tmp_path, f"client.teacher={empty}")


def test_a_teacher_of_other_data_is_refused(teacher: Path, tmp_path: Path) -> None:
    named = f"client.teacher={teacher}"
    assert "data.classes = None" in refused(tmp_path, named, "data.classes=[1, 0]")
    words = refused(tmp_path, named, "data.dataset=spoken-digits", "data.num_bins=10")
    assert "other files (digits)" in words
    assert "spoken-digits" in words


@pytest.mark.parametrize("key", ["data.num_bins=8", "data.duration=2.0", "data.counts=true"])
def test_a_teacher_of_other_bins_is_refused(tmp_path: Path, key: str) -> None:
    ours = [*toy_world.SETS, "rule.kind=backprop"]
    taught = parse_experiment("", [*ours, "client.teacher=run.h5"])
    data = load_data(taught.data)
    record = Record(
        {"data_digest": data.digest, "data_source": "toy"}, None, {}, {}, np.zeros(0), ((), ()), {},
        [],
    )  # fmt: skip
    model = TrainedModel(parse_experiment("", [*ours, key]), Layout(()), record.params)
    with pytest.raises(InputError, match=f"trained with {key.partition('=')[0]} = "):
        teachers._check(record, model, taught, data)


def test_a_teacher_that_does_not_fit_its_own_layout_is_refused(
    teacher: Path, tmp_path: Path
) -> None:
    wide = changed(teacher, tmp_path / "wide.h5", attributes=with_hidden(teacher, 9))
    assert "need matrices" in refused(tmp_path, f"client.teacher={wide}")


def with_hidden(source: Path, neurons: int) -> dict[str, object]:
    attributes = read_record(source).attributes
    text = attributes["config_toml"].replace("8,\n", f"{neurons},\n")
    return attributes | {"config_toml": text}


def test_a_teacher_that_has_diverged_is_refused(teacher: Path, tmp_path: Path) -> None:
    params = read_record(teacher).params * np.float32(np.nan)
    broken = changed(teacher, tmp_path / "broken.h5", params=params)
    assert "are not finite" in refused(tmp_path, f"client.teacher={broken}")


def test_code_that_a_teachers_file_names_is_imported_with_trust_alone(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_teacher.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    text = read_record(teacher).attributes["config_toml"].replace('"ann"', '"my_teacher:network"')
    attributes = read_record(teacher).attributes | {"config_toml": text}
    named = changed(teacher, tmp_path / "own.h5", attributes=attributes)
    words = refused(tmp_path, f"client.teacher={named}")
    assert "imports my_teacher:network" in words
    assert "client.teacher_trust = true" in words
    with pytest.raises(Exception, match="imported"):
        train(tmp_path / "student", f"client.teacher={named}", "client.teacher_trust=true")
