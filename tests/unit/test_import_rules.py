"""Imports go downwards only, along one list of rooms, and each library has one home."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.places import PACKAGE

# From the ground up: a room may import the rooms before it, and its own files.
ROOMS = (
    *("errors", "base", "config", "samples", "clients", "records", "datasets", "networks"),
    *("learning", "learning/autograd", "learning/event", "learning/stack", "learning/gpu"),
    *(
        "learning/local",
        "learning/circuit",
        "learning/stdp",
        "learning/engines",
        "learning/rules",
        "learning/model",
        "export",
    ),
    *("report", "launch", "tracking"),
    *("federation/mpi", "federation/uplink", "federation"),
    *("sweep/planning", "sweep/search", "sweep/slurm", "sweep/working", "sweep/collecting"),
    *("sweep", "watch", "api", "__init__", "cli", "__main__"),
)
# The package's face may be imported by everybody: it holds the version and loads nothing.
FACE = "__init__"
# Rooms that must not know each other, or all but a few, though the list would let them.
APART = [
    ("networks", "datasets"),
    ("networks", "clients"),
    ("networks", "records"),
    ("learning", "datasets"),
    ("launch", "datasets"),
    ("launch", "networks"),
    ("launch", "learning"),
    ("launch", "report"),
    ("federation", "report"),
    ("datasets", "clients"),
]
# What stands on little, and so works on a login node: it reaches no MPI and no training.
LIGHT = {
    "base": {"errors"},
    "config": {"errors", "base"},
    "records": {"errors", "base", "config"},
    "report": {"errors", "base", "config", "records"},
    "tracking": {"errors", "base", "config"},
    "sweep": {"errors", "base", "config", "records", "launch", "sweep"},
    "watch": {"errors", "base", "config", "records", "report", "sweep"},
}
# the part of a sweep that trains
WORKER = {
    "sweep/working/worker.py",
    "sweep/planning/timing.py",
    "sweep/planning/traffic.py",
    "sweep/planning/checks.py",
}
# Triton's kernels, and what starts them itself
GPU_KERNELS = {
    f"learning/gpu/{name}.py"
    for name in (
        *("augment", "layers", "optimiser", "philox", "products", "readout"),
        *("images/moments", "images/neurons", "images/pixels"),
    )
}
GPU_FILES = {*GPU_KERNELS, "learning/gpu/launch.py", "learning/gpu/update.py"}
HOMES = {
    "mpi4py": {"federation/mpi/transport.py"},
    "norse": {"networks/spiking.py", "networks/neurons.py", "networks/surrogates.py"},
    "triton": GPU_FILES,
    "tonic": {"datasets/"},
    "h5py": {"records/", "datasets/"},
    "tomli_w": {"config/file.py"},
    "typer": {"cli/"},
    "matplotlib": {"report/", "datasets/info.py"},
    "jinja2": {"report/", "sweep/slurm/script.py"},
    "xarray": {"report/", "sweep/collecting/"},
    "nir": {"export/"},
    "espeakng_loader": set(),
    "mlflow": {"tracking/"},
    "wandb": {"tracking/"},
}
# what holds compiled code imports numba, and is itself imported where it is used
KERNELS = {
    "base/compiled.py",
    "base/philox.py",
    "datasets/ear/basilar_membrane.py",
    "datasets/ear/hair_cell.py",
    "federation/uplink/fused.py",
    "networks/leaky.py",
    "learning/latents.py",
    "learning/event/binary.py",
    "learning/event/kernels.py",
    "learning/event/neurons.py",
    "learning/event/lanes.py",
    "learning/event/vectors.py",
    "learning/local/kernels.py",
    "base/parts.py",
    "learning/circuit/kernels.py",
    "learning/circuit/products.py",
    "learning/circuit/rows.py",
    "learning/circuit/visible.py",
    "learning/stdp/kernels.py",
    "learning/stack/kernels.py",
    "learning/stack/registers.py",
    "learning/stack/vectors.py",
    "learning/stack/gathering.py",
    "learning/stack/products.py",
}
# heavy libraries are imported where they are used, never by importing a light module
LAZY = {
    *("torch", "norse", "triton", "tonic", "numba", "scipy", "soundfile", "matplotlib", "mpi4py"),
    *("jinja2", "nir", "xarray", "pandas", "mlflow", "wandb"),
}
EAGER_ALLOWED = {
    "torch": {"networks/", "learning/"},
    "norse": {"networks/spiking.py", "networks/neurons.py", "networks/surrogates.py"},
    "triton": GPU_FILES,
    "numba": KERNELS,
    "scipy": {"datasets/"},
}

FILES = sorted(PACKAGE.rglob("*.py"))


@cache
def imports(path: Path, top_level_only: bool = False) -> tuple[str, ...]:
    """Return the dotted names that a file imports, leaving out those for type checkers."""
    found: list[str] = []
    for node in walk(ast.parse(path.read_text(encoding="utf-8")), top_level_only):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module is not None
            found += (f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(found)


def walk(tree: ast.AST, top_level_only: bool) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
        if top_level_only and isinstance(node, functions):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from walk(node, top_level_only)


def place(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def room(file: str) -> str:
    """Return the room of a file below the package, itself or the nearest folder in the list."""
    parts = file.removesuffix(".py").split("/")
    names = ["/".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return next((name for name in names if name in ROOMS), parts[0])


def file_of(name: str) -> str | None:
    """Return the package's file that a dotted name lies in; None for a name of others."""
    parts = name.split(".")
    if parts[0] != "hpcfed":
        return None
    for length in range(len(parts), 0, -1):
        inner = "/".join(parts[1:length])
        if inner and (PACKAGE / f"{inner}.py").is_file():
            return f"{inner}.py"
        if (PACKAGE / inner / "__init__.py").is_file():
            return f"{inner}/__init__.py".removeprefix("/")
    return None


