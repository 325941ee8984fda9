"""Compiled code is kept, shared and never stale; no folder, file or lock can stop a run."""

from __future__ import annotations

import fcntl
import importlib
import logging
import os
import subprocess
import sys
import tempfile
from collections import namedtuple
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import numba
import numpy as np
import pytest
from numba.core.errors import TypingError

from hpcfed.base import compiled as compiled_module
from hpcfed.base.compiled import compiled, prepare

SOURCES = {
    "__init__": "",
    "constants": "STEP = 1.0\n",
    "helper": """
import numba
from tinykernels.constants import STEP

@numba.njit
def help(x):
    return x + STEP
""",
    "kernels": """
import numpy as np
from hpcfed.base.compiled import compiled
from tinykernels.helper import help

LARGE = np.ones(200_000)

@compiled
def kernel(x):
    return help(x) * 2

@compiled
def outer(x):
    return kernel(x) + 1

@compiled(fastmath=True)
def divide(x):
    return 1.0 / x

@compiled
def minuend(pair):
    return pair.a - pair.b

@compiled
def large(i):
    return LARGE[i]
""",
}
ONCE = """
import sys
from tinykernels.kernels import kernel
print("ready", flush=True)
sys.stdin.readline()
print(kernel(2.0), sum(kernel.stats.cache_misses.values()), sum(kernel.stats.cache_hits.values()))
"""
Start = Callable[[], ModuleType]


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of kept code; the temporary folder is the test's own, too."""
    monkeypatch.setenv("HPCFED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.delenv("SLURM_TMPDIR", raising=False)
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    (tmp_path / "tmp").mkdir()
    return tmp_path / "cache" / "compiled"


@pytest.fixture
def start(tmp_path: Path, places: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Return what imports the kernels anew, as another process would."""
    folder = tmp_path / "sources" / "tinykernels"
    folder.mkdir(parents=True)
    for name, text in SOURCES.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder.parent))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def forget() -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == "tinykernels"]:
            del sys.modules[name]

    def start() -> ModuleType:
        forget()
        importlib.invalidate_caches()
        return importlib.import_module("tinykernels.kernels")

    yield start
    forget()


def counts(kernel: object) -> tuple[int, int]:
    """Return how often a kernel was (compiled, loaded) since its import."""
    stats = kernel.stats
    return sum(stats.cache_misses.values()), sum(stats.cache_hits.values())


def process(tmp_path: Path) -> subprocess.Popen[str]:
    paths = [str(tmp_path / "sources"), str(Path(compiled_module.__file__).parents[2])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "NUMBA_CACHE_DIR": ""}
    command = [sys.executable, "-W", "error", "-c", ONCE]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)


def source(tmp_path: Path, name: str) -> Path:
    return tmp_path / "sources" / "tinykernels" / f"{name}.py"


def refuse(*args: object, **kwargs: object) -> None:
    raise AssertionError("something is written")


def test_of_processes_that_start_together_one_compiles_and_later_ones_load(
    tmp_path: Path, start: Start
) -> None:
    together = [process(tmp_path) for _ in range(4)]
    for one in together:
        assert one.stdout.readline() == "ready\n"
    for one in together:
        one.stdin.write("\n")
        one.stdin.flush()
    results = sorted(one.communicate()[0].strip() for one in together)
    assert results == ["6.0 0 1"] * 3 + ["6.0 1 0"]
    late = process(tmp_path)
    assert late.communicate("\n")[0] == "ready\n6.0 0 1\n"
    assert list((tmp_path / "tmp").rglob("*.lock")) == []


def test_code_is_kept_for_each_list_of_types(start: Start, places: Path) -> None:
    first = start()
    assert (first.kernel(2.0), first.kernel(np.float32(2)), first.outer(2.0)) == (6.0, 6.0, 7.0)
    assert counts(first.kernel) == (2, 0)
    second = start()
    assert (second.kernel(2.0), second.kernel(np.float32(2)), second.outer(2.0)) == (6.0, 6.0, 7.0)
    assert counts(second.kernel) == (0, 2)
    assert counts(second.outer) == (0, 1)
    assert len(list(places.iterdir())) == 3


def test_options_reach_compiled_and_loaded_code(start: Start) -> None:
    for expected in [(1, 0), (0, 1)]:
        divide = start().divide
        assert divide(0.0) == np.inf
        assert counts(divide) == expected
        assert divide.targetoptions["nogil"]


@pytest.mark.parametrize(
    ("name", "old", "new", "result"),
    [
        ("constants", "STEP = 1.0", "STEP = 3.0", 10.0),
        ("helper", "x + STEP", "x - STEP", 2.0),
        ("kernels", "* 2", "* 3", 9.0),
    ],
)
def test_a_changed_source_is_compiled_again_and_the_old_one_still_loads(
    tmp_path: Path, start: Start, name: str, old: str, new: str, result: float
) -> None:
    assert start().kernel(2.0) == 6.0
    text = source(tmp_path, name).read_text()
    source(tmp_path, name).write_text(text.replace(old, new))
    assert start().kernel(2.0) == result
    source(tmp_path, name).write_text(text)
    kernel = start().kernel
    assert kernel(2.0) == 6.0
    assert counts(kernel) == (0, 1)


def test_a_file_that_no_kernel_imports_may_change(tmp_path: Path, start: Start) -> None:
    source(tmp_path, "bystander").write_text("")
    start().kernel(2.0)
    source(tmp_path, "bystander").write_text("A = 1")
    kernel = start().kernel
    kernel(2.0)
    assert counts(kernel) == (0, 1)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:20],
        lambda content: content[:-1],
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        lambda content: b"x" * len(content),
    ],
    ids=["empty", "header cut", "truncated", "one bit", "garbage"],
)
def test_a_damaged_file_is_compiled_again_and_replaced(
    start: Start, places: Path, damage: Callable[[bytes], bytes]
) -> None:
    start().kernel(2.0)
    (file,) = places.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    kernel = start().kernel
    assert kernel(2.0) == 6.0
    assert counts(kernel) == (1, 0)
    again = start().kernel
    assert again(2.0) == 6.0
    assert counts(again) == (0, 1)


def test_loading_writes_nothing(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    start().kernel(2.0)
    for name in ("replacing", "private_folder", "_locked"):
        monkeypatch.setattr(compiled_module, name, refuse)
    kernel = start().kernel
    assert kernel(2.0) == 6.0
    assert counts(kernel) == (0, 1)


@pytest.mark.parametrize("where", ["/proc/nowhere", "file"])
def test_where_the_folder_cannot_be_made_code_is_kept_in_the_temporary_folder(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HPCFED_CACHE", str(tmp_path / where))
    assert start().kernel(2.0) == 6.0
    kernel = start().kernel
    assert kernel(2.0) == 6.0
    assert counts(kernel) == (0, 1)
    assert kernel.stats.cache_path.startswith(str(tmp_path / where))
    private = tmp_path / "tmp" / f"hpcfed-{os.getuid()}"
    assert len(list((private / "compiled").iterdir())) == 1
    assert private.stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_written_still_serves_what_it_has(
    tmp_path: Path, start: Start, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start().kernel(2.0)
    replacing = compiled_module.replacing

    def read_only(path: Path) -> object:
        if path.is_relative_to(places):
            raise OSError(30, "Read-only file system")
        return replacing(path)

    monkeypatch.setattr(compiled_module, "replacing", read_only)
    for expected in [(1, 1), (0, 2)]:
        kernel = start().kernel
        assert kernel(2.0) == kernel(np.float32(2)) == 6.0  # one kept there, one not
        assert counts(kernel) == expected
    assert len(list(places.iterdir())) == 1


def test_without_any_folder_code_is_compiled_with_a_warning(
    tmp_path: Path,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("HPCFED_CACHE", "/proc/nowhere")
    (tmp_path / "tmp" / f"hpcfed-{os.getuid()}").write_text("no folder, so no locks either")
    with caplog.at_level(logging.WARNING, "hpcfed"):
        assert start().kernel(2.0) == 6.0
    assert "set HPCFED_CACHE" in caplog.text


def test_a_temporary_folder_that_others_can_write_is_not_trusted(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPCFED_CACHE", "/proc/nowhere")
    private = tmp_path / "tmp" / f"hpcfed-{os.getuid()}"
    private.mkdir()
    private.chmod(0o777)
    assert start().kernel(2.0) == 6.0
    assert list(private.iterdir()) == []


def test_a_process_that_is_stuck_while_it_compiles_stops_no_other(
    tmp_path: Path, start: Start, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start().kernel(2.0)
    (file,) = places.iterdir()
    file.unlink()
    lock = tmp_path / "tmp" / f"hpcfed-{os.getuid()}" / f"{file.name}.lock"
    monkeypatch.setattr(compiled_module, "_PATIENCE_S", 0.1)
    with lock.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert start().kernel(2.0) == 6.0
    assert file.is_file()


def test_a_kernel_that_another_process_compiles_is_left_for_the_end(
    tmp_path: Path, start: Start, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start().kernel(2.0)
    (file,) = places.glob("*.kernel-*")
    file.unlink()
    lock = tmp_path / "tmp" / f"hpcfed-{os.getuid()}" / f"{file.name}.lock"
    kernels, seen = start(), []
    with lock.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)

        def wait(seconds: float) -> None:
            seen.append(counts(kernels.divide))
            fcntl.flock(stream, fcntl.LOCK_UN)

        monkeypatch.setattr(compiled_module.time, "sleep", wait)
        prepare((kernels.kernel, (2.0,)), (kernels.divide, (2.0,)))
    assert seen == [(1, 0)]
    assert (kernels.kernel(2.0), kernels.divide(2.0)) == (6.0, 0.5)
    assert counts(kernels.kernel) == counts(kernels.divide) == (1, 0)


def test_what_cannot_be_compiled_beforehand_is_an_error_that_keeps_no_lock(
    tmp_path: Path, start: Start
) -> None:
    kernel = start().kernel
    with pytest.raises(TypingError):
        prepare((kernel, ("text",)))
    assert list((tmp_path / "tmp").rglob("*.lock")) == []
    assert kernel(2.0) == 6.0


def test_a_file_system_without_locks_stops_nothing(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*args: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    assert start().kernel(2.0) == 6.0


def test_threads_that_call_together_compile_once(start: Start) -> None:
    kernels = start()
    calls = [kernels.outer, kernels.kernel] * 4
    with ThreadPoolExecutor(len(calls)) as threads:
        results = [future.result() for future in [threads.submit(call, 2.0) for call in calls]]
    assert results == [7.0, 6.0] * 4
    assert counts(kernels.kernel) == counts(kernels.outer) == (1, 0)


def test_tuples_whose_fields_changed_places_have_code_of_their_own(start: Start) -> None:
    """Numba's own cache takes one for the other if the class is found under the same name."""
    for fields in ("a b", "b a"):
        pair = namedtuple("Pair", fields)
        globals()["Pair"] = pair
        assert start().minuend(pair(a=5.0, b=3.0)) == 2.0
    globals().pop("Pair")


def test_code_that_holds_an_address_is_not_kept_and_the_log_says_so(
    start: Start, places: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "hpcfed"):
        assert start().large(3) == 1.0
    assert "large array" in caplog.text
    assert not places.exists()


def test_a_kernel_of_free_variables_is_refused() -> None:
    factor = 2.0
    with pytest.raises(TypeError, match="uses factor of the function around it"):

        @compiled
        def scaled(x: float) -> float:
            return x * factor


def test_the_folder_of_numba_comes_first_then_ours_then_that_of_the_user(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = start().kernel
    assert kernel.stats.cache_path == str(tmp_path / "cache" / "compiled")
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "numba"))
    assert kernel.stats.cache_path == str(tmp_path / "numba" / "hpcfed")
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.delenv("HPCFED_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert kernel.stats.cache_path == str(tmp_path / "xdg" / "hpcfed" / "compiled")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert kernel.stats.cache_path == str(tmp_path / ".cache" / "hpcfed" / "compiled")


def test_without_numba_s_compiler_a_kernel_is_the_plain_function(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    kernel = start().kernel
    prepare((kernel, (2.0,)))
    assert kernel(2.0) == 6.0


@pytest.mark.parametrize(
    "module",
    [
        "hpcfed.learning.event.kernels",
        "hpcfed.federation.uplink.fused",
        "hpcfed.base.philox",
        "hpcfed.datasets.ear.hair_cell",
        "hpcfed.datasets.ear.basilar_membrane",
    ],
)
def test_neither_a_new_key_nor_a_new_purpose_compiles_anything(module: str) -> None:
    importlib.import_module(module)
    names = compiled_module.sources(module)
    assert names is not None
    assert module in names
    assert not [n for n in names if n.startswith(("hpcfed.config", "hpcfed.base.purposes"))]
