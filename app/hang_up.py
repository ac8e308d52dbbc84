"""End when the terminal is gone.

A terminal that closes sends SIGHUP to what it controls, and that ends homebody: the library and the conversations are
safe at any moment. Where the signal does not come (it is ignored behind `nohup`, or another program's pseudo-terminal
controls nothing), Textual's thread that writes is dead, the one that reads turns round and round, and the library would
stay locked until the process is killed by hand.
"""

from __future__ import annotations

import logging
import os
import select
import sys
import threading

log = logging.getLogger("homebody.app")

HUNG_UP = 129
"""The exit code, as the shell tells a process that SIGHUP ended."""


def end_with_terminal() -> None:
    """Watch standard input's terminal, in a thread that sleeps until it hangs up; then the process ends at once."""
    if hasattr(select, "poll"):  # not on Windows, where a console's processes end with it
        threading.Thread(target=_wait, args=(sys.stdin.fileno(),), name="hang-up", daemon=True).start()


def _wait(descriptor: int) -> None:
    terminal = select.poll()
    terminal.register(descriptor, 0)  # nothing is asked for: a hang-up is told all the same
    if any(events & select.POLLHUP for _, events in terminal.poll()):
        log.warning("the terminal is gone: homebody ends")
        # Not by an exception: the screen's thread may wait for ever for the one that writes.
        os._exit(HUNG_UP)
