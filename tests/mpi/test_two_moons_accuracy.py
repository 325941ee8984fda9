"""The packaged jobs of generated data: accurate by floats and by bits, surer where they know.

Five seeds gave 99.4 to 99.8 % by latent weights and 99.0 to 99.8 % by bits.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpcfed.records.log import uplink_bytes
from hpcfed.records.runfile import Record, read_record
from tests.mpi.launch import mpirun

pytestmark = [pytest.mark.mpi, pytest.mark.slow]

BITS = ("rule.binary.sends=bits", "uplink.dtype=sign")


def trained(job: str, out: Path, *overrides: str) -> Record:
    sets = [part for item in overrides for part in ("--set", item)]
    command = ("-m", "hpcfed", "run", f"jobs/{job}.toml", "--quiet", "--out", str(out), *sets)
    ended = mpirun(2, *command, limit_s=200)
    assert ended.rc == 0, ended.stderr
    return read_record(out)


@pytest.fixture(scope="module")
def moons(tmp_path_factory: pytest.TempPathFactory) -> tuple[Record, Record]:
    folder = tmp_path_factory.mktemp("moons")
    return trained("two_moons", folder / "a"), trained("two_moons", folder / "b", *BITS)


def test_a_committee_tells_the_moons_apart(moons: tuple[Record, Record]) -> None:
    assert moons[0].log.rounds["test_accuracy"][-1] >= 0.97


def test_one_bit_a_weight_loses_little_at_a_32nd_of_the_bytes(
    moons: tuple[Record, Record],
) -> None:
    latents, bits = (record.log.rounds for record in moons)
    assert bits["test_accuracy"][-1] >= latents["test_accuracy"][-1] - 0.03
    ratio = uplink_bytes(latents).sum() / uplink_bytes(bits).sum()
    assert 31.5 < ratio < 32


def test_the_committee_is_less_sure_between_the_moons_than_on_them(
    moons: tuple[Record, Record],
) -> None:
    known, probe = (moons[0].answers[name] for name in ("known", "probe"))
    right = known["probability"].argmax(1) == known["label"]
    assert known["entropy"][right].mean() < 0.2 * probe["entropy"].mean()


def test_a_regression_is_close_where_it_has_points_and_unsure_where_it_has_none(
    tmp_path: Path,
) -> None:
    rarely = ("run.eval_every=40", "evaluation.draws=10", "server.rounds=20")
    known = trained("regression", tmp_path / "a", *rarely).answers["known"]
    x = -1 + known["coordinate"][:, 0] * 5.99
    seen = ((x < 0) | ((x >= 1.5) & (x < 2.5)) | (x >= 4))[: len(x)]
    error = np.square(known["probability"][:, 1] - known["target"])
    assert np.sqrt(error[seen].mean()) < 0.08
    spread = known["deviation"][:, 1]
    assert spread[~seen].mean() > 1.1 * spread[seen].mean()
