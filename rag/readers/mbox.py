"""Mailboxes (mbox, Thunderbird's folders, list archives): every message is a file inside this one.

A mailbox of any size is gone through in bounded memory: a message is a stretch of the file. What it is called
(date, subject, and a hash of its Message-ID) does not change when mails are added or others removed. Messages
that Thunderbird shows no longer, and keeps until it compacts the folder, are left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial

from rag.errors import DamagedFile
from rag.readers import mail_headers
from rag.readers.clean_text import clean_title
from rag.readers.contract import Member, OpenedFile, Reading, ReadLimits, stream_through
from rag.readers.file_window import lines_beginning, open_window
from rag.readers.mail_kind import begins_message
from rag.readers.mime_parts import read_header

MAX_LINE_BYTES = 400
MAX_SUBJECT_CHARS = 80
HASH_CHARS = 8
_DELETED = 0x0008
"""Of X-Mozilla-Status: nsMsgMessageFlags.Expunged."""


def read_mbox(file: OpenedFile, _limits: ReadLimits) -> Reading:
    """Raises DamagedFile for what does not begin with a message."""
    if next(_starts(file), None) is None:
        raise DamagedFile(f"{file.name} is not a mailbox: no message begins in it", hint="correct its name")
    return Reading(iter(()), members=_messages(file), through=stream_through(file))


def _starts(file: OpenedFile) -> Iterator[tuple[int, int]]:
    """Where each message's line `From …` begins, and where it ends."""
    for offset, line in lines_beginning(file.stream, b"From ", 0, file.size_bytes, MAX_LINE_BYTES):
        before = max(0, offset - 4)
        file.stream.seek(before)
        around = file.stream.read(offset - before + len(line) + 2 + MAX_LINE_BYTES)
        ended = around[: offset - before].replace(b"\r", b"")
        _, _, following = around[offset - before :].partition(b"\n")
        if begins_message(line, following, after_blank_line=offset == 0 or ended.endswith(b"\n\n")):
            yield offset, offset + len(around[offset - before :]) - len(following)


def _messages(file: OpenedFile) -> Iterator[Member]:
    previous: int | None = None
    for start, header_begin in _starts(file):
        if previous is not None:
            yield from _message(file, previous, start)
        previous = header_begin
    if previous is not None:
        yield from _message(file, previous, file.size_bytes)


def _message(file: OpenedFile, begin: int, end: int) -> Iterator[Member]:
    """The message; nothing if it was deleted."""
    headers, _ = read_header(file.stream, begin, end)
    if _is_deleted(mail_headers.header_text(headers, "x-mozilla-status")):
        return
    identity = mail_headers.header_text(headers, "message-id") or str(headers.items())
    told = hashlib.sha256(identity.encode("utf-8", "replace")).hexdigest()[:HASH_CHARS]
    sent_at = mail_headers.sent_at(headers)
    subject = clean_title(mail_headers.header_text(headers, "subject"))[:MAX_SUBJECT_CHARS].strip()
    name = " ".join(
        part
        for part in (
            sent_at.date().isoformat() if sent_at is not None else "",
            subject.replace("/", "-").replace("\\", "-"),
            f"({told}).eml",
        )
        if part
    )
    yield Member(
        name,
        partial(open_window, file.stream, begin, end),
        end - begin,
        int(sent_at.timestamp() * 1e9) if sent_at is not None else 0,
    )


def _is_deleted(status: str) -> bool:
    try:
        return bool(int(status, 16) & _DELETED)
    except ValueError:
        return False
