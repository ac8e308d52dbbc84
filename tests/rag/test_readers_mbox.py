from __future__ import annotations

from pathlib import Path

import pytest

from rag.errors import DamagedFile, TooLarge
from rag.readers.contract import Reading, ReadLimits
from rag.readers.mail_kind import is_mail_name, kind_of_mail
from rag.readers.mbox import read_mbox
from rag.readers.registry import choose_reader
from rag.reading import DocumentReader, MemberFailed, TextEnded
from tests.rag.conftest import Opened
from tests.rag.damaged import damaged

LIMITS = ReadLimits()


def message(
    number: int, body: str = "words", separator: str = "From - Fri Mar 14 10:00:00 2025", more: str = ""
) -> str:
    return (
        f"{separator}\n{more}Message-ID: <{number}@x.org>\nFrom: Anna <anna@x.org>\nSubject: Mail {number}/a\n"
        f"Date: Fri, 14 Mar 2025 00:30:00 +0100\n\n{body}\n\n"
    )


def read(opened: Opened, path: Path, content: str | bytes) -> Reading:
    reading = read_mbox(opened(path, content), LIMITS)
    assert list(reading.blocks) == []
    return reading


def bodies(reading: Reading) -> list[str]:
    found = []
    for member in reading.members:
        with member.open() as stream:
            found.append(stream.read().decode().replace("\r\n", "\n").partition("\n\n")[2].strip())
    return found


def test_each_message_is_a_file_with_a_name_to_recognise(opened: Opened, tmp_path: Path) -> None:
    content = message(1) + message(2)
    first = [member.path for member in read(opened, tmp_path / "Inbox", content).members]
    assert first[0].startswith("2025-03-14 Mail 1-a (")
    assert first[0].endswith(").eml")
    grown = [member.path for member in read(opened, tmp_path / "Inbox", content + message(3)).members]
    compacted = [member.path for member in read(opened, tmp_path / "Inbox", message(2)).members]
    assert grown[:2] == first
    assert compacted == first[1:]


@pytest.mark.parametrize(
    "separator",
    [
        "From - Fri Mar 14 10:00:00 2025",
        "From anna@x.org Fri Mar 14 10:00:00 2025",
        "From anna at x.org  Fri Mar 14 10:00:00 2025",
        "From 1234@xxx Fri Mar 14 10:00:00 +0000 2025",
        "From MAILER-DAEMON Fri, 14 Mar 2025 10:00:00 +0000",
        "From anna@x.org",
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_messages_begin_where_programs_begin_them(opened: Opened, tmp_path: Path, separator: str, end: str) -> None:
    content = "".join(message(n, f"body {n}", separator) for n in range(3)).replace("\n", end)
    reading = read(opened, tmp_path / "a.mbox", content.encode())
    assert bodies(reading) == ["body 0", "body 1", "body 2"]


def test_a_line_of_a_body_begins_no_message(opened: Opened, tmp_path: Path) -> None:
    body = "Dear all,\n\nFrom here on\nNote: this is text.\n\nFrom Monday, 3 March 2025 10:00 we are closed.\nBye"
    assert bodies(read(opened, tmp_path / "a.mbox", message(1, body) + message(2))) == [body, "words"]


def test_what_thunderbird_deleted_is_left_out(opened: Opened, tmp_path: Path) -> None:
    content = message(1, more="X-Mozilla-Status: 0009\n") + message(2, more="X-Mozilla-Status: 0001\n")
    (kept,) = read(opened, tmp_path / "Inbox", content).members
    assert kept.path.startswith("2025-03-14 Mail 2")


def test_a_text_that_is_no_mailbox_is_refused(opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(DamagedFile, match=r"a\.mbox is not a mailbox"):
        read(opened, tmp_path / "a.mbox", "From here on it is a letter.")


def test_messages_are_found_across_the_blocks_that_are_read(opened: Opened, tmp_path: Path) -> None:
    sizes = [1 << 20, (1 << 20) - 200, 3, 100_000, 2 << 20]
    reading = read(opened, tmp_path / "a.mbox", "".join(message(n, "x" * size) for n, size in enumerate(sizes)))
    assert [len(body) for body in bodies(reading)] == sizes


def test_damaged_mailboxes_give_the_messages_that_are_there(opened: Opened, tmp_path: Path) -> None:
    content = "".join(message(n) for n in range(20)).encode()
    for number, each in enumerate(damaged(content, 80)):
        path = tmp_path / f"{number}.mbox"
        try:
            found = [member.path for member in read(opened, path, each or b"\n").members]
        except DamagedFile:
            continue
        assert len(found) <= 30
        assert all(name.endswith(").eml") and "/" not in name for name in found)


HEADERS = b"Return-Path: <a@x>\nReceived: by y\nFrom: a@x\nSubject: x\nDate: Fri, 14 Mar 2025 00:30:00 +0100\n\nx"


@pytest.mark.parametrize(
    ("name", "content", "reader"),
    [
        ("Inbox", message(1).encode(), "mbox/1"),
        ("2025-March.txt", message(1, separator="From a at x.org  Fri Mar 14 10:00:00 2025").encode(), "mbox/1"),
        ("1741942800.M20046P2137V01I5_0.host,S=1234:2,S", HEADERS, "mail/1"),
        ("1741942800.M1P2.mail.example.pl:2,S", HEADERS, "mail/1"),
        ("a.eml", b"no header", "mail/1"),
        ("a.mbox", HEADERS, "mail/1"),
        ("a.msg", HEADERS, "mail/1"),
        ("a.mht", HEADERS, "mhtml/1"),
        ("drafts", b"Just a note: to myself.\n\nBye", "text/1"),
        ("letter.txt", b"From: me\nTo: you\n\nDear you", "text/1"),
    ],
)
def test_mail_is_known_by_what_is_in_it(opened: Opened, tmp_path: Path, name: str, content: bytes, reader: str) -> None:
    assert choose_reader(opened(tmp_path / name, content))[1].partition("/")[0] == reader.partition("/")[0]


@pytest.mark.parametrize(
    ("name", "mail"),
    [
        ("Inbox", True),
        ("Sent Items", True),
        ("1741942800.M20046P2137V01I5_0.host,S=1234:2,S", True),
        ("1741942800.1234_5.host", True),
        ("photo", False),
        ("20250314.1.2", False),
        ("Inbox.msf", False),
    ],
)
def test_names_that_may_be_mail(name: str, mail: bool) -> None:
    assert is_mail_name(name) == mail


def test_the_limit_of_a_files_size_is_for_each_message(tmp_path: Path) -> None:
    path = tmp_path / "Inbox"
    path.write_text("".join(message(n, "words " * (9000 if n == 2 else 1000)) for n in range(5)))
    with DocumentReader(ReadLimits(max_file_bytes=20_000)) as reader:
        parts = list(reader.stream(path, lambda _: "text"))
    failed = [part for part in parts if isinstance(part, MemberFailed)]
    read_titles = [part.facts.title for part in parts if isinstance(part, TextEnded)]
    assert [type(part.error) for part in failed] == [TooLarge]
    assert "Mail 2" in failed[0].path
    assert read_titles == ["Inbox", "Mail 0/a", "Mail 1/a", "Mail 3/a", "Mail 4/a"]


def test_binary_is_no_mail() -> None:
    assert kind_of_mail(b"From: a\0") is None
    assert kind_of_mail(b"") is None
