"""The guard is seen to fire, in a process of its own, on everything that would leave the machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.offline_guard import OFFLINE, TELEMETRY_OFF
from tests.conftest import PROJECT_ROOT

Guarded = Callable[[str], Any]

# 192.0.2.0/24 and 2001:db8::/32 are reserved for documentation: nothing is there, should the guard fail.
BEYOND = {
    "connect": "socket.socket().connect(('192.0.2.1', 443))",
    "connect_ex": "socket.socket().connect_ex(('192.0.2.1', 443))",
    "connect over IPv6": "socket.socket(socket.AF_INET6).connect(('2001:db8::1', 443))",
    "connect to a mapped address": "socket.socket(socket.AF_INET6).connect(('::ffff:192.0.2.1', 443))",
    "connect by name": "socket.socket().connect(('name.invalid', 443))",
    "create_connection": "socket.create_connection(('192.0.2.1', 443), timeout=1)",
    "getaddrinfo": "socket.getaddrinfo('name.invalid', 443)",
    "getaddrinfo of bytes": "socket.getaddrinfo(b'name.invalid', 443)",
    "gethostbyname": "socket.gethostbyname('name.invalid')",
    "gethostbyname_ex": "socket.gethostbyname_ex('name.invalid')",
    "gethostbyaddr": "socket.gethostbyaddr('192.0.2.1')",
    "getnameinfo": "socket.getnameinfo(('192.0.2.1', 80), 0)",
    "UDP sendto": "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
    "UDP sendto with flags": "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', 0, ('192.0.2.1', 53))",
    "UDP sendto by name": "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('name.invalid', 53))",
    "UDP sendmsg": "socket.socket(type=socket.SOCK_DGRAM).sendmsg([b'x'], [], 0, ('192.0.2.1', 53))",
    "listening for others": "socket.socket().bind(('0.0.0.0', 0))",
    "urllib": "__import__('urllib.request').request.urlopen('http://name.invalid/')",
    "http.client": "__import__('http.client').client.HTTPSConnection('name.invalid').request('GET', '/')",
    "smtplib": "__import__('smtplib').SMTP('name.invalid')",
    "ftplib": "__import__('ftplib').FTP('name.invalid')",
    "webbrowser": "__import__('webbrowser').GenericBrowser('true').open('https://name.invalid/')",
}

HERE = {
    "TCP": "s = socket.create_server(('127.0.0.1', 0)); socket.create_connection(s.getsockname()).close(); s.close()",
    "TCP by name": "s = socket.create_server(('localhost', 0)); socket.create_connection(s.getsockname()).close()",
    "UDP": "s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('127.0.0.2', 0)); s.sendto(b'x', s.getsockname())",
    "AF_UNIX": "s, c = (socket.socket(socket.AF_UNIX) for _ in 'sc'); s.bind(path); s.listen(); c.connect(path)",
    "socketpair": "a, b = socket.socketpair(); a.sendall(b'x'); assert b.recv(1) == b'x'",
    "asyncio": "__import__('asyncio').run(__import__('asyncio').sleep(0))",
    "file URL": "__import__('urllib.request').request.urlopen('file://' + os.path.abspath(os.__file__)).close()",
    "own name": "socket.gethostname()",
}


@pytest.fixture
def guarded(run_python: Callable[[str], str], tmp_path: Path) -> Guarded:
    """Run a statement under the guard; what happened, and what the guard recorded."""

    def run(statement: str) -> Any:
        code = f"""
import gc, json, os, sys
from pipelines import offline_guard
offline_guard.install()
import socket
path = {str(tmp_path / "socket")!r}
outcome, hint, is_os_error = "passed", "", False
try:
    {statement}
except Exception as error:
    outcome, hint = type(error).__name__, getattr(error, "hint", "")
    is_os_error = isinstance(error, OSError)
print(json.dumps({{"outcome": outcome, "hint": hint, "is_os_error": is_os_error,
    "attempts": [[a.event, a.target, a.call_site, a.refused] for a in offline_guard.attempts()],
    "programs": [p.target for p in offline_guard.programs_started()]}}))
