from __future__ import annotations

import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from rag.errors import DamagedFile, EmptyFile, EncryptedFile, ReadError, TooLarge
from rag.readers.contract import MEGABYTE, ReadLimits
from rag.reading import DocumentReader, FileBegun, FileEnded, MemberFailed, ReadStopped, fingerprint
from rag.reading_session import Wanted
from tests.rag.made_archives import zip_of
from tests.rag.made_files import docx_of, paragraph, pdf_bytes

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "tests.rag.hostile_readers:choose_reader"


@pytest.fixture(scope="module")
def reader() -> Iterator[DocumentReader]:
    with DocumentReader() as reader:
        yield reader


@pytest.fixture
def hostile() -> Iterator[DocumentReader]:
    """Misbehaves as the file's name says, under tight limits."""
    limits = ReadLimits(timeout_s=20.0, memory_bytes=192 * MEGABYTE, max_text_chars=2_000_000)
    with DocumentReader(limits, registry=HOSTILE) as reader:
        yield reader


def file_named(folder: Path, name: str, content: bytes = b"some words") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_every_format_comes_through_with_its_hash_and_time(reader: DocumentReader, tmp_path: Path) -> None:
    docx_of(tmp_path / "d.docx", paragraph("Word says so."))
    contents = {
        "a.txt": b"Text says so.",
        "b.md": b"# Title\nMarkdown says so.",
        "c.html": b"<title>T</title><p>HTML says so.",
        "d.docx": (tmp_path / "d.docx").read_bytes(),
        "e.pdf": pdf_bytes([["PDF says so."]]),
        "f.py": b"# Code says so.",
    }
    for name, content in contents.items():
        result = reader.read(file_named(tmp_path, name, content))
        status = (tmp_path / name).stat()
        assert "says so." in result.document.blocks[0].text
        assert result.sha256 == hashlib.sha256(content).digest()
        assert (result.size_bytes, result.mtime_ns) == (len(content), status.st_mtime_ns)
    assert reader.read(tmp_path / "c.html").document.title == "T"
    assert reader.read(tmp_path / "a.txt").document.title == "a.txt"
    assert reader.read(tmp_path / "b.md").document.blocks[0].heading_path == ("Title",)


def test_a_fingerprint_is_the_same_without_reading(reader: DocumentReader, tmp_path: Path) -> None:
    path = file_named(tmp_path, "a.txt")
    its, result = fingerprint(path), reader.read(path)
    assert (its.sha256, its.size_bytes, its.mtime_ns) == (result.sha256, result.size_bytes, result.mtime_ns)


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("empty.txt", b"", EmptyFile),
        ("nul.txt", b"\x00" * 100, DamagedFile),
        ("bytes.pdf", b"\x7fELF" + b"\x00" * 100, DamagedFile),
        ("cut.pdf", pdf_bytes([["x"]])[:60], DamagedFile),
        ("locked.pdf", pdf_bytes([["x"]], encrypted=True), EncryptedFile),
        ("none.pdf", pdf_bytes([]), EmptyFile),
        ("no.docx", b"not a zip", DamagedFile),
    ],
)
def test_errors_keep_their_class_name_and_hint(
    reader: DocumentReader, tmp_path: Path, name: str, content: bytes, error: type[ReadError]
) -> None:
    with pytest.raises(error, match=name) as raised:
        reader.read(file_named(tmp_path, name, content))
    assert type(raised.value) is error
    assert raised.value.hint
    assert "\n" not in str(raised.value)


def test_a_missing_file_and_a_link_are_refused(reader: DocumentReader, tmp_path: Path) -> None:
    (tmp_path / "link.txt").symlink_to(file_named(tmp_path, "real.txt"))
    for name in ("missing.txt", "link.txt"):
        with pytest.raises(ReadError, match=name):
            reader.read(tmp_path / name)
        with pytest.raises(ReadError, match=name):
            fingerprint(tmp_path / name)