def known(path: Path) -> set[str]:
    """Return the package's files that a file imports."""
    return {file for name in imports(path) if (file := file_of(name)) is not None}


def at_home(path: Path, homes: set[str]) -> bool:
    return any(place(path) == h or (h.endswith("/") and place(path).startswith(h)) for h in homes)


def first(name: str) -> str:
    """Return the folder, or the file without its suffix, that a file lies in."""
    return name.partition("/")[0].removesuffix(".py")


def test_every_room_has_its_place_in_the_list() -> None:
    assert {room(place(path)) for path in FILES} <= set(ROOMS)


def test_imports_go_downwards_only() -> None:
    upwards = [
        f"{place(path)} imports {file}"
        for path in FILES
        for file in known(path)
        if room(file) not in {room(place(path)), FACE}
        and ROOMS.index(room(file)) >= ROOMS.index(room(place(path)))
    ]
    assert upwards == []


def test_some_rooms_do_not_know_each_other() -> None:
    pairs = {(first(place(path)), first(file)) for path in FILES for file in known(path)}
    assert pairs & set(APART) == set()


@pytest.mark.parametrize("light", LIGHT)
def test_light_rooms_stand_on_little(light: str) -> None:
    files = [path for path in FILES if first(place(path)) == light and place(path) not in WORKER]
    others = {first(file) for path in files for file in known(path)}
    assert files
    assert others <= LIGHT[light] | {light, FACE}


def test_the_rest_of_a_sweep_does_not_know_the_worker() -> None:
    rest = [path for path in FILES if first(place(path)) == "sweep" and place(path) not in WORKER]
    assert rest
    assert [place(path) for path in rest if known(path) & WORKER] == []


@pytest.mark.parametrize("library", HOMES)
def test_each_library_has_one_home(library: str) -> None:
    users = {
        path for path in FILES if library in {name.partition(".")[0] for name in imports(path)}
    }
    assert [place(path) for path in users if not at_home(path, HOMES[library])] == []


def heavy(path: Path) -> set[str]:
    """Return the heavy libraries that are imported with a file."""
    names = set(imports(path, top_level_only=True))
    compiles = {"numba"} if "hpcfed.base.compiled.compiled" in names else set()
    return compiles | {name.partition(".")[0] for name in names} & LAZY


def test_heavy_libraries_are_imported_where_they_are_used() -> None:
    astray = [
        f"{place(path)}: {library}"
        for path in FILES
        for library in heavy(path)
        if not at_home(path, EAGER_ALLOWED.get(library, set()))
    ]
    assert astray == []


@pytest.mark.parametrize("path", [f for f in FILES if place(f) in GPU_FILES], ids=place)
def test_only_the_gpu_engine_knows_its_files(path: Path) -> None:
    """Whoever imports one imports Triton: others do it where the engine has been chosen."""
    users = {
        place(file)
        for file in FILES
        if place(path) in {file_of(name) for name in imports(file, top_level_only=True)}
    }
    assert users
    assert all(user.startswith("learning/gpu/") for user in users)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("learning/event/plan.py", "learning/event"),
        ("learning/engines.py", "learning/engines"),
        ("learning/trainer.py", "learning"),
        ("federation/uplink/exact.py", "federation/uplink"),
        ("datasets/ear/encode.py", "datasets"),
        ("__init__.py", "__init__"),
        ("kitchen/sink.py", "kitchen"),
    ],
)
def test_a_file_lies_in_the_nearest_room_of_the_list(file: str, expected: str) -> None:
    assert room(file) == expected
