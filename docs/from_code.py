"""The parts of the reference that the code says itself, as Markdown: commands, run file, Python."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping

import typer
from typer.cli import get_docs_for_click

import hpcfed
from hpcfed.cli.main import app
from hpcfed.records import schema


def commands() -> str:
    """Return all commands with their arguments and options, as typer's own tool writes them."""
    program = typer.main.get_command(app)
    _forget_hidden(program)
    context = typer.Context(program)
    text: str = get_docs_for_click(obj=program, ctx=context, indent=1, name="hpcfed")
    return text.replace("```console", "```text")


def run_file() -> str:
    """Return a table for each group of the run file."""
    plain: dict[str, Mapping[str, schema.Field]] = {
        "rounds": schema.ROUND_FIELDS,
        "participations": schema.PARTICIPATION_FIELDS,
        "late": schema.LATE_FIELDS,
        "activity": schema.ACTIVITY_FIELDS,
        "groups": schema.GROUP_FIELDS,
    }
    tables = [_of_fields(name, fields) for name, fields in plain.items()]
    shaped = {
        "evaluation": schema.EVALUATION_FIELDS,
        "evaluation/example_units": schema.UNIT_FIELDS,
        "answers": schema.ANSWER_FIELDS,
        **schema.CURVES,
    }
    tables += [_of_shapes(name, fields) for name, fields in shaped.items()]
    meanings = {
        "clients": schema.CLIENT_FIELDS,
        "checkpoint": schema.CHECKPOINT_FIELDS,
        "attempts": schema.ATTEMPT_FIELDS,
    }
    tables += [_of_meanings(name, fields) for name, fields in meanings.items()]
    return "\n".join(tables)


def python() -> str:
    """Return directives that document every public name of ``hpcfed``, functions first."""
    found = {name: getattr(hpcfed, name) for name in public_names()}
    lines = ["```{eval-rst}"]
    for name, value in found.items():
        if inspect.isfunction(value):
            lines += [f".. autofunction:: hpcfed.{name}", ""]
    for name, value in found.items():
        if inspect.isclass(value):
            lines += [f".. autoclass:: hpcfed.{name}", "   :members:", ""]
    return "\n".join([*lines, "```"])


def public_names() -> list[str]:
    """Return the names that users import from ``hpcfed``: its own functions, and the lazy ones."""
    own = [
        name
        for name, value in vars(hpcfed).items()
        if inspect.isfunction(value)
        and not name.startswith("_")
        and value.__module__ == hpcfed.__name__
    ]
    return [*own, *sorted(hpcfed._USERS, key=str.lower)]


PAGES: dict[str, Callable[[], str]] = {
    "commands": commands,
    "run file": run_file,
    "python": python,
}


def _forget_hidden(group: typer.core.TyperGroup) -> None:
    group.commands = {name: each for name, each in group.commands.items() if not each.hidden}
    for each in group.commands.values():
        if isinstance(each, typer.core.TyperGroup):
            _forget_hidden(each)


def _of_fields(name: str, fields: Mapping[str, schema.Field]) -> str:
    rows = ((f"`{key}`", kind, unit, text) for key, (kind, unit, text) in fields.items())
    return _table(name, ("column", "type", "unit", "meaning"), rows)


def _of_shapes(name: str, fields: Mapping[str, tuple[tuple[str, ...], str, str]]) -> str:
    rows = (
        (f"`{key}`", ", ".join(axes) or "one value", unit, text)
        for key, (axes, unit, text) in fields.items()
    )
    return _table(name, ("name", "by", "unit", "meaning"), rows)


def _of_meanings(name: str, fields: Mapping[str, str]) -> str:
    return _table(name, ("name", "meaning"), ((f"`{key}`", text) for key, text in fields.items()))


def _table(name: str, head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    """Return a heading and a table in Markdown."""
    lines = [f"## `/{name}`", "", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    lines += [f"| {' | '.join(text.replace('|', '/') for text in row)} |" for row in rows]
    return "\n".join([*lines, ""])
