from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rag.errors import LibraryError
from rag.writer_lock import WriterLock
from tests.conftest import PROJECT_ROOT

HOLD_UNTIL_KILLED = """
import sys
from pathlib import Path
from rag.writer_lock import WriterLock
lock = WriterLock(Path(sys.argv[1]))
print(lock.acquire(), flush=True)
sys.stdin.read()
"""


def test_one_writer_and_the_other_knows_who(tmp_path: Path) -> None:
    first, second = WriterLock(tmp_path / "lock"), WriterLock(tmp_path / "lock")
    assert first.acquire()
    assert not second.acquire()
    assert second.holder() == f"process {os.getpid()}"
    first.release()
    first.release()
    assert not first.held
    assert second.acquire()
    second.release()


def test_a_killed_process_leaves_no_lock_behind(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_UNTIL_KILLED, str(tmp_path / "lock")],
        cwd=PROJECT_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "True\n"
    lock = WriterLock(tmp_path / "lock")
    assert not lock.acquire()
    assert lock.holder() == f"process {holder.pid}"
    holder.kill()
    holder.communicate()
    assert lock.acquire()
    lock.release()


def test_a_place_that_takes_no_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LibraryError, match="cannot be locked") as refused:
        WriterLock(tmp_path / "file" / "lock").acquire()
    assert refused.value.hint
