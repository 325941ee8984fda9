"""Every block of code in README and docs/ runs, in a folder of its page, in the order of the page.

What takes long is made small (``small``, ``warm``), what needs a cluster meets stand-ins
(``readers_place``); what cannot run at all says so on the page and has its reason here.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.docs import readers_place, warm
from tests.docs.pages import Block, blocks, label, pages
from tests.docs.small import small_toml
from tests.places import REPOSITORY

_TIMEOUT_S = 500  # what a page uses first may have to be compiled, beside other tests
_TWO_CLASSES = "data.classes=[0,1]"


class Smaller(NamedTuple):
    """What else makes the runs of a page small.

    Attributes:
        sets: keys of its runs.
        planned: its sweeps are planned alone.
        values: of each key of its sweeps.
    """

    sets: tuple[str, ...] = ()
    planned: bool = False
    values: int = 2


# image networks by norse: the event engine's first one compiles for a minute and more
_IMAGES = ("client.engine=norse", _TWO_CLASSES)
_SHORT_RATES = ("data.num_bins=10", "data.duration=0.01", "model.soft_lif.settle=0.0",
                "model.soft_lif.windows=[0.005, 0.01]")  # fmt: skip
SMALLER: dict[str, Smaller] = {
    "docs/howto/compare.md": Smaller(values=3),
    "docs/howto/images.md": Smaller(_IMAGES),
    "docs/howto/depth.md": Smaller(_IMAGES),
    "docs/howto/soft-lif.md": Smaller((_TWO_CLASSES, *_SHORT_RATES)),
    "docs/howto/online-rules.md": Smaller(planned=True),
    "docs/howto/stdp.md": Smaller(
        (_TWO_CLASSES, "data.num_bins=50", "data.duration=0.05"), planned=True
    ),
    "docs/howto/teachers.md": Smaller(_IMAGES),
    "docs/studies.md": Smaller(_IMAGES),
}
# loops over seeds, run for the first one
SHORTER = {"0 1 2 3 4 5 6 7 8 9": "0"}
# beginning of a block that is not run -> why; commands and options in it have to exist all the same
NOT_RUN = {
    "git clone": "installs an environment, which is what CI begins with",
    "hpcfed run quickstart --set client.engine=gpu": "needs a GPU",
    ".venv/bin/python benchmarks/engine_agreement.py --engine gpu": "needs a GPU",
}
ALL = pages()


@pytest.fixture(scope="module")
def programs() -> Iterator[Path]:
    """Return the folder that is first on PATH: hpcfed and python, and what stands in."""
    with warm.programs() as folder:
        readers_place.stand_ins(folder)
        yield folder


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", ALL, ids=label)
def test_every_block_of_a_page_runs(
    page: Path, programs: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    found = list(blocks(page))
    if not any(block.kind in ("bash", "python") and block.is_run for block in found):
        return
    readers_place.furnish(tmp_path)
    root = tmp_path_factory.mktemp("data")
    readers_place.data(root)
    smaller = SMALLER.get(label(page), Smaller())
    environment = surroundings(programs, root, smaller)
    for block in found:
        if block.kind == "file":
            write(block, tmp_path, smaller.values)
            continue
        ended = run_block(block, tmp_path, environment)
        assert ended is None or ended.returncode == 0, (
            f"{label(page)}, line {block.line}:\n{block.text}\n{ended.stdout}"
        )


def surroundings(programs: Path, root: Path, smaller: Smaller) -> dict[str, str]:
    """Return the environment of a page's commands."""
    mine = {
        "PATH": f"{programs}:/usr/bin:/bin:{Path(sys.executable).parent}",
        "PYTHONPATH": str(REPOSITORY),
        "HPCFED_DATA": str(root),
        warm.SHORT: ";".join(smaller.sets),
        "HPCFED_DOCS_SWEEPS": "planned" if smaller.planned else "run",
        "MPLBACKEND": "Agg",
        "OMP_NUM_THREADS": "1",
    }
    return {**os.environ, **mine}


def write(block: Block, folder: Path, values: int) -> None:
    """Write a file of a page, jobs and sweeps made small."""
    is_toml = block.name.endswith(".toml")
    text = small_toml(block.text, values) if is_toml else block.text
    (folder / block.name).write_text(text, encoding="utf-8")


def run_block(
    block: Block, folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str] | None:
    """Run a block; None for what is only looked at."""
    if block.kind not in ("bash", "python") or not block.is_run:
        return None
    if block.kind == "python":
        script = folder / f"block_{block.line}.py"
        script.write_text(block.text, encoding="utf-8")
        command = ["python", script.name]
    else:
        text = block.text
        for long, short in SHORTER.items():
            text = text.replace(long, short)
        command = ["bash", "-euo", "pipefail", "-c", text]
    return subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False, timeout=_TIMEOUT_S,
    )  # fmt: skip


def test_what_is_not_run_has_a_reason() -> None:
    left_out = [
        block.text
        for page in ALL
        for block in blocks(page)
        if not block.is_run and block.kind in ("bash", "python")
    ]
    assert [text for text in left_out if not text.startswith(tuple(NOT_RUN))] == []
    assert [start for start in NOT_RUN if not any(t.startswith(start) for t in left_out)] == []


def test_files_of_a_page_are_valid_toml_and_python() -> None:
    import ast
    import tomllib

    for page in ALL:
        for block in blocks(page):
            if block.kind == "python" or block.name.endswith(".py"):
                ast.parse(block.text)
            if block.kind == "toml" or block.name.endswith(".toml"):
                tomllib.loads(block.text)


def test_no_block_is_of_a_kind_that_nobody_runs() -> None:
    known = {"bash", "python", "file", "toml", "text", "{toctree}", "{include}"}
    found = {
        (label(page), block.line, block.kind)
        for page in ALL
        for block in blocks(page)
        if block.kind not in known and not re.fullmatch(r"\{(eval-rst|note|warning)\}", block.kind)
    }
    assert found == set()
