"""Indexing tells how far it is, also within one large file."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pipelines.events import IndexDone, IndexProgress
from pipelines.home import Home
from rag.readers.contract import LARGE_BYTES
from tests.rag.made_archives import zip_of


def reading(home: Home, folder: Path) -> list[IndexProgress]:
    """What is told while files are read."""
    told = [event for event in home.index([folder], threading.Event()) if isinstance(event, IndexProgress)]
    return [event for event in told if event.phase == "reading"]


def shares_of(told: list[IndexProgress], path: Path) -> list[float]:
    """In the order in which they were told, each once."""
    return list(dict.fromkeys(event.read_share for event in told if event.large_file == str(path)))


def assert_it_moves(shares: list[float]) -> None:
    assert len(shares) >= 4
    assert shares == sorted(shares)
    assert 0 < shares[0] < 0.4
    assert 0.9 < shares[-1] <= 1


def lines(size_bytes: int) -> str:
    line = "{number},the ferry to the island,12:30\n"
    return "".join(line.format(number=number) for number in range(size_bytes // len(line)))


@pytest.mark.parametrize("name", ["log.txt", "table.csv"])
def test_it_moves_within_a_large_file(home: Home, folder: Path, name: str) -> None:
    path = folder / name
    path.write_text(lines(LARGE_BYTES * 5 // 4))
    told = reading(home, folder)
    assert_it_moves(shares_of(told, path))
    within = [event for event in told if event.large_file]
    assert {(event.done, event.total) for event in within} == {(0, 1)}
    assert [event.reached for event in within] == [event.read_share for event in within]
    assert all(event.rate_per_s > 0 for event in within if event.read_share)
    chunks = [event.chunks for event in told]
    assert chunks == sorted(chunks), "what was stored is not taken back"
    assert (told[-1].done, told[-1].large_file, told[-1].read_share) == (1, "", 0)


def test_a_mailbox_is_done_when_its_last_message_is(home: Home, folder: Path) -> None:
    path, body = folder / "Inbox.mbox", "The ferry leaves from the pier at noon.\n" * 800
    path.write_text(
        "".join(
            f"From ann@example.org Mon May  6 10:00:00 2024\nFrom: ann@example.org\nTo: bob@example.org\n"
            f"Message-ID: <{number}@example.org>\nSubject: News {number}\n\n{number}\n{body}\n"
            for number in range(LARGE_BYTES // len(body) + 2)
        )
    )
    told = reading(home, folder)
    assert_it_moves(shares_of(told, path))
    assert [event.done for event in told] == [0] * (len(told) - 1) + [1]
    assert told[-1].large_file == ""


def test_small_files_are_only_counted(home: Home, folder: Path) -> None:
    (folder / "a.txt").write_text("The ferry.")
    (folder / "b.zip").write_bytes(zip_of({"one.txt": "The pier.", "two.txt": "The island."}))
    told = reading(home, folder)
    assert {event.large_file for event in told} == {""}
    done = [event.done for event in told]
    assert done == sorted(done)
    assert (done[-1], told[-1].total) == (2, 2)


def test_every_file_is_counted_once_whatever_becomes_of_it(home: Home, folder: Path) -> None:
    whole = zip_of({f"{number}.txt": f"Pier {number}." * 50 for number in range(4)})
    (folder / "a.zip").write_bytes(whole)
    (folder / "b.zip").write_bytes(whole[: len(whole) // 2])
    (folder / "c.txt").write_text("")
    (folder / "d.txt").write_text("The ferry.")
    told = reading(home, folder)
    assert (told[-1].done, told[-1].total) == (4, 4)
    assert max(event.done for event in told) == 4
    (folder / "a.zip").write_bytes(whole + b"\0")
    told = reading(home, folder)
    assert (told[-1].done, told[-1].total) == (1, 1)


def test_a_large_text_that_is_stopped_in_the_middle_is_named_and_begins_anew(home: Home, folder: Path) -> None:
    small, large = folder / "a.txt", folder / "b.csv"
    small.write_text("The pier.")
    large.write_text(lines(LARGE_BYTES * 2))
    stop = threading.Event()
    stopped = whole = None
    for event in home.index([folder], stop):
        match event:
            case IndexProgress(read_share=share) if share:
                if event.chunks > 1:
                    stop.set()
            case IndexDone(report=report):
                stopped = report
            case _:
                pass
    assert stopped is not None
    assert stopped.stopped
    assert stopped.broken_off == str(large)
    assert stopped.indexed == 1, "what was read stays"
    assert not home.search("ferry").hits, "a part of a file is not found"
    for event in home.index([folder], threading.Event()):
        if isinstance(event, IndexDone):
            whole = event.report
    assert whole is not None
    assert (whole.indexed, whole.unchanged, whole.broken_off) == (1, 1, "")
    rows = {row.path: row.chunk_count for row in home.documents()}
    assert rows == {str(small): 1, str(large): whole.chunks}
