"""Shared by all tests: private folders, files from outside the repository, hypothesis profiles.

Nothing is read from or left in the caches and data folders of the user.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any  # xdist's log and scheduling

import hypothesis
import pytest

# a shell that starts us in the background has the interrupt ignored, nohup the hang-up, and what we
# start as well
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# a shared or busy machine has no steady pace; in CI a failure must be the commit's, not the draw's
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")


# what compiles for all begins first, and what waits longest beside it
_FIRST = ("bits", "slurm", "mpi", "browser")
# these files share what they start, or compile
_TOGETHER = ("tests/mpi/bits/", "/test_stack_", "/test_circuit_")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the folders of tests: parallel processes take whole files from the front."""

    def place(item: pytest.Item) -> int:
        folder = item.path.parent.name
        return _FIRST.index(folder) if folder in _FIRST else len(_FIRST)

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give whole files to parallel processes, and some files to the same one."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            shared = next((part for part in _TOGETHER if part in file), None)
            return shared or super()._split_scope(nodeid)

    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Return the folder of test files that are not in the repository (HPCFED_TEST_DATA)."""
    name = os.environ.get("HPCFED_TEST_DATA", "")
    if name and Path(name).is_dir():
        return Path(name).resolve()
    reason = f"HPCFED_TEST_DATA names no folder: {name}" if name else "HPCFED_TEST_DATA is not set"
    if os.environ.get("HPCFED_REQUIRE_TEST_DATA"):
        pytest.fail(f"{reason}, and HPCFED_REQUIRE_TEST_DATA forbids to skip", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def private_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Point the caches and the data root below pytest's own folder, before any other fixture.

    Parallel processes share it, so that a kernel is compiled once.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HPCFED_CACHE", str(base / "event-cache"))
        patch.setenv("HPCFED_DATA", str(base / "no-data"))
        yield


@pytest.fixture(autouse=True)
def forget_own_modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Forget modules that a test wrote and imported: another test may have one of that name."""
    known = set(sys.modules)
    yield
    base = str(tmp_path_factory.getbasetemp())
    for name in sys.modules.keys() - known:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(base):
            del sys.modules[name]
