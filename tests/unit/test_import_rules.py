"""Imports go downwards only, and each library has one home."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "hpcfed"

# a module may import modules of its own level or below; a room has the level of its name
LEVELS = {
    "cli": 7,
    "cli_sweep": 7,
    "__main__": 8,
    "rank": 6,
    "__init__": 6,  # hpcfed.run and hpcfed.load
    "doctor": 6,
    "sweep": 6,
    "federation": 5,
    "progress": 5,
    "launch": 4,
    "report": 4,
    "snn": 4,
    "datasets": 4,
    "partition": 4,
    "records": 3,
    "columns": 3,
    "runstate": 3,
    "requeued": 3,
    "jobfiles": 2,
    "events": 2,
    "dotted": 2,
    "experiment_file": 2,
    "seeds": 1,
    "config": 1,
    "names": 1,
    "signals": 1,
    "terminal": 1,
    "atomic": 1,
    "private": 1,
    "compiled": 1,
    "philox": 1,
    "errors": 0,
}
# rooms of the same level that must not know each other
APART = [
    ("snn", "datasets"),
    ("snn", "partition"),
    ("datasets", "partition"),
    ("datasets", "snn"),
    ("launch", "snn"),
    ("launch", "datasets"),
]
# the part of a sweep that trains; the rest of it works on a login node
WORKER = {"sweep/worker.py", "sweep/timing.py", "sweep/checks.py"}
# what stands on records and configuration alone, and reaches no MPI and no training
LIGHT = {
    "report": {
        *("records", "columns", "config", "experiment_file", "names"),
        *("errors", "atomic", "terminal"),
    },
    "columns": {"records", "errors"},
    "records": {"config", "errors", "atomic"},
    "runstate": {"records", "columns", "errors"},
    "sweep": {
        *("records", "runstate", "config", "experiment_file", "jobfiles", "names"),
        "requeued",
        *("errors", "atomic", "terminal"),
    },
    "atomic": {"errors"},
    "compiled": {"atomic", "private"},
    "seeds": set(),
    "errors": set(),
    "config": {"errors"},
}
# Triton's kernels, and what starts them itself
GPU_KERNELS = {
    f"snn/gpu_{name}.py"
    for name in ("augment", "layers", "optimiser", "philox", "products", "readout")
}
GPU_FILES = {*GPU_KERNELS, "snn/gpu_launch.py", "snn/gpu_update.py"}
HOMES = {
    "mpi4py": {"federation/transport.py"},
    "norse": {"snn/reference.py"},
    "triton": GPU_FILES,
    "tonic": {"datasets/"},
    "h5py": {"records.py", "columns.py", "runstate.py", "datasets/"},
    "tomli_w": {"experiment_file.py"},
    "typer": {"cli.py", "cli_sweep.py"},
    "matplotlib": {"report/", "datasets/info.py"},
    "jinja2": {"report/", "sweep/script.py"},
    "xarray": {"report/", "sweep/cube.py"},
    "espeakng_loader": set(),
}
# what holds compiled code imports numba, and is itself imported where it is used
KERNELS = {
    "compiled.py",
    "philox.py",
    "datasets/basilar_membrane.py",
    "datasets/hair_cell.py",
    "federation/fused.py",
    "snn/event_kernels.py",
    "snn/event_neurons.py",
    "snn/lanes.py",
    "snn/vectors.py",
}
# heavy libraries are imported where they are used, never by importing a light module
LAZY = {
    *("torch", "norse", "triton", "tonic", "numba", "scipy", "soundfile", "matplotlib", "mpi4py"),
    *("jinja2", "xarray", "pandas"),
}
EAGER_ALLOWED = {
    "torch": {"snn/"},
    "norse": {"snn/reference.py"},
    "triton": GPU_FILES,
    "numba": KERNELS,
    "scipy": {"datasets/"},
}

FILES = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path, top_level_only: bool = False) -> Iterator[str]:
    """Yield the dotted names that a file imports, leaving out those for type checkers."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in walk(tree, top_level_only):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def walk(tree: ast.AST, top_level_only: bool) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
        if top_level_only and isinstance(node, functions):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from walk(node, top_level_only)


def room(path: Path) -> str:
    """Return the room of a file: its folder, or its name at the top."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def rooms(path: Path) -> set[str]:
    """Return the rooms a file imports from."""
    found = set()
    for name in imports(path):
        package, _, rest = name.partition(".")
        if package == "hpcfed":
            first = rest.partition(".")[0]
            found.add(first if first in LEVELS else "__init__")
    return found


def place(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def at_home(path: Path, homes: set[str]) -> bool:
    return any(place(path) == h or (h.endswith("/") and place(path).startswith(h)) for h in homes)


@pytest.mark.parametrize("path", FILES, ids=place)
def test_imports_go_downwards_only(path: Path) -> None:
    mine = room(path)
    assert mine in LEVELS, f"{mine}: give the new room its level"
    for other in rooms(path) - {mine}:
        if other == "__init__":
            continue  # the version number
        assert LEVELS[other] <= LEVELS[mine], f"{place(path)} imports {other}"
        assert (mine, other) not in APART, f"{place(path)} imports {other}"


@pytest.mark.parametrize("path", [f for f in FILES if room(f) in LIGHT], ids=place)
def test_light_rooms_stand_on_little(path: Path) -> None:
    if place(path) not in WORKER:
        assert rooms(path) <= LIGHT[room(path)] | {room(path)}


@pytest.mark.parametrize("path", [f for f in FILES if room(f) == "sweep"], ids=place)
def test_the_rest_of_a_sweep_does_not_know_the_worker(path: Path) -> None:
    workers = {f"hpcfed.{name.removesuffix('.py').replace('/', '.')}" for name in WORKER}
    known = {name.rpartition(".")[0] for name in imports(path)} & workers
    assert place(path) in WORKER or not known


@pytest.mark.parametrize("library", HOMES)
def test_each_library_has_one_home(library: str) -> None:
    users = {
        path for path in FILES if library in {name.partition(".")[0] for name in imports(path)}
    }
    assert [place(path) for path in users if not at_home(path, HOMES[library])] == []


@pytest.mark.parametrize("path", FILES, ids=place)
def test_heavy_libraries_are_imported_where_they_are_used(path: Path) -> None:
    names = set(imports(path, top_level_only=True))
    heavy = {name.partition(".")[0] for name in names} & LAZY
    if "hpcfed.compiled.compiled" in names:
        heavy.add("numba")
    for library in heavy:
        assert at_home(path, EAGER_ALLOWED.get(library, set())), f"{place(path)}: {library}"


@pytest.mark.parametrize("path", [f for f in FILES if place(f) in GPU_FILES], ids=place)
def test_only_the_gpu_engine_knows_its_files(path: Path) -> None:
    """Whoever imports one imports Triton: others do it where the engine has been chosen."""
    module = f"hpcfed.snn.{path.stem}"
    users = {
        place(file)
        for file in FILES
        if any(f"{name}.".startswith(f"{module}.") for name in imports(file, top_level_only=True))
    }
    assert users
    assert all(user.startswith("snn/gpu_") for user in users)