def test_a_pipe_is_refused_without_waiting_for_a_writer(reader: DocumentReader, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(ReadError, match=r"pipe\.txt"):
        reader.read(tmp_path / "pipe.txt")


@pytest.mark.parametrize("name", [b"new\nline", b"esc\x1b[2J.txt", "\u202egnp.txt".encode(), b"caf\xe9.txt", b"-rf"])
def test_files_of_any_name_are_read(reader: DocumentReader, tmp_path: Path, name: bytes) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/" + name)
    Path(path).write_text("words")
    document = reader.read(path).document
    assert document.blocks[0].text == "words"
    document.title.encode("utf-8")
    assert document.title.isprintable()


def test_a_big_text_is_read_in_bounded_memory_of_the_worker(tmp_path: Path) -> None:
    line = b"The quick brown fox jumps over the lazy dog, line by line.\n"
    path = file_named(tmp_path, "big.txt", line * (24 * MEGABYTE // len(line)))
    with DocumentReader(ReadLimits(memory_bytes=96 * MEGABYTE)) as reader:
        document = reader.read(path).document
    assert sum(block.text.count("fox") for block in document.blocks) == 24 * MEGABYTE // len(line)


@pytest.mark.parametrize(
    ("limits", "setting"),
    [(ReadLimits(max_file_bytes=1000), "max_file_mb"), (ReadLimits(max_text_chars=1000), "max_file_mb")],
)
def test_too_much_is_refused_naming_the_setting(tmp_path: Path, limits: ReadLimits, setting: str) -> None:
    path = file_named(tmp_path, "big.txt", b"words " * 1000)
    with DocumentReader(limits) as reader, pytest.raises(TooLarge, match=r"big\.txt") as raised:
        reader.read(path)
    assert setting in raised.value.hint


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("eats_memory.x", TooLarge, "memory"),
        ("crashes.x", DamagedFile, "SIGSEGV"),
        ("exits.x", DamagedFile, "exit code 3"),
        ("raises.x", DamagedFile, "KeyError"),
        ("recurses.x", DamagedFile, "RecursionError"),
        ("floods.x", TooLarge, "characters"),
        ("sends_too_much_at_once.x", TooLarge, "characters"),
        ("connects.x", DamagedFile, "may not do this: socket"),
        ("starts_a_program.x", DamagedFile, "may not do this: subprocess"),
        ("writes.x", DamagedFile, "writes no files"),
        ("changes.x", ReadError, "changes while"),
    ],
)
def test_a_reader_that_misbehaves_costs_only_its_file(
    hostile: DocumentReader, tmp_path: Path, name: str, error: type[ReadError], says: str
) -> None:
    with pytest.raises(error, match=says) as raised:
        hostile.read(file_named(tmp_path, name))
    assert name in str(raised.value)
    assert raised.value.hint
    assert "\x1b" not in str(raised.value)
    assert not (tmp_path / "written").exists()
    assert hostile.read(file_named(tmp_path, "next.txt")).document.blocks[0].text == "some words"


def test_a_reader_that_hangs_is_ended_and_the_next_file_read(tmp_path: Path) -> None:
    with DocumentReader(ReadLimits(timeout_s=0.5), registry=HOSTILE) as reader:
        with pytest.raises(TooLarge, match=r"hangs\.x was not read within 0.5 s") as raised:
            reader.read(file_named(tmp_path, "hangs.x"))
        assert "library.read_timeout_s" in raised.value.hint
        with pytest.raises(DamagedFile):
            reader.read(file_named(tmp_path, "exits.x"))


def test_a_file_inside_that_ends_the_worker_costs_only_itself(tmp_path: Path) -> None:
    outer = file_named(tmp_path, "holds.x")
    told: list[str] = []
    with DocumentReader(ReadLimits(timeout_s=2.0), registry=HOSTILE) as reader:
        for part in reader.stream(outer, lambda _: "text"):
            match part:
                case FileBegun(path=path):
                    told.append(f"begun {path.removeprefix(str(outer))}")
                case MemberFailed(path=path, error=error):
                    told.append(f"failed {path.removeprefix(str(outer))} {type(error).__name__}")
                case FileEnded():
                    told.append("ended")
                case _:
                    pass
    assert told == [
        "begun ",
        "begun /first.txt",
        "ended",
        "begun /crashes.x",
        "failed /crashes.x DamagedFile",
        "begun /deeper/holds_one.x",
        "begun /deeper/holds_one.x/exits.x",
        "failed /deeper/holds_one.x/exits.x DamagedFile",
        "begun /deeper/holds_one.x/inner.txt",
        "ended",
        "failed /deeper/holds_one.x/… DamagedFile",
        "ended",
        "begun /hangs.x",
        "failed /hangs.x TooLarge",
        "begun /raises.x",
        "failed /raises.x DamagedFile",
        "begun /last.txt",
        "ended",
        "ended",
    ]


def test_of_what_is_not_wanted_nothing_comes(reader: DocumentReader, tmp_path: Path) -> None:
    outer = file_named(tmp_path, "a.zip", zip_of({"a.txt": "Some words.", "b.txt": "Other words."}))

    def parts(*, inside: Wanted, outside: Wanted) -> list[str]:
        told = reader.stream(outer, lambda begun: inside if begun.place else outside)
        return [type(part).__name__ for part in told]

    assert parts(inside="text", outside="nothing") == ["FileEnded"]
    assert parts(inside="nothing", outside="members") == ["FileBegun", "TextEnded", "FileEnded"]
    whole = ["FileBegun", "TextBlocks", "TextEnded", "FileEnded"]
    assert parts(inside="text", outside="text") == [*whole[:-1], *whole, *whole, "FileEnded"]


def test_a_stream_that_is_closed_early_leaves_a_reader_that_reads(reader: DocumentReader, tmp_path: Path) -> None:
    stream = reader.stream(file_named(tmp_path, "a.txt"), lambda _: "text")
    next(stream)
    stream.close()
    assert reader.read(file_named(tmp_path, "b.txt")).document.blocks[0].text == "some words"


def test_stopping_ends_a_reader_that_hangs(hostile: DocumentReader, tmp_path: Path) -> None:
    stop = threading.Event()
    timer = threading.Timer(0.2, stop.set)
    timer.start()
    with pytest.raises(ReadStopped):
        hostile.read(file_named(tmp_path, "hangs.x"), stop)
    timer.join()
    assert hostile.read(file_named(tmp_path, "next.txt")).document.blocks


def test_what_a_library_prints_goes_to_the_log_and_not_among_the_answers(
    hostile: DocumentReader, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG, logger="rag.reader_process"):
        assert hostile.read(file_named(tmp_path, "prints.x")).document.blocks[0].text == "some words"
        hostile.close()
    assert "complained" in caplog.text
    assert capfd.readouterr() == ("", "")


def test_several_threads_take_turns(reader: DocumentReader, tmp_path: Path) -> None:
    paths = [file_named(tmp_path, f"{n}.txt", f"words of {n}".encode()) for n in range(40)]
    texts: dict[Path, str] = {}

    def read_some(some: list[Path]) -> None:
        for path in some:
            texts[path] = reader.read(path).document.blocks[0].text

    threads = [threading.Thread(target=read_some, args=(paths[start::4],)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == {path: f"words of {path.stem}" for path in paths}


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_worker_does_not_outlive_a_parent_that_was_killed(tmp_path: Path) -> None:
    path = file_named(tmp_path, "hangs.x")
    code = (
        "from rag.reading import DocumentReader\n"
        f"reader = DocumentReader(registry={HOSTILE!r})\n"
        f"reader.read({str(file_named(tmp_path, 'ready.txt'))!r})\n"
        f"print('ready', flush=True)\nreader.read({str(path)!r})\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        (worker,) = psutil.Process(parent.pid).children()
        parent.send_signal(signal.SIGKILL)
    worker.wait(timeout=30)


def test_importing_the_reader_is_cheap(run_python: object) -> None:
    heavy = ["kreuzberg", "pypdfium2", "charset_normalizer", "markdown_it", "psutil", "numpy", "tokenizers"]
    assert callable(run_python)
    loaded = run_python(f"import rag.reading, sys, json; print(json.dumps([m for m in {heavy!r} if m in sys.modules]))")
    assert json.loads(loaded) == []
