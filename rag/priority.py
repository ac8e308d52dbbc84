"""Let the system give a process only what others leave."""

from __future__ import annotations

BACKGROUND_NICENESS = 10


def lower_priority(pid: int | None = None) -> None:
    """Lower a process's priority (None: this one's), its disk's included where the system has that.

    It cannot be raised again without privileges. Does nothing where the system refuses.
    """
    import psutil

    try:
        process = psutil.Process(pid)
        # Windows has classes of priority in place of numbers.
        process.nice(getattr(psutil, "BELOW_NORMAL_PRIORITY_CLASS", BACKGROUND_NICENESS))
    except (psutil.Error, OSError):
        return
