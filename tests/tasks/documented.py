"""What a script of a user names, and which of it no document knows."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any  # Any: a table of TOML

import hpcfed
from tests.docs.pages import DOCS
from tests.docs.test_document_links import unknown
from tests.places import REPOSITORY

_FILE = re.compile(r"^cat >(\S+) <<'EOF'\n(.*?)^EOF$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"(?:^|[;|] *|do )(hpcfed [^|;\n]+)", re.MULTILINE)
_SOURCE = re.compile(r"\bhpcfed/|\btests/|\binspect\b|__file__|__path__")
_SWEEP = ("set", "grid", "zip")
_EXPERIMENT = DOCS / "reference" / "configuration.md"


def files(script: Path) -> Iterator[tuple[str, str]]:
    """Yield name and text of the script, and of each file that it writes."""
    text = script.read_text(encoding="utf-8")
    yield script.name, text if script.suffix == ".py" else _FILE.sub("", text)
    if script.suffix == ".sh":
        yield from _FILE.findall(text)


def undocumented(name: str, text: str) -> list[str]:
    """Return names, commands, options and keys of a file that no document knows."""
    found = _SOURCE.findall(text)
    if name.endswith(".py"):
        found += _of_python(ast.parse(text))
    elif name.endswith(".toml"):
        found += _of_toml(tomllib.loads(text))
    else:
        lines = text.replace("\\\n", " ")
        found += [part for line in _COMMAND.findall(lines) for part in _of_command(line)]
    return found


def _of_command(line: str) -> list[str]:
    words = shlex.split(line, comments=True)
    hidden = [words[2]] if words[1:3] in (["sweep", "task"], ["sweep", "worker"]) else []
    return hidden + unknown(words)


def _of_python(tree: ast.Module) -> list[str]:
    """Return what is unknown of imports, attributes of hpcfed and of runs, keys and commands."""
    found, runs = [], _runs(tree)
    for node in ast.walk(tree):
        match node:
            case ast.Import(names):
                found += [each.name for each in names if each.name.startswith("hpcfed.")]
            case ast.ImportFrom(module="hpcfed", names=names):
                found += [each.name for each in names if each.name not in hpcfed._USERS]
            case ast.ImportFrom(module=str(module)) if module.startswith("hpcfed."):
                found.append(module)
            case ast.Attribute(value=ast.Name("hpcfed"), attr=name):
                found += [] if name in hpcfed._USERS else [f"hpcfed.{name}"]
            case ast.Attribute(value=ast.Name(run), attr=name) if run in runs:
                known = hasattr(hpcfed.Run, name) or name in hpcfed.Run.__dataclass_fields__
                found += [] if known and not name.startswith("_") else [f"{run}.{name}"]
            case ast.keyword("overrides", ast.Dict(keys=keys)):
                found += [key for each in keys for key in _unknown_keys([ast.literal_eval(each)])]
            case ast.List(elts=[ast.Constant("hpcfed"), *_]):
                found += _of_command(shlex.join(_constants(node.elts)))
            case ast.List(elts=[ast.Constant("--set"), *_]):
                found += _of_command(shlex.join(["hpcfed", "run", "JOB", *_constants(node.elts)]))
    return found


def _runs(tree: ast.Module) -> set[str]:
    """Return the variables that hold what ``hpcfed.run`` and ``hpcfed.load`` return."""
    return {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and ast.unparse(node.value.func) in ("hpcfed.run", "hpcfed.load")
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _constants(nodes: list[ast.expr]) -> list[str]:
    return [str(node.value) for node in nodes if isinstance(node, ast.Constant)]


def _of_toml(table: dict[str, Any]) -> list[str]:
    """Return the keys of a job, a sweep or a site profile that no page knows."""
    if "partition" in table and isinstance(table["partition"], str):
        example = tomllib.loads((REPOSITORY / "slurm/sites/example.toml").read_text())
        return [key for key in table if key not in example]
    if "base" not in table:
        return _unknown_keys(_dotted(table))
    keys = [key for name in _SWEEP for key in _dotted(table.get(name, {}))]
    resources = (DOCS / "howto" / "cluster.md").read_text(encoding="utf-8")
    asked = [key for key in table.get("resources", {}) if f"| `{key}` |" not in resources]
    return [*(set(table) - {"base", "resources", *_SWEEP}), *_unknown_keys(keys), *asked]


def _dotted(table: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, dict) and not key.endswith("own"):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def _unknown_keys(found: Any) -> list[str]:
    return [key for key in found if key not in documented_keys()]


def documented_keys() -> set[str]:
    """Return the dotted keys of the experiment file that its reference describes."""
    known, table = set(), ""
    for line in _EXPERIMENT.read_text(encoding="utf-8").splitlines():
        if heading := re.match(r"\*\*(?:`\[([\w.]+)\]`|top level)\*\*", line):
            table = f"{heading[1]}." if heading[1] else ""
        elif row := re.match(r"\| `(\w+)` \|", line):
            known.add(table + row[1])
    return known
