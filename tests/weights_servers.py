"""A model hub and a package index on loopback, for tests: small, real HTTP, and able to misbehave on demand."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import threading
import zipfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR

COMMIT = "c" * 40


class _Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None: ...

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    @abstractmethod
    def answer(self, *, with_body: bool) -> None: ...

    def send(self, status: int, headers: Mapping[str, str], body: bytes, *, with_body: bool) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def cut(self, headers: Mapping[str, str], body: bytes, length: int, keep: int) -> None:
        """Promise `length` bytes, send `keep`, hang up."""
        self.send_response(206 if "Content-Range" in headers else 200)
        for name, value in {"Content-Length": str(length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:keep])
        self.wfile.flush()
        self.connection.shutdown(SHUT_RDWR)
        self.close_connection = True


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is what some tests are about."""


class _Server(ABC):
    """Runs while it is entered; records every request."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        """`METHOD path`, with ` from N` for a range."""
        server = self

        class Handler(_Quiet):
            def answer(self, *, with_body: bool) -> None:
                wanted = self.headers.get("Range", "")
                suffix = f" from {wanted[6:-1]}" if wanted else ""
                server.requests.append(f"{self.command} {self.path}{suffix}")
                server.handle(self, with_body)

        self._http = _HttpServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @abstractmethod
    def handle(self, handler: _Quiet, with_body: bool) -> None: ...

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class HubServer(_Server):
    """Answers as the hub does: HEAD and GET of `resolve`, large files redirected to storage on another host."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, bytes] = {}
        """`repository/path` -> content."""
        self.large: set[str] = set()
        """Those kept in large-file storage: named by their SHA-256, behind a redirect."""
        self.cuts: dict[str, list[int]] = {}
        """`repository/path` -> after how many bytes each of the next answers is cut off."""
        self.instead: dict[str, bytes] = {}
        """What is really sent for a file, whatever was promised."""
        self.without_etag = False
        self.ignores_ranges = False
        self.status: int = 0
        """Answer everything with this."""

    def add(self, name: str, content: bytes, *, large: bool = True) -> None:
        self.files[name] = content
        if large:
            self.large.add(name)

    def handle(self, handler: _Quiet, with_body: bool) -> None:
        if self.status:
            return handler.send(self.status, {}, b"", with_body=with_body)
        if stored := re.fullmatch(r"/storage/(.+)", handler.path):
            return self._content(handler, stored[1], {}, with_body)
        if not (found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", handler.path)):
            return handler.send(404, {}, b"", with_body=with_body)
        name = f"{found[1]}/{found[3]}"
        if name not in self.files:
            return handler.send(404, {"X-Error-Code": "EntryNotFound"}, b"", with_body=with_body)
        content = self.files[name]
        headers = {"X-Repo-Commit": COMMIT if found[2] == "main" else found[2], "Accept-Ranges": "bytes"}
        if name in self.large:
            digest = hashlib.sha256(content).hexdigest()
            headers |= {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content))}
            # Another host name, as the real hub's storage: what is said of the file is on the redirect itself.
            headers |= {"Location": f"http://localhost:{self.port}/storage/{name}"}
            if self.without_etag:
                del headers["X-Linked-Etag"]
            return handler.send(302, headers, b"", with_body=with_body)
        if not self.without_etag:
            blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
            headers["ETag"] = f'"{blob}"'
        return self._content(handler, name, headers, with_body)

    def _content(self, handler: _Quiet, name: str, headers: dict[str, str], with_body: bool) -> None:
        content = self.instead.get(name, self.files[name])
        wanted = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        start = int(wanted[1]) if wanted and not self.ignores_ranges else 0
        if start:
            headers = {**headers, "Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        rest = content[start:]
        if with_body and self.cuts.get(name):
            return handler.cut(headers, rest, len(rest), self.cuts[name].pop(0))
        return handler.send(206 if start else 200, headers, rest, with_body=with_body)


class WheelIndex(_Server):
    """A package index with the simple API, and the wheels that were put into it."""

    def __init__(self) -> None:
        super().__init__()
        self.wheels: dict[str, bytes] = {}
        """File name -> content."""
        self.cuts: dict[str, list[int]] = {}

    def add(self, distribution: str, members: Mapping[str, bytes], *, version: str = "1.0.0") -> bytes:
        """Make a wheel with these files, offer it, and return it."""
        stem = f"{distribution.replace('-', '_')}-{version}"
        self.wheels[f"{stem}-py3-none-any.whl"] = content = make_wheel(stem, distribution, version, members)
        return content

    def downloads(self) -> Counter[str]:
        """How often each wheel was asked for, by distribution."""
        asked = [found[1] for each in self.requests if (found := re.fullmatch(r"GET /files/(\w+)-.*", each))]
        return Counter(asked)

    def environ(self) -> dict[str, str]:
        """An environment in which pip knows this index and nothing else."""
        kept = {name: value for name, value in os.environ.items() if not re.match(r"(?i)PIP_|.*_PROXY$", name)}
        return {**kept, "PIP_INDEX_URL": f"{self.url}/simple/", "PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "1"}

    def handle(self, handler: _Quiet, with_body: bool) -> None:
        if page := re.fullmatch(r"/simple/([a-z0-9-]+)/", handler.path):
            stem = page[1].replace("-", "_") + "-"
            links = "".join(f'<a href="/files/{name}">{name}</a>' for name in self.wheels if name.startswith(stem))
            return handler.send(
                200 if links else 404, {"Content-Type": "text/html"}, links.encode(), with_body=with_body
            )
        name = handler.path.removeprefix("/files/")
        if name not in self.wheels:
            return handler.send(404, {}, b"", with_body=with_body)
        content = self.wheels[name]
        if with_body and self.cuts.get(name):
            return handler.cut({}, content, len(content), self.cuts[name].pop(0))
        return handler.send(200, {"Content-Type": "application/octet-stream"}, content, with_body=with_body)


def make_wheel(stem: str, distribution: str, version: str, members: Mapping[str, bytes]) -> bytes:
    info = f"{stem}.dist-info"
    files = {
        **members,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},sha256={_urlsafe(content)},{len(content)}\n" for name, content in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _urlsafe(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


@contextmanager
def running_hub() -> Iterator[HubServer]:
    server = HubServer()
    with server:
        yield server


@contextmanager
def running_index() -> Iterator[WheelIndex]:
    server = WheelIndex()
    with server:
        yield server
