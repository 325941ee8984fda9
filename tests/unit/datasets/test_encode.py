"""Recordings to an SHD-format file: names, equal bytes whatever happens, bad input."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import soundfile

from hpcfed.datasets.ear import encode as encode_module
from hpcfed.datasets.ear.encode import EncodeOptions, encode
from hpcfed.datasets.ear.recordings import find_recordings, ordered_names
from hpcfed.datasets.shd import ShdFile, read_shd
from hpcfed.errors import InputError
from hpcfed.samples.binning import Binning

RATE = 8_000
NAMES = ("10_ann_0", "2_ann_0", "2_bob_0", "10_bob_1")


def put(path: Path, frequency: float = 500.0, seconds: float = 0.15, columns: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(RATE * seconds)) / RATE)
    soundfile.write(path, np.repeat(sound[:, None], columns, axis=1), RATE)
    return path


@pytest.fixture
def waves(tmp_path: Path) -> Path:
    for i, name in enumerate(NAMES):
        put(tmp_path / "waves" / f"{name}.wav", 300.0 + 200 * i)
    return tmp_path / "waves"


def options(**changes: object) -> EncodeOptions:
    return EncodeOptions(**{"channels": 12, "workers": 1, **changes})


def test_the_file_has_shds_layout_and_our_reader_reads_it(waves: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.h5"
    encoded = encode(waves, out, options())
    assert encoded.class_names == ("2", "10")  # by number, not as text
    assert encoded.num_samples == 4
    assert list(tmp_path.glob("out.h5*")) == [out]  # no parts, no temporary file
    with h5py.File(out) as file:
        assert file["labels"][()].tolist() == [1, 1, 0, 0]  # sorted by file name
        assert file["extra/speaker"][()].tolist() == [0, 1, 0, 1]
        assert file["extra/keys"][()].tolist() == [b"2", b"10"]
        assert file["spikes/times"][0].dtype == np.float16
        assert file["spikes/units"][0].dtype == np.uint16
    events = read_shd(ShdFile("out", out), Binning(0.2, 10))
    assert events.num_channels == 12
    assert events.group_names == ("ann", "bob")


def test_another_worker_number_gives_the_same_bytes(waves: Path, tmp_path: Path) -> None:
    encode(waves, tmp_path / "one.h5", options())
    encode(waves, tmp_path / "two.h5", options(workers=2))
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()


def test_another_seed_gives_other_spikes(waves: Path, tmp_path: Path) -> None:
    encode(waves, tmp_path / "one.h5", options())
    encode(waves, tmp_path / "two.h5", options(seed=1))
    assert (tmp_path / "one.h5").read_bytes() != (tmp_path / "two.h5").read_bytes()


def test_a_recordings_spikes_do_not_depend_on_the_others(waves: Path, tmp_path: Path) -> None:
    encode(waves, tmp_path / "all.h5", options())
    (waves / "10_ann_0.wav").unlink()
    encode(waves, tmp_path / "fewer.h5", options())
    with h5py.File(tmp_path / "all.h5") as a, h5py.File(tmp_path / "fewer.h5") as b:
        for i in range(3):
            np.testing.assert_array_equal(a["spikes/times"][i + 1], b["spikes/times"][i])


def test_duration_crops(tmp_path: Path) -> None:
    put(tmp_path / "long" / "a.wav", seconds=0.3)
    put(tmp_path / "short" / "a.wav", seconds=0.1)
    encode(tmp_path / "long", tmp_path / "1.h5", options(pattern="{label}", duration=0.1))
    encode(tmp_path / "short", tmp_path / "2.h5", options(pattern="{label}"))
    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "2.h5").read_bytes()


def test_stereo_is_averaged_and_flac_equals_wav(tmp_path: Path) -> None:
    put(tmp_path / "m" / "a_b.wav")
    put(tmp_path / "s" / "a_b.wav", columns=2)
    encode(tmp_path / "m", tmp_path / "m.h5", options(pattern="{label}_{x}.flac"))
    encode(tmp_path / "s", tmp_path / "s.h5", options(pattern="{label}_{x}.wav"))
    assert (tmp_path / "m.h5").read_bytes() == (tmp_path / "s.h5").read_bytes()


def test_times_beyond_two_seconds_are_float32(tmp_path: Path) -> None:
    wave = put(tmp_path / "a.wav", seconds=2.4)
    encode(wave, tmp_path / "o.h5", options(pattern="{label}", channels=4))
    with h5py.File(tmp_path / "o.h5") as file:
        assert file["spikes/times"][0].dtype == np.float32


def test_a_csv_file_names_labels_and_what_is_encoded(waves: Path, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("file,label,speaker\n2_bob_0.wav,two,b\n10_ann_0.wav,ten,a\n")
    encoded = encode(waves, tmp_path / "o.h5", options(labels=table))
    assert encoded.class_names == ("ten", "two")
    assert encoded.speaker_names == ("a", "b")


def test_a_pattern_may_reach_into_folders(tmp_path: Path) -> None:
    put(tmp_path / "w" / "sub" / "ann" / "yes-1.wav")
    found = find_recordings(tmp_path / "w", "{speaker}/{label}-{take}.wav", None)
    assert [(r.label, r.speaker, r.name) for r in found] == [("yes", "ann", "sub/ann/yes-1.wav")]


def test_names_are_ordered_by_number_only_if_all_are_numbers() -> None:
    assert ordered_names(["10", "9", "9"]) == ["9", "10"]
    assert ordered_names(["10", "9", "x"]) == ["10", "9", "x"]


def test_finished_recordings_are_not_encoded_again(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, listen, heard = tmp_path / "out.h5", encode_module.listen, []
    encode(waves, tmp_path / "undisturbed.h5", options())

    def failing(*args: object) -> object:
        heard.append(args[3])
        if len(heard) == 3:
            raise KeyboardInterrupt
        return listen(*args)

    monkeypatch.setattr(encode_module, "listen", failing)
    with pytest.raises(KeyboardInterrupt):
        encode(waves, out, options())
    assert not out.exists()
    encode(waves, out, options())
    assert len(heard) == 3 + 2  # the third recording again, the fourth; not the first two
    assert out.read_bytes() == (tmp_path / "undisturbed.h5").read_bytes()


def test_a_kill_leaves_no_worker_and_a_rerun_gives_the_same_bytes(tmp_path: Path) -> None:
    for i in range(30):
        put(tmp_path / "w" / f"{i}.wav", 200.0 + 50 * i, seconds=1.0)
    choices = options(pattern="{label}", channels=200)
    out, parts = tmp_path / "out.h5", tmp_path / "out.h5.parts"
    code = (
        "import sys, pathlib; from hpcfed.datasets.ear.encode import *\n"
        "if __name__ == '__main__': encode(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), "
        "EncodeOptions(pattern='{label}', channels=200, workers=2))\n"
    )
    script = tmp_path / "start.py"
    script.write_text(code)
    paths = os.pathsep.join(filter(None, sys.path))  # the worker processes import it by name
    command = [sys.executable, str(script), str(tmp_path / "w"), str(out)]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths})
    wait_for(lambda: any(parts.glob("*.npz")))
    workers = children(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    wait_for(lambda: not any(is_running(worker) for worker in workers))
    done = len(list(parts.glob("*.npz")))
    assert 0 < done < 30
    encode(tmp_path / "w", out, choices)
    encode(tmp_path / "w", tmp_path / "undisturbed.h5", choices)
    assert out.read_bytes() == (tmp_path / "undisturbed.h5").read_bytes()
    assert not parts.exists()


def wait_for(condition: object, timeout_s: float = 60.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_an_existing_file_is_kept(waves: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.h5"
    out.write_text("precious")
    with pytest.raises(InputError, match="exists already"):
        encode(waves, out, options())
    assert out.read_text() == "precious"


def test_an_unwritable_place_is_refused_before_any_work(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encode_module, "listen", None)  # calling it would be another error
    (tmp_path / "file").write_text("")
    (tmp_path / "taken.h5.parts").write_text("")
    for name in ("file/out.h5", "file/sub/out.h5", "taken.h5", "n" * 240, "n" * 300):
        with pytest.raises(InputError, match=r"cannot be written \(.*give a file in a folder"):
            encode(waves, tmp_path / name, options())


def test_what_a_kill_left_of_this_output_is_removed(waves: Path, tmp_path: Path) -> None:
    mine = tmp_path / ".out[1].h5.somewhere.1.1.tmp"
    others = tmp_path / ".out1.h5.somewhere.1.1.tmp"
    for left in (mine, others):
        left.write_text("half")
    encode(waves, tmp_path / "out[1].h5", options())
    assert not mine.exists()
    assert others.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == [others.name, "out[1].h5", "waves"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty_x_0.wav: not readable"),
        (b"RIFF but nothing more", "empty_x_0.wav: not readable"),
        (np.zeros(800), "silent"),
        (np.zeros(0), "0 samples"),
        (np.full(800, np.nan), "not finite"),
    ],
)
def test_unusable_audio_is_named_before_anything_is_written(
    waves: Path, tmp_path: Path, content: bytes | np.ndarray, message: str
) -> None:
    bad = waves / "empty_x_0.wav"
    if isinstance(content, bytes):
        bad.write_bytes(content)
    else:
        soundfile.write(bad, content, RATE, subtype="FLOAT")
    with pytest.raises(InputError, match=message) as caught:
        encode(waves, tmp_path / "sub" / "out.h5", options())
    assert bad.name in str(caught.value)
    assert not (tmp_path / "sub").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pattern": "{label}-{index}.wav"}, "10_ann_0.wav: the name does not match"),
        ({"pattern": "{speaker}.wav"}, "needs the field {label}"),
        ({"pattern": "{label}_{label}.wav"}, "each field once"),
        ({"channels": 0}, "channels 0"),
        ({"duration": 0.0}, "duration 0.0"),
        ({"duration": float("nan")}, "duration nan"),
        ({"seed": -1}, "seed -1"),
        ({"workers": 0}, "workers 0"),
    ],
)
def test_bad_options_are_refused(
    waves: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        encode(waves, tmp_path / "out.h5", options(**changes))
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\nnobody.wav,1\n", "line 2: nobody.wav is not among the recordings"),
        ("file,label\n2_ann_0.wav,1\n2_ann_0.wav,1\n", "line 3: 2_ann_0.wav is listed twice"),
        ("name,label\n2_ann_0.wav,1\n", "expected the columns file, label"),
        ("file,label\n", "lists no recordings"),
        (None, "not readable as CSV"),
    ],
)
def test_bad_csv_files_are_refused(
    waves: Path, tmp_path: Path, text: str | None, message: str
) -> None:
    table = tmp_path / "labels.csv"
    if text is not None:
        table.write_text(text)
    with pytest.raises(InputError, match=message):
        encode(waves, tmp_path / "out.h5", options(labels=table))


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no recordings"):
        encode(tmp_path, tmp_path / "out.h5", options())
    with pytest.raises(InputError, match="no such file or folder"):
        encode(tmp_path / "nowhere", tmp_path / "out.h5", options())
