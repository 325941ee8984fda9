"""Whatever bytes a job or a sweep file holds: an experiment, or one clear error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcfed.config.file import read_experiment
from hpcfed.errors import InputError
from hpcfed.sweep.planning.sweepfile import read_sweep
from tests.places import REPOSITORY

JOBS = REPOSITORY / "jobs"


@st.composite
def damaged(draw: st.DrawFn, text: bytes) -> bytes:
    """Return a file of which some bytes are others, missing, or said twice."""
    start = draw(st.integers(0, len(text)))
    stop = draw(st.integers(start, min(len(text), start + 40)))
    return text[:start] + draw(st.binary(max_size=8) | st.just(text[start:stop] * 2)) + text[stop:]


@pytest.mark.parametrize(
    ("job", "read"),
    [("quickstart.toml", read_experiment), ("tradeoff.toml", read_sweep)],
    ids=["job", "sweep"],
)
@given(data=st.data())
def test_a_damaged_file_is_an_error_or_an_experiment(
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    job: str,
    read: Callable[..., Any],
) -> None:
    file = tmp_path_factory.getbasetemp() / f"fuzz-{Path(job).name}"
    (file.parent / "quickstart.toml").write_bytes((JOBS / "quickstart.toml").read_bytes())
    file.write_bytes(data.draw(damaged((JOBS / job).read_bytes()) | st.binary(max_size=60)))
    try:
        read(file)
    except InputError as error:
        assert str(error).startswith(str(file))
        assert "Traceback" not in str(error)
