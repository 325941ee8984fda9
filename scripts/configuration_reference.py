"""Write docs/reference/configuration.md from the model itself.

Usage: python scripts/configuration_reference.py [--check]. With --check nothing is written, and
the exit code is 1 when the page is out of date.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from hpcfed.config import Experiment
from hpcfed.config.search import SearchConfig
from hpcfed.config.section import table_of

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "configuration.md"
BEGIN, END = "<!-- configuration reference: begin -->\n", "<!-- configuration reference: end -->\n"


def reference() -> str:
    """Return the reference as Markdown: one table per section of the experiment file."""
    plain = {n: f for n, f in Experiment.model_fields.items() if table_of(f.annotation) is None}
    search = {n: f for n, f in SearchConfig.model_fields.items() if table_of(f.annotation) is None}
    title = "**`[search]`** of a sweep file; `[search.stop]` is the table `[stop]`"
    nested = (text for text in sections(SearchConfig, "search.") if "[search.stop" not in text)
    return "\n".join(
        [
            "**top level**\n\n" + table(plain),
            *sections(Experiment),
            f"{title}\n\n{table(search)}",
            *nested,
        ]
    )


def sections(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield a heading and a table of keys for each table of ``model``, and of those in it."""
    for name, field in model.model_fields.items():
        if (inner := table_of(field.annotation)) is None:
            continue
        text = (inner.__doc__ or "").split("\n")[0]
        keys = {n: f for n, f in inner.model_fields.items() if table_of(f.annotation) is None}
        yield f"**`[{prefix}{name}]`** {text}\n\n" + table(keys)
        yield from sections(inner, f"{prefix}{name}.")


def table(fields: dict[str, FieldInfo]) -> str:
    """Return one Markdown table of keys."""
    lines = ["| key | default | meaning |", "|---|---|---|"]
    for name, field in fields.items():
        text = (field.description or "").replace("|", "\\|")
        allowed = ", ".join(choices(field))
        note = f" ({allowed})" if allowed and allowed.split(", ")[0] not in text else ""
        lines.append(f"| `{name}` | {default(field)} | {text}{note} |")
    return "\n".join(lines) + "\n"


def default(field: FieldInfo) -> str:
    """Return a field's default as TOML."""
    value = field.default
    if field.is_required():
        return "required"
    if value is None or value == {}:
        return "absent"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{list(value)}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value:g}`"


def choices(field: FieldInfo) -> Iterator[str]:
    """Yield the values of a key that has a fixed set of them."""
    for value in getattr(field.annotation, "__args__", ()):
        if isinstance(value, str):
            yield f'`"{value}"`'


def main() -> None:
    """Update or check the page."""
    text = PAGE.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    wanted = head + BEGIN + "\n" + reference() + "\n" + END + tail
    if "--check" not in sys.argv:
        PAGE.write_text(wanted, encoding="utf-8")
    elif wanted != text:
        sys.exit("docs/reference/configuration.md: run python scripts/configuration_reference.py")


if __name__ == "__main__":
    main()
