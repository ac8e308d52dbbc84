"""Readers that misbehave in the ways parsers do, for the tests of the worker process. A file's name picks one."""

from __future__ import annotations

import ctypes
import io
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePath

from rag.readers.contract import Member, OpenedFile, Reader, Reading, ReadLimits
from rag.readers.plain_text import read_text
from rag.records import Block


def choose_reader(file: OpenedFile) -> tuple[Reader, str]:
    """The misbehaviour named by the file's stem; a file named otherwise is read as text."""
    reader = globals().get(f"read_{PurePath(file.path).stem}", read_text)
    return reader, "hostile/1"


def read_hangs(_file: OpenedFile, _limits: ReadLimits) -> Reading:
    while True:
        pass


def read_eats_memory(_file: OpenedFile, _limits: ReadLimits) -> Reading:
    eaten = []
    while True:
        eaten.append(b"x" * (16 << 20))


def read_crashes(_file: OpenedFile, _limits: ReadLimits) -> Reading:
    ctypes.string_at(0)
    raise AssertionError("address 0 could be read")


def read_exits(_file: OpenedFile, _limits: ReadLimits) -> Reading:
    os._exit(3)


def read_raises(_file: OpenedFile, _limits: ReadLimits) -> Reading:
    raise KeyError("an object\x1b[31m that is not there")


def read_recurses(file: OpenedFile, limits: ReadLimits) -> Reading:
    return read_recurses(file, limits)


def read_floods(_file: OpenedFile, _limits: ReadLimits) -> Reading:
    def blocks() -> Iterator[Block]:
        while True:
            yield Block("x" * 30_000)

    return Reading(blocks())


def read_prints(file: OpenedFile, limits: ReadLimits) -> Reading:
    print("printed by a library")
    os.write(1, b"\x00\x00\x00\x05junk!")
    sys.stderr.write("complained\n")
    return read_text(file, limits)


def read_holds(_file: OpenedFile, _limits: ReadLimits) -> Reading:
    """Files inside that misbehave, between others that do not."""

    def members() -> Iterator[Member]:
        for name in ("first.txt", "crashes.x", "deeper/holds_one.x", "hangs.x", "raises.x", "last.txt"):
            yield Member(name, lambda: io.BytesIO(b"some words"), 10)

    return Reading(iter([Block("What holds them.")]), members=members())


def read_holds_one(_file: OpenedFile, _limits: ReadLimits) -> Reading:
    """A file inside that crashes, a file behind it, and then it crashes itself."""

    def members() -> Iterator[Member]:
        yield Member("exits.x", lambda: io.BytesIO(b"some words"), 10)
        yield Member("inner.txt", lambda: io.BytesIO(b"some words"), 10)
        raise KeyError("lost")

    return Reading(iter(()), members=members())


def read_sends_too_much_at_once(_file: OpenedFile, _limits: ReadLimits) -> Reading:
    """A block longer than a frame may be."""
    return Reading(iter([Block("\u20ac" * 4_000_000)]))


def read_connects(_file: OpenedFile, _limits: ReadLimits) -> Reading:
    socket.create_connection(("127.0.0.1", 9))
    raise AssertionError("a socket could be made")


def read_starts_a_program(_file: OpenedFile, _limits: ReadLimits) -> Reading:
    subprocess.run(["true"], check=True)
    raise AssertionError("a program could be started")


def read_writes(file: OpenedFile, _limits: ReadLimits) -> Reading:
    Path(file.path).with_name("written").write_text("x")
    raise AssertionError("a file could be written")


def read_changes(file: OpenedFile, limits: ReadLimits) -> Reading:
    """The file looks changed each time: its time is set back while it is read."""
    os.utime(file.path, ns=(0, file.mtime_ns - 1))
    return read_text(file, limits)
