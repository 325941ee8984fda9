"""The pages of the documents, and their blocks of code as a reader would take them.

A block of ``bash`` or ``python`` is run; one with a caption is a file of that name, and
``literalinclude`` is one that lies elsewhere; ``text``, ``toml`` and others are looked at only.
What is marked ``not-run`` behind its language is not run, and has its reason in ``test_snippets``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

from tests.places import REPOSITORY

DOCS = REPOSITORY / "docs"
NOT_RUN = "not-run"


@dataclass(frozen=True)
class Block:
    """A block of code: ``kind`` is its language, or "file" with the name to write it to."""

    kind: str
    text: str
    line: int
    name: str = ""
    is_run: bool = True


def pages() -> list[Path]:
    """Return README and every page of docs/."""
    return [REPOSITORY / "README.md", *sorted(DOCS.rglob("*.md"))]


def label(page: Path) -> str:
    """Return the name of a page in tests."""
    return str(page.relative_to(REPOSITORY))


def blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page in their order."""
    for token in MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8")):
        if token.type == "code_block":
            raise AssertionError(f"{page}: an indented block; fence it and say what it is")
        if token.type == "fence":
            assert token.map is not None
            yield _block(page, token.info.strip(), token.content, token.map[0] + 1)


def _block(page: Path, info: str, text: str, line: int) -> Block:
    words = info.split()
    kind, rest = (words[0] if words else "text"), words[1:]
    if kind not in ("{code-block}", "{literalinclude}"):
        return Block(kind, text, line, is_run=NOT_RUN not in rest)
    options = dict(re.findall(r"^:([\w-]+):[ \t]*(.*)$", text, re.MULTILINE))
    body = re.sub(r"^(:[\w-]+:.*\n)+\n?", "", text)
    if kind == "{literalinclude}":
        body = (page.parent / rest[0]).read_text(encoding="utf-8")
    if "caption" not in options:
        return Block(rest[0] if rest else "text", body, line)
    return Block("file", body, line, options["caption"])
