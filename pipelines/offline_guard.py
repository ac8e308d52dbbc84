"""Nothing leaves the machine: refuse every connection and name look-up beyond it, and turn telemetry off.

An audit hook (`sys.addaudithook`) sees what Python code asks of the network, in every thread and library; it
cannot be taken out again. Code that was written in C and opens sockets by itself is out of its sight: such
libraries are silenced by their own switches (`TELEMETRY_OFF`), which must be set before they are loaded, and
`unshare -rn` and `strace` prove the rest from outside.

`allow_network` opens the guard for the one job that connects, getting weights; `allow_server` lets one address
through that the user's settings name. Knows nothing of engines and
imports next to nothing: it is installed before anything else, and the first frame waits for it.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final

from pipelines.errors import OfflineViolation

_log = logging.getLogger(__name__)

TELEMETRY_OFF: Final = {
    # The official wheels collect and upload usage on Linux and macOS too, from native code, and keep a device id
    # and a database under ~/.cache. This is their full opt-out (docs/Privacy.md in the wheel).
    "ORT_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "ANONYMIZED_TELEMETRY": "False",  # chromadb
    "OTEL_SDK_DISABLED": "true",  # OpenTelemetry, which chromadb brings along
    "DO_NOT_TRACK": "1",
}
"""Set always, also while weights are fetched."""

OFFLINE: Final = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    # A proxy on this machine would carry a request out through an address that looks local.
    "NO_PROXY": "*",
    "no_proxy": "*",
}
"""Set except while weights are fetched: then the user's own values are back."""

KEPT_ATTEMPTS: Final = 1000
"""The latest ones; a program that tries for ever does not fill the memory."""

