"""Run a piece of Python as somebody whom a file's mode keeps from reading and writing it.

Tests often run as root, who may read and write everything. Then the process gives that right up (the capabilities
CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH) before the piece begins, and so do the processes that it starts. Another user
would not do: the interpreter itself may lie in a folder that is root's alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT_ROOT

TIMEOUT_S = 240.0

_GIVE_UP_RIGHTS = """
import ctypes, os, sys
PR_CAPBSET_DROP, OVERRIDE, READ_SEARCH = 24, 1, 2
for right in (OVERRIDE, READ_SEARCH):
    if ctypes.CDLL(None, use_errno=True).prctl(PR_CAPBSET_DROP, right, 0, 0, 0):
        sys.exit(77)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
_CANNOT = 77


def run_rightless(program: str, *arguments: str | Path) -> str:
    """What the program printed; its `sys.argv[1:]` are the arguments. Fails when it does.

    Skips the test where root cannot give its rights up.
    """
    command = ["-c", program, *map(str, arguments)]
    if os.geteuid() == 0:
        if not sys.platform.startswith("linux"):
            pytest.skip("root may read and write everything here")
        command = ["-c", _GIVE_UP_RIGHTS, *command]
    done = subprocess.run(
        [sys.executable, *command], cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    if done.returncode == _CANNOT:
        pytest.skip("root may not give its rights up here")
    assert done.returncode == 0, done.stderr
    return done.stdout
