"""The proposals of a search: numbered folders, each put in place whole, by a rename.

A folder is made under a name of its own and renamed to its number, which fails where the number is
taken: so each number is written once, whoever writes at the same time, and at a kill it is there or
it is not. OUT/proposals/SECTION/NNNNNN/proposal.json.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import uuid
from pathlib import Path
from typing import Any  # Any: JSON values are of any type until they are checked

from hpcfed.base.atomic import sync_folder
from hpcfed.errors import InputError

_FILE = "proposal.json"
_DIGITS = 6


def read_all(folder: Path) -> list[dict[str, Any]]:
    """Return the proposals of one section, by number.

    Raises InputError for one that cannot be read, and where a number is missing.
    """
    return read_from(folder, 0)


def read_from(folder: Path, first: int) -> list[dict[str, Any]]:
    """Return the proposals from number ``first`` on; see ``read_all``."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.name.isdigit())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{folder}: proposals cannot be read: {error.strerror}") from None
    found = []
    for number, name in enumerate(names[first:], first):
        path = folder / name / _FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if int(name) != number or content["number"] != number:
                raise InputError(f"{folder}: proposal {number} is missing")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: cannot be read as a proposal: {error}") from None
        found.append(content)
    return found


def sections(proposals: Path) -> list[str]:
    """Return the names of all sections in a folder of proposals."""
    return sorted(path.name for path in proposals.glob("*") if not path.name.startswith("."))


def place(folder: Path, content: dict[str, Any]) -> bool:
    """Write a proposal under its number; False if the number is taken. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{content['number']:0{_DIGITS}d}"
    aside = folder / f".{target.name}.{uuid.uuid4().hex}"
    aside.mkdir()
    try:
        with (aside / _FILE).open("w", encoding="utf-8") as stream:
            json.dump(content, stream, ensure_ascii=False, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        aside.rename(target)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
            return False
        raise
    sync_folder(folder)
    return True