"""
        return json.loads(run_python(code))

    return run


@pytest.mark.parametrize("statement", BEYOND.values(), ids=BEYOND.keys())
def test_nothing_leaves_the_machine(guarded: Guarded, statement: str) -> None:
    seen = guarded(statement)
    assert seen["outcome"] == "OfflineViolation"
    assert "models pull" in seen["hint"]
    assert seen["is_os_error"]
    assert len(seen["attempts"]) == 1
    event, target, call_site, refused = seen["attempts"][0]
    assert event
    assert "192.0.2.1" in target or "2001:db8::1" in target or "name.invalid" in target or "0.0.0.0" in target
    assert call_site.startswith("<string>:")
    assert refused


@pytest.mark.parametrize("statement", HERE.values(), ids=HERE.keys())
def test_this_machine_may_be_talked_to(guarded: Guarded, statement: str) -> None:
    seen = guarded(statement)
    assert seen["outcome"] == "passed"
    assert seen["attempts"] == []


def test_threads_are_guarded_too(guarded: Guarded) -> None:
    seen = guarded(
        "import threading; t = threading.Thread(target=lambda: socket.getaddrinfo('name.invalid', 1));"
        " threading.excepthook = lambda args: None; t.start(); t.join()"
    )
    assert [attempt[0] for attempt in seen["attempts"]] == ["socket.getaddrinfo"]


def test_asyncio_is_guarded_too(guarded: Guarded) -> None:
    seen = guarded("import asyncio; asyncio.run(asyncio.open_connection('name.invalid', 80))")
    assert seen["outcome"] == "OfflineViolation"
    assert [attempt[0] for attempt in seen["attempts"]] == ["socket.getaddrinfo"]


def test_programs_are_listed(guarded: Guarded) -> None:
    seen = guarded("import subprocess; subprocess.run([sys.executable, '-c', 'pass'], check=True)")
    assert seen["outcome"] == "passed"
    assert any(Path(sys.executable).name in program for program in seen["programs"])


def test_getting_weights_opens_it_and_records_where_to(guarded: Guarded) -> None:
    # A datagram to a documentation address: sent, if there is a route, and lost.
    seen = guarded("""
    import socket
    with offline_guard.allow_network():
        assert "HF_HUB_OFFLINE" not in os.environ and os.environ["ORT_DISABLE_TELEMETRY"] == "1"
        try:
            socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 9))
        except OSError:
            pass  # no route: the guard let it through
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    socket.getaddrinfo("name.invalid", 80)
    """)
    assert seen["outcome"] == "OfflineViolation"
    assert [attempt[3] for attempt in seen["attempts"]] == [False, True]


def test_the_users_proxy_is_back_while_weights_are_fetched(run_python: Callable[[str], str]) -> None:
    printed = run_python(
        "import os; os.environ['NO_PROXY'] = 'intranet';\n"
        "from pipelines import offline_guard as guard; guard.install(); guard.install()\n"
        "with guard.allow_network(): print(os.environ['NO_PROXY'])\n"
        "print(os.environ['NO_PROXY'])"
    )
    assert printed.split() == ["intranet", "*"]


def test_switches_are_set_in_the_environment_given() -> None:
    from pipelines.offline_guard import silence_telemetry

    environ = {"ORT_DISABLE_TELEMETRY": "0"}
    silence_telemetry(environ)
    assert environ == TELEMETRY_OFF
    assert not set(OFFLINE) & set(TELEMETRY_OFF)


def test_installing_is_cheap(run_python: Callable[[str], str]) -> None:
    printed = run_python(
        # What the interpreter itself brought along (an editable install's finder, say) is not the guard's.
        "import sys; before = set(sys.modules); from pipelines import offline_guard; offline_guard.install();"
        "heavy = {'socket', 'urllib.request', 'pydantic', 'asyncio', 'pathlib'};"
        "print(sorted(heavy & (set(sys.modules) - before)))"
    )
    assert printed == "[]"


@pytest.mark.weights
def test_onnxruntime_keeps_no_device_id_and_no_events(weights_dir: Path, tmp_path: Path) -> None:
    """Its official wheels make both under ~/.cache as soon as a session starts, unless they are told not to."""
    model = weights_dir / "all-minilm-l6-v2-int8" / "model.onnx"
    code = (
        "from pipelines import offline_guard; offline_guard.install()\n"
        f"import onnxruntime; onnxruntime.InferenceSession({str(model)!r}, providers=['CPUExecutionProvider'])"
    )
    # CI would silence it as well, and an ORT_DISABLE_TELEMETRY of the caller's would prove nothing.
    environ = {name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")}
    environ |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(PROJECT_ROOT)}
    subprocess.run([sys.executable, "-c", code], env=environ, cwd=tmp_path, timeout=60, check=True, capture_output=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_a_refused_name_is_not_looked_up_behind_the_guards_back(tmp_path: Path) -> None:
    """CPython resolves a name given to `connect` before it raises the audit event."""
    trace = tmp_path / "trace"
    code = (
        "from pipelines import offline_guard; offline_guard.install(); import socket\n"
        "try: socket.socket().connect(('name.invalid', 80))\n"
        "except OSError: pass\n"
    )
    finished = subprocess.run(
        ["strace", "-f", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", str(trace), sys.executable, "-c", code],
        cwd=PROJECT_ROOT,
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if finished.returncode and not trace.exists():
        pytest.skip("tracing is not allowed here")
    assert finished.returncode == 0, finished.stderr
    assert "AF_INET" not in trace.read_text()