_LOOK_UPS: Final = frozenset(
    {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyname_ex", "socket.gethostbyaddr"}
)
_SOCKET_CALLS: Final = frozenset({"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"})
_CLIENTS: Final = frozenset(
    {
        "http.client.connect",
        "ftplib.connect",
        "imaplib.open",
        "nntplib.connect",
        "poplib.connect",
        "smtplib.connect",
        "telnetlib.Telnet.open",
    }
)
_URLS: Final = frozenset({"urllib.Request", "webbrowser.open"})
_PROGRAMS: Final = frozenset({"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.startfile"})
_WATCHED: Final = _LOOK_UPS | _SOCKET_CALLS | _CLIENTS | _URLS | _PROGRAMS | {"socket.__new__", "socket.getnameinfo"}

_LOCAL_FAMILIES: Final = frozenset({"AF_UNIX", "AF_NETLINK", "AF_ALG"})
_RESOLVING_METHODS: Final = ("bind", "connect", "connect_ex", "sendto", "sendmsg")


@dataclass(frozen=True, slots=True)
class Attempt:
    """Something that asked for the network, or a program that was started."""

    event: str
    """Python's name for it: `socket.connect`, `socket.getaddrinfo`, `subprocess.Popen`, …"""
    target: str
    call_site: str
    """The nearest caller outside the standard library, `file:line in function`."""
    refused: bool


class _Guard:
    def __init__(self) -> None:
        self.attempts: deque[Attempt] = deque(maxlen=KEPT_ATTEMPTS)
        self.programs: deque[Attempt] = deque(maxlen=KEPT_ATTEMPTS)
        self.open_for = 0
        """How many `allow_network` are under way."""
        self.servers: set[tuple[str, int]] = set()
        """Addresses that the user's settings name, by name and by number."""
        self.lock = threading.Lock()
        self.replaced: dict[str, str | None] = {}
        """The user's own values of the OFFLINE switches."""
        self._methods_guarded = False

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        if event not in _WATCHED:  # nearly always: imports, opened files
            return
        if event == "socket.__new__":
            self._guard_resolving_methods()
        elif event in _PROGRAMS:
            self.programs.append(Attempt(event, _shortened(args), _call_site(), refused=False))
        else:
            self.check(event, args)

    def check(self, event: str, args: tuple[Any, ...]) -> None:
        """Record and, unless the guard is open, refuse what goes beyond this machine.

        Raises OfflineViolation.
        """
        if _stays_here(event, args):
            return
        refused = not self.open_for and not self._is_named_server(event, args)
        attempt = Attempt(event, _target(event, args), _call_site(), refused)
        self.attempts.append(attempt)
        if refused:
            _log.warning("refused %s to %s, asked by %s", event, attempt.target, attempt.call_site)
            raise OfflineViolation(
                f"refused a connection to {attempt.target} ({event}, asked by {attempt.call_site})",
                hint="homebody works offline: only `homebody models pull` connects, and this was not it",
            )

    def _is_named_server(self, event: str, args: tuple[Any, ...]) -> bool:
        if not self.servers:
            return False
        if event in _LOOK_UPS:
            return any(args[0] == host for host, _ in self.servers)
        address = args[1] if event in ("socket.connect", "socket.sendto", "socket.sendmsg") else None
        return isinstance(address, tuple) and len(address) >= 2 and (address[0], address[1]) in self.servers

    def _guard_resolving_methods(self) -> None:
        """Check addresses before the socket sees them.

        `socket.connect(("a.name", 80))` looks the name up in C *before* it raises its audit event: the query
        would be out by then. No socket exists before the first `socket.__new__`, so this is soon enough.
        """
        module = sys.modules.get("socket")
        if self._methods_guarded or module is None or not hasattr(module, "socket"):
            return
        self._methods_guarded = True
        for name in _RESOLVING_METHODS:
            if original := getattr(module.socket, name, None):
                setattr(module.socket, name, self._checked_first(name, original))

    def _checked_first(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        event = "socket.connect" if name == "connect_ex" else f"socket.{name}"

        def method(sock: Any, *args: Any) -> Any:
            if self.open_for:  # let through: the audit event records it
                return original(sock, *args)
            address: Any = None
            if name == "sendmsg":
                address = args[3] if len(args) > 3 else None
            elif args:
                address = args[-1]
            self.check(event, (sock, address))
            return original(sock, *args)

        method.__name__ = method.__qualname__ = name
        return method


def _stays_here(event: str, args: tuple[Any, ...]) -> bool:
    if event in _LOOK_UPS:
        return is_this_machine(args[0])
    if event in _SOCKET_CALLS:
        sock, address = args[0], args[1]
        if address is None:  # a datagram over a connected socket: its connect was seen
            return True
        family = getattr(sock.family, "name", "")
        if family in ("AF_INET", "AF_INET6"):
            return not isinstance(address, tuple) or not address or is_this_machine(address[0])
        return family in _LOCAL_FAMILIES
    if event in _CLIENTS:
        return is_this_machine(args[1])
    if event in _URLS:
        from urllib.parse import urlsplit

        url = urlsplit(str(args[0]))
        return url.scheme in ("file", "data") or (event == "urllib.Request" and is_this_machine(url.hostname))
    return is_this_machine(args[0][0])  # socket.getnameinfo


def is_this_machine(host: object) -> bool:
    """Loopback by number or as `localhost`; None is what "no host" is called in `getaddrinfo`."""
    if host is None:
        return True
    if isinstance(host, bytes | bytearray):
        host = bytes(host).decode("ascii", "replace")
    if not isinstance(host, str):
        return False
    if host.rstrip(".").lower() == "localhost":
        return True
    from ipaddress import IPv6Address, ip_address

    try:
        number = ip_address(host.strip("[]"))
    except ValueError:  # a name
        return False
    if isinstance(number, IPv6Address) and number.ipv4_mapped is not None:
        return number.ipv4_mapped.is_loopback
    return number.is_loopback


def _target(event: str, args: tuple[Any, ...]) -> str:
    if event in _SOCKET_CALLS:
        address = args[1]
        if isinstance(address, tuple) and len(address) >= 2:
            return f"{address[0]}:{address[1]}"
        return f"{getattr(args[0].family, 'name', args[0].family)} {_shortened(address)}"
    if event in _CLIENTS:
        return f"{args[1]}:{args[2]}" if len(args) > 2 else str(args[1])
    if event == "socket.getnameinfo":
        return _shortened(args[0][0])
    return _shortened(args[0])


def _shortened(value: object, *, limit: int = 200) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _call_site() -> str:
    """The nearest caller that is neither this file nor the standard library."""
    standard_library = os.path.dirname(os.__file__)  # noqa: PTH120  pathlib may not be imported yet
    frame: FrameType | None = sys._getframe(1)
    nearest = ""
    while frame is not None:
        file = frame.f_code.co_filename
        if file != __file__:
            here = f"{file}:{frame.f_lineno} in {frame.f_code.co_name}"
            nearest = nearest or here
            standard = file.startswith(("<frozen", standard_library)) and "site-packages" not in file
            if not standard:
                return here
        frame = frame.f_back
    return nearest or "unknown"


_guard: _Guard | None = None


def silence_telemetry(environ: MutableMapping[str, str] = os.environ) -> None:
    """Set the switches that turn telemetry off. Must come before any engine is imported."""
    environ.update(TELEMETRY_OFF)


def install(environ: MutableMapping[str, str] = os.environ) -> None:
    """From now on this process stays at home. Doing it twice changes nothing; it cannot be undone."""
    global _guard
    if _guard is not None:
        return
    silence_telemetry(environ)
    guard = _Guard()
    guard.replaced = {name: environ.get(name) for name in OFFLINE}
    environ.update(OFFLINE)
    sys.addaudithook(guard.hook)
    _guard = guard


def is_installed() -> bool:
    return _guard is not None


@contextmanager
def allow_network(environ: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """For getting weights only: connections pass while this is open, in every thread, and are recorded.

    Programs started meanwhile inherit the user's own proxy settings.
    """
    guard = _guard
    if guard is None:
        yield
        return
    with guard.lock:
        guard.open_for += 1
        _put_back(environ, guard.replaced)
    try:
        yield
    finally:
        with guard.lock:
            guard.open_for -= 1
            if not guard.open_for:
                environ.update(OFFLINE)


def allow_server(host: str, port: int) -> None:
    """From now on connections to this one server pass, and are recorded: the user's settings name it.

    Its name is looked up here, once. Does nothing for this machine itself, or where no guard is installed.
    """
    guard = _guard
    if guard is None or is_this_machine(host):
        return
    guard.servers.add((host, port))
    import socket

    with suppress(OSError):  # it cannot be found now: who connects is told so
        for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            guard.servers.add((str(address[0]), port))


def _put_back(environ: MutableMapping[str, str], values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            environ.pop(name, None)
        else:
            environ[name] = value


def attempts() -> tuple[Attempt, ...]:
    """What went, or tried to go, beyond this machine since the guard was installed; oldest first."""
    return tuple(_guard.attempts) if _guard is not None else ()


def programs_started() -> tuple[Attempt, ...]:
    """Programs that this process started. They are outside the guard, so they are listed."""
    return tuple(_guard.programs) if _guard is not None else ()


__all__ = [
    "OFFLINE",
    "TELEMETRY_OFF",
    "Attempt",
    "allow_network",
    "allow_server",
    "attempts",
    "install",
    "is_installed",
    "is_this_machine",
    "programs_started",
    "silence_telemetry",
]
