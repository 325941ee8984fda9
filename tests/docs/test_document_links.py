"""What the documents name exists: links, files, public names, commands, options and keys."""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any  # Any: a public name is of any type

import pytest
import typer

import hpcfed
from hpcfed import datasets
from hpcfed.cli.main import app
from hpcfed.clients import partition
from hpcfed.config import Experiment
from hpcfed.config.section import table_of
from hpcfed.learning.trainer import Trainer
from hpcfed.networks import network
from tests.docs.pages import blocks, label, pages
from tests.places import REPOSITORY

ALL = [*pages(), REPOSITORY / "CONTRIBUTING.md", REPOSITORY / "CHANGELOG.md"]
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)]*)?\)")
_CODE = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
_PUBLIC = re.compile(r"\bhpcfed\.([A-Za-z_]\w*)(?![\w]*\.(?:toml|egg|json|schema))")
_PLACEHOLDER = re.compile(r"[A-Z_]+|\.\.\.|\[.*")


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", ALL, ids=label)
def test_every_link_leads_to_a_file(page: Path) -> None:
    targets = [link for link, _ in _LINK.findall(prose(page))]
    assert [t for t in targets if not (page.parent / t).is_file()] == []


@pytest.mark.parametrize("page", ALL, ids=label)
def test_every_script_and_test_that_is_named_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"\b((?:analysis|benchmarks|scripts|tests|jobs|slurm)/[\w/]+\.\w+)", text)
    assert [path for path in named if not (REPOSITORY / path).exists()] == []


def public_names() -> list[str]:
    """Return the names after ``hpcfed.`` and in ``from hpcfed import`` of all documents."""
    found = set()
    for page in pages():
        text = page.read_text(encoding="utf-8")
        text += "".join(block.text for block in blocks(page) if block.kind == "file")
        found |= set(_PUBLIC.findall(text))
        for names in re.findall(r"^\s*from hpcfed import (.+)$", text, re.MULTILINE):
            found |= {name.strip() for name in names.strip("()").split(",")}
    return sorted(found)


@pytest.mark.parametrize("name", public_names())
def test_a_public_name_is_importable_documented_and_typed(name: str) -> None:
    value = getattr(hpcfed, name)
    if inspect.ismodule(value):
        pytest.fail(f"hpcfed.{name} is a module; documents name what `import hpcfed` gives")
    documentation = inspect.getdoc(value) or ""
    assert documentation
    assert not documentation.startswith(f"{name}("), "a dataclass's own signature is no docstring"
    for function in functions(value):
        hints = inspect.signature(function)
        untyped = [
            each.name
            for each in hints.parameters.values()
            if each.annotation is each.empty and each.name not in ("self", "cls", "_cls")
        ]
        assert not untyped, f"{function.__qualname__}: {untyped}"
        assert hints.return_annotation is not hints.empty, function.__qualname__


def functions(value: Any) -> Iterator[Any]:
    """Yield a function itself, or the public methods that a class defines."""
    if inspect.isfunction(value):
        yield value
    elif inspect.isclass(value):
        for name, member in vars(value).items():
            inner = getattr(member, "fget", None) or getattr(member, "__func__", member)
            if inspect.isfunction(inner) and inner.__name__ == name and not name.startswith("_"):
                yield inner


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of each command of hpcfed on a page, in blocks and in sentences."""
    lines = [" ".join(code.split()) for code in _CODE.findall(prose(page))]
    for block in blocks(page):
        if block.kind == "bash":
            lines += block.text.replace("\\\n", " ").splitlines()
    for line in lines:
        if re.match(r"(mpirun .*|srun .*|\.\.\.)?\s*hpcfed [a-zA-Z]", line.strip()):
            words = shlex.split(line[line.index("hpcfed ") :], comments=True)
            yield words[: words.index("&&")] if "&&" in words else words


@pytest.mark.parametrize("page", pages(), ids=label)
def test_every_command_and_option_exists(page: Path) -> None:
    for words in commands(page):
        assert unknown(words) == [], " ".join(words)


def unknown(words: list[str]) -> list[str]:
    """Return what of a command line hpcfed does not know: commands, options, keys of --set."""
    found: Any = typer.main.get_command(app)
    rest = words[1:]
    while hasattr(found, "commands") and rest and not rest[0].startswith("-"):
        name = rest.pop(0).strip(":;,")
        if _PLACEHOLDER.fullmatch(name):
            return []
        if name not in found.commands:
            return [name]
        found = found.commands[name]
    options = {option for each in found.params for option in each.opts} | {"--help"}
    missing = []
    for number, word in enumerate(rest):
        if word.startswith("--") and word.split("=")[0].rstrip("]") not in options:
            missing.append(word)
        if word == "--set" and number + 1 < len(rest):
            missing += unknown_key(rest[number + 1], short=words[1] == "data")
    return missing


def unknown_key(item: str, short: bool) -> list[str]:
    """Return the key of KEY=VALUE if the experiment has none of that name."""
    key = item.split("=")[0].strip("[]")
    is_known = key in keys() or (short and f"data.{key}" in keys()) or ".own" in key
    return [] if is_known or _PLACEHOLDER.fullmatch(key) else [key]


@cache
def keys() -> frozenset[str]:
    """Return the dotted keys of the experiment file."""

    def below(model: Any, prefix: str) -> Iterator[str]:
        for name, field in model.model_fields.items():
            inner = table_of(field.annotation)
            yield prefix + name
            if inner is not None:
                yield from below(inner, f"{prefix}{name}.")

    return frozenset(below(Experiment, ""))


def test_the_contracts_are_called_as_the_code_calls_them() -> None:
    text = (REPOSITORY / "docs" / "reference" / "contracts.md").read_text(encoding="utf-8")
    for caller in (datasets._custom, partition._custom):
        called = re.search(r"``function(\(.*?\))``", caller.__doc__ or "")
        assert called is not None
        assert f"`{called[1]}`" in text
    assert f"`({', '.join(network._ARGUMENTS)})`" in text
    for name in ("train", "evaluate", "hidden_spikes"):
        given = list(inspect.signature(getattr(Trainer, name)).parameters)[1:]
        assert f"`{name}({', '.join(given)})`" in text


def test_readme_is_one_screen() -> None:
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()) <= 80


def test_a_mistyped_command_option_or_key_is_noticed() -> None:
    assert unknown(["hpcfed", "traine", "quickstart"]) == ["traine"]
    assert unknown(["hpcfed", "run", "quickstart", "--rank", "2"]) == ["--rank"]
    assert unknown(["hpcfed", "run", "x", "--set", "server.round=2"]) == ["server.round"]
    assert unknown(["hpcfed", "run", "x", "--set", "server.rounds=2", "--ranks", "2"]) == []
