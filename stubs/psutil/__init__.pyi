"""The part of psutil that homebody uses (7.2)."""

from typing import NamedTuple

class svmem(NamedTuple):
    total: int
    available: int
    percent: float
    used: int
    free: int

class sbattery(NamedTuple):
    percent: float
    secsleft: int
    power_plugged: bool | None

class pmem(NamedTuple):
    rss: int
    vms: int

class pcputimes(NamedTuple):
    user: float
    system: float

class addr(NamedTuple):
    ip: str
    port: int

class pconn(NamedTuple):
    fd: int
    family: int
    type: int
    laddr: addr | tuple[()]
    raddr: addr | tuple[()]
    status: str

class Error(Exception): ...
class NoSuchProcess(Error): ...
class AccessDenied(Error): ...

class Process:
    def __init__(self, pid: int | None = None) -> None: ...
    @property
    def pid(self) -> int: ...
    def memory_info(self) -> pmem: ...
    def nice(self, value: int | None = None) -> int | None: ...
    def cpu_times(self) -> pcputimes: ...
    def cpu_affinity(self) -> list[int]: ...
    def children(self, recursive: bool = False) -> list[Process]: ...
    def net_connections(self, kind: str = "inet") -> list[pconn]: ...
    def is_running(self) -> bool: ...
    def kill(self) -> None: ...
    def wait(self, timeout: float | None = None) -> int | None: ...
    def create_time(self) -> float: ...

def virtual_memory() -> svmem: ...
def cpu_count(logical: bool = True) -> int | None: ...
def sensors_battery() -> sbattery | None: ...
def pid_exists(pid: int) -> bool: ...

class scputimes(tuple[float, ...]):
    """Which fields there are depends on the system."""
    @property
    def idle(self) -> float: ...

def cpu_times() -> scputimes: ...

class sdiskpart(NamedTuple):
    device: str
    mountpoint: str
    fstype: str
    opts: str

def disk_partitions(all: bool = ...) -> list[sdiskpart]: ...
