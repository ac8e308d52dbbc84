"""Standard input is read to its end, refused when it is no text, and never waited for without end."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import pytest

from app import standard_input
from app.standard_input import read_text
from pipelines.errors import FileNotUsable


@contextmanager
def pipe() -> Iterator[tuple[TextIO, int]]:
    """A pipe: its reading end as a stream, its writing end as a descriptor that the test closes."""
    reading, writing = os.pipe()
    with os.fdopen(reading, encoding="utf-8") as stream:
        yield stream, writing


@pytest.mark.parametrize(
    ("encoded", "text"),
    [
        (b"", ""),
        (b" \n\n", ""),
        (b"diff --git\n", "diff --git\n"),
        ("\ufeffZürich".encode(), "Zürich"),
        (b"caf\xe9", "caf\ufffd"),
        ("Grüße".encode("utf-16"), "Grüße"),
        (b"x" * 200_000, "x" * 200_000),
    ],
    ids=["nothing", "blank", "text", "UTF-8 with BOM", "Latin-1", "UTF-16", "more than a pipe holds"],
)
def test_what_comes_is_read_to_its_end(encoded: bytes, text: str) -> None:
    import threading

    with pipe() as (stream, writing):

        def write() -> None:
            with os.fdopen(writing, "wb") as file:
                file.write(encoded)

        writer = threading.Thread(target=write)
        writer.start()
        assert read_text(stream) == text
        writer.join()


def test_a_pipe_that_nobody_writes_to_or_closes_is_given_up() -> None:
    with pipe() as (stream, writing):
        assert read_text(stream, wait_s=0.05) is None
        os.close(writing)


def test_it_is_waited_for_when_that_was_asked_for() -> None:
    with pipe() as (stream, writing):
        os.write(writing, b"late")
        os.close(writing)
        assert read_text(stream, wait_s=None) == "late"


def test_a_closed_one_and_a_null_device_are_empty() -> None:
    assert read_text(None) == ""
    closed = io.StringIO()
    closed.close()
    assert read_text(closed) == ""
    with Path(os.devnull).open(encoding="utf-8") as null:
        assert read_text(null) == ""


def test_a_file_and_a_stream_in_memory_are_read(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("notes")
    with (tmp_path / "notes.txt").open(encoding="utf-8") as file:
        assert read_text(file) == "notes"
    assert read_text(io.StringIO("in memory")) == "in memory"


def test_bytes_that_are_no_text_are_refused() -> None:
    with pipe() as (stream, writing):
        os.write(writing, b"\x7fELF\x00\x01")
        os.close(writing)
        with pytest.raises(FileNotUsable, match="not text") as refused:
            read_text(stream)
    assert "--file" in refused.value.hint


def test_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standard_input, "MAX_BYTES", 10)
    (tmp_path / "long").write_text("x" * 11)
    with (tmp_path / "long").open(encoding="utf-8") as file, pytest.raises(FileNotUsable, match="is over"):
        read_text(file)
