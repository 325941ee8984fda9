"""The served page: on the loopback address alone, the page and nothing else, made anew."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from report_files import World, write_run, write_sweep

from hpcfed.errors import InputError
from hpcfed.report.runs import Found
from hpcfed.watch.page import LivePage, serving
from tests.places import REPOSITORY


def ask(address: str, path: str, host: str | None = None) -> tuple[int, str]:
    """Ask for ``path`` exactly as it is; return status and text."""
    place = address.removeprefix("http://").rstrip("/")
    connection = http.client.HTTPConnection(place, timeout=60)
    connection.putrequest("GET", path, skip_host=True)
    connection.putheader("Host", place if host is None else host)
    connection.endheaders()
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run, with a secret beside it."""
    found = tmp_path_factory.mktemp("served")
    write_run(found / "out", World(test=(0.5,)))
    (found / "secret.txt").write_text("secret")
    return found


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[str]:
    """Return the address of its page."""
    with serving(folder / "out") as address:
        yield address


def test_the_page_is_the_report_with_its_version_and_no_links_to_files(served: str) -> None:
    status, text = ask(served, "/")
    assert status == 200
    assert "<h1>experiment</h1>" in text
    assert '"href":null' in text
    version = re.search(r'data-version="(\w+)"', text)
    assert version is not None
    assert ask(served, "/version") == (200, version.group(1))


@pytest.mark.parametrize(
    "path",
    [
        *("/run.h5", "/out/run.h5", "/secret.txt", "/../secret.txt", "/..%2fsecret.txt"),
        *("/version/..", "/?x", "/etc/passwd", "/../../../../../../../../etc/passwd"),
        "http://127.0.0.1/",
    ],
)
def test_nothing_else_is_served(path: str, served: str) -> None:
    status, text = ask(served, path)
    assert status == 404
    assert "secret" not in text.replace("secret.txt", "")
    assert "root:" not in text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "", "10.0.0.1"])
def test_a_browser_that_asked_for_another_host_is_refused(host: str, served: str) -> None:
    for path in ("/", "/version"):
        assert ask(served, path, host)[0] == 403
    assert ask(served, "/version", "localhost:8000")[0] == 200  # as through a tunnel


def test_it_listens_on_the_loopback_address_alone(served: str) -> None:
    port = int(served.rstrip("/").rpartition(":")[2])
    assert served == f"http://127.0.0.1:{port}/"
    # any other address of this machine, 127.0.0.2 is one, could be listened on beside it
    with socket.socket() as other:
        other.bind(("127.0.0.2", port))
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.2", port), 5):
        pass


def test_a_port_in_use_is_one_message(served: str, folder: Path) -> None:
    port = int(served.rstrip("/").rpartition(":")[2])
    with pytest.raises(InputError, match=f"--port {port}: .*already in use"), serving(folder, port):
        pass


@pytest.fixture
def sketched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a page be the last accuracies of its runs, made at once."""

    def render(found: Found, out: None, version: str) -> str:
        return f"runs: {[run.final('test_accuracy') for run in found.runs]}"

    monkeypatch.setattr("hpcfed.watch.page.render", render)


@pytest.mark.usefixtures("sketched")
def test_another_round_is_another_version_and_another_page(tmp_path: Path) -> None:
    write_sweep(tmp_path, [World(test=(0.5,), status="running")])
    page = LivePage(tmp_path, least_rest_s=0.0)
    first, version = page.html(), page.version()
    assert page.version() == version
    assert page.html() is first
    write_run(tmp_path / "runs" / f"{0:016x}", World(test=(0.5, 0.75)))
    page._rest = 0.0  # as if it had been made long ago
    assert page.version() != version
    assert page.html() == b"runs: [0.75]"


@pytest.mark.usefixtures("sketched")
def test_a_page_is_not_made_more_often_than_it_takes(tmp_path: Path) -> None:
    write_run(tmp_path, World(test=(0.5,)))
    page = LivePage(tmp_path, least_rest_s=3600.0)
    first, version = page.html(), page.version()
    write_run(tmp_path, World(test=(0.5, 0.75)))
    assert (page.html(), page.version()) == (first, version)


@pytest.mark.usefixtures("sketched")
def test_what_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    page = LivePage(tmp_path / "<out>", least_rest_s=0.0)
    assert b"Waiting: " in page.html()
    assert b"&lt;out&gt;: no such file" in page.html()
    (tmp_path / "<out>").mkdir()
    assert b"no run file here or below" in page.html()
    (tmp_path / "<out>" / "run.h5").write_text("half")
    assert b"cannot be read as a run file" in page.html()
    write_run(tmp_path / "<out>", World(test=(0.5,)))
    assert page.html() == b"runs: [0.5]"


def test_the_command_serves_until_it_is_asked_to_end(folder: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "hpcfed", "watch", str(folder / "out"), "--page"],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ,
    )  # fmt: skip
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    assert ask(address, "/version")[0] == 200
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")
