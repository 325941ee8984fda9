"""The site is built without a network and without a warning, and what is broken is one."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import hpcfed
from tests.docs.pages import DOCS
from tests.places import GOLDEN, REPOSITORY

STRICT = ("-W", "--keep-going", "-n", "-q")


def build(source: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Build a site as ``make docs`` does."""
    return subprocess.run(
        [sys.executable, "-m", "sphinx", *STRICT, *options, source, out],
        cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the built site."""
    out = tmp_path_factory.mktemp("site")
    built = build(DOCS, out)
    assert built.returncode == 0, built.stderr
    return out


def test_every_page_is_built(site: Path) -> None:
    wanted = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    assert wanted <= {path.relative_to(site) for path in site.rglob("*.html")}


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    loaded = re.compile(r'(?:<(?:script|img|iframe)[^>]*\ssrc|<link[^>]*\shref)="(?:https?:)?//')
    assert [page.name for page in site.rglob("*.html") if loaded.search(page.read_text())] == []


def test_the_reference_has_every_command_column_and_name(site: Path) -> None:
    def text(name: str) -> str:
        return re.sub(r"<[^>]+>", "", (site / "reference" / f"{name}.html").read_text())

    for command in ("hpcfed run", "hpcfed data encode", "hpcfed sweep collect"):
        assert command in text("commands")
    assert "hpcfed sweep worker" not in text("commands")  # nobody is to call it
    found = text("run-file")
    for line in (GOLDEN / "run_file_schema.txt").read_text(encoding="utf-8").splitlines():
        if (group := re.match(r"/(\w+)/$", line)) and group[1] != "model":
            assert f"/{group[1]}" in found
        if column := re.match(r"/(?:rounds|participations)/(\w+) \S+ \((?!\))", line):
            assert column[1] in found
    for name in hpcfed._USERS:
        assert f"hpcfed.{name}" in text("python")


def test_what_is_broken_fails_the_build(tmp_path: Path) -> None:
    source = tmp_path / "docs"
    source.mkdir()
    for name in ("conf.py", "from_code.py"):
        shutil.copy(DOCS / name, source)
    toctree = "```{toctree}\nlisted\n```\n"
    (source / "index.md").write_text(f"# Site\n\n[gone](gone.md)\n\n{toctree}")
    (source / "listed.md").write_text("# Listed\n\n{py:func}`hpcfed.nothing`\n")
    (source / "forgotten.md").write_text("# Forgotten\n\n![picture](gone.png)\n")
    built = build(source, tmp_path / "out")
    assert built.returncode != 0
    for complaint in ("gone.md", "hpcfed.nothing", "isn't included in any toctree", "gone.png"):
        assert complaint in built.stderr
