"""Which kind of mail file begins with these bytes, and which names without an extension are worth a look.

Thunderbird's mailboxes and the files of a Maildir have no extension: what is in them tells.
"""

from __future__ import annotations

import re
from typing import Literal

MailKind = Literal["eml", "mbox", "mhtml"]

_MAIL_HEADERS = (
    rb"return-path|received|from|sender|to|subject|date|message-id|mime-version|delivered-to|envelope-to|reply-to"
    rb"|content-type|x-[\w-]+|dkim-signature|arc-seal|authentication-results|status|in-reply-to|references|list-id"
)
_HEADER = re.compile(rb"^(" + _MAIL_HEADERS + rb")[ \t]*:", re.IGNORECASE | re.MULTILINE)
_TELLING = frozenset({b"from", b"date", b"subject", b"message-id", b"received", b"return-path", b"mime-version"})
_TELLING_COUNT = 3
_SEPARATOR_DATE = re.compile(
    rb"From .*\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),?\s+(?:\d{1,2}\s+)?"
    rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\s.*\b\d{1,2}:\d\d\b.*\b\d{4}\b|From .*\b\d{4}\b.*\d\d:\d\d\b"
)
_ANY_HEADER = re.compile(rb">?[!-9;-~]+[ \t]*:|>From ")

MAILBOX_NAMES = frozenset(
    [
        *("inbox", "sent", "drafts", "trash", "junk", "archive", "archives", "templates", "outbox", "mbox", "spam"),
        *("sent items", "sent messages", "deleted items", "deleted messages", "unsent messages", "gesendet"),
    ]
)
"""Of Thunderbird's folders and of other programs', in lower case."""
_MAILDIR_NAME = re.compile(r"\d{9,11}\.[^/]{3,}\.[^/]+")
"""Unix time, a number, the host: `1741942800.M20046P2137V01I5_0.host,S=1234:2,S`."""


def is_mail_name(name: str) -> bool:
    """Whether a file of this name without a known extension may be a mail or a mailbox."""
    return name.lower() in MAILBOX_NAMES or (name[:1].isdigit() and _MAILDIR_NAME.match(name) is not None)


def begins_message(separator: bytes, following: bytes, *, after_blank_line: bool) -> bool:
    """Whether a line `From …` in a mailbox is where a message begins, by itself and by the line below it.

    Bodies have lines that begin with "From " too, and not every program marks them: a message's has a date, or
    at least stands below an empty line, and a header comes next.
    """
    if not _ANY_HEADER.match(following):
        return False
    if _SEPARATOR_DATE.match(separator):
        return True
    return after_blank_line and len(separator.split()) <= 2 and _HEADER.match(following) is not None


def kind_of_mail(head: bytes) -> MailKind | None:
    """By a file's first bytes; None when they are no mail's."""
    if b"\0" in head:
        return None
    head = head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    first, _, rest = head.partition(b"\n")
    if first.startswith(b"From ") and begins_message(first.rstrip(), rest, after_blank_line=True):
        return "mbox"
    if first.strip().isdigit():  # Apple Mail's files begin with the message's length
        first, _, rest = rest.partition(b"\n")
        head = first + b"\n" + rest
    if not _ANY_HEADER.match(first):
        return None
    found = {name.lower() for name in _HEADER.findall(re.split(rb"\r?\n\r?\n", head, maxsplit=1)[0])}
    if b"snapshot-content-location" in head.lower() or b"from: <saved by " in head.lower():
        return "mhtml"
    return "eml" if len(found & _TELLING) >= _TELLING_COUNT else None
