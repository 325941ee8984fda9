"""The page about journeys names files that exist."""

from __future__ import annotations

import re

from tests.places import REPOSITORY


def test_every_file_that_the_journeys_name_exists() -> None:
    text = (REPOSITORY / "docs" / "explanation" / "journeys.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:hpcfed|tests)/[\w/]+\.py)`", text)
    assert len(named) > 20
    assert [path for path in named if not (REPOSITORY / path).is_file()] == []
