"""The report page of what goes on, served to this machine alone and made anew as files change.

A server of one page: it answers on the loopback address, to a browser that asked for that address,
and knows two names, the page and its version. Nothing is written.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
import threading
import time
from collections.abc import Iterator
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any  # Any: what socketserver calls with

from hpcfed.errors import InputError
from hpcfed.records.schema import RUN_FILE
from hpcfed.records.sweepfolder import Paths
from hpcfed.report.page import render
from hpcfed.report.runs import Found, find

LOOPBACK = "127.0.0.1"
_NAMES = (LOOPBACK, "localhost")
_IDLE_S = 30  # after which a connection that says nothing is closed
_REST = 10  # times as long as making a page takes, no new one is made
_LEAST_REST_S = 1.0
_WAITING = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="2">
<link rel="icon" href="data:,"><title>hpcfed watch</title></head>
<body><p>Waiting: {}</p></body></html>
"""


class LivePage:
    """The page about everything at a path; safe to be asked by several threads."""

    def __init__(self, path: Path, least_rest_s: float = _LEAST_REST_S) -> None:
        self._path, self._rest = path, least_rest_s
        self._lock = threading.Lock()
        self._version, self._looked = "", 0.0
        self._made: tuple[str, bytes] = "", b""

    def version(self) -> str:
        """Return what is another text when files have changed; not more often than can be shown."""
        with self._lock:
            return self._look()

    def html(self) -> bytes:
        """Return the page of the present version, or one that waits for something to be there."""
        with self._lock:
            version = self._look()
            if self._made[0] == version:
                return self._made[1]
            begin = time.monotonic()
            try:
                page = render(_found(self._path), None, version).encode("utf-8", "replace")
            except (InputError, OSError) as error:
                return _WAITING.format(escape(str(error))).encode("utf-8", "replace")
            self._rest = max(self._rest, _REST * (time.monotonic() - begin))
            self._made = version, page
            return page

    def _look(self) -> str:
        if not self._version or time.monotonic() - self._looked >= self._rest:
            self._version, self._looked = _digest(self._path), time.monotonic()
        return self._version


@contextlib.contextmanager
def serving(path: Path, port: int = 0, page: LivePage | None = None) -> Iterator[str]:
    """Serve the page about ``path`` while the block runs; gives its address. 0: a free port.

    Raises InputError for a port that cannot be had.
    """
    try:
        server = _Server((LOOPBACK, port), _Handler)
    except OSError as error:
        raise InputError(
            f"--port {port}: cannot be used: {error.strerror}; choose another one, or leave it out"
        ) from None
    server.page = page or LivePage(path)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{LOOPBACK}:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    page: LivePage

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that has gone."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version, sys_version = "hpcfed", ""
    timeout = _IDLE_S

    def do_GET(self) -> None:
        """Answer with the page or its version; anything else is not found."""
        # a page of somebody else's, whose name was made to point here, must not read ours
        if self.headers.get("Host", "").partition(":")[0] not in _NAMES:
            self.send_error(403)
        elif self.path == "/":
            self._answer("text/html; charset=utf-8", self.server.page.html())
        elif self.path == "/version":
            self._answer("text/plain; charset=utf-8", self.server.page.version().encode())
        else:
            self.send_error(404)

    def _answer(self, kind: str, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of requests."""


def _found(path: Path) -> Found:
    found = find(path)
    if not (found.runs or found.planned):
        reasons = [f"{item.label}: {item.reason}" for item in found.skipped]
        raise InputError(f"{path}: {(reasons or ['no run file here or below'])[0]}")
    return found


def _digest(path: Path) -> str:
    """Return a digest of when which files about ``path`` were written."""
    found = [Paths(path).manifest] if path.is_dir() else [path]
    with contextlib.suppress(OSError):  # a folder that goes away meanwhile
        found += [*sorted(path.rglob(RUN_FILE)), *sorted(Paths(path).runs.glob("*/failure.json"))]
    text = "".join(f"{file} {_stamp(file)}\n" for file in found)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
