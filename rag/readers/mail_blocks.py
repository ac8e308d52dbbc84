"""A mail as blocks of text, whatever file it came in: its headers and words first, then what it quotes.

The headers (From, To, Cc, Date, Subject) open the text, so that they are found as words and go to the embedder
with the first words of the mail. Every block stands under the subject and who wrote it when.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from rag.readers.blocks import blocks_at
from rag.readers.clean_text import clean_text, clean_title
from rag.readers.mail_text import split_quotes
from rag.records import Block, Locator

QUOTED = "Quoted"
"""What the heading of an earlier mail's words begins with, below the subject."""
MAX_PEOPLE_CHARS = 1500
"""Of To and of Cc; a mail to a thousand people is not about them."""


@dataclass(slots=True)
class Mail:
    """What a mail says. All texts are one line, but `text`."""

    subject: str = ""
    sender: str = ""
    """The name, or the address where there is none."""
    sender_line: str = ""
    """Name and address, as the header says."""
    to: str = ""
    cc: str = ""
    date_line: str = ""
    sent_at: datetime | None = None
    """With a zone, the sender's where it is known."""
    text: str = ""
    remarks: list[str] = field(default_factory=list)
    """What is shown below the headers: that it is signed, or encrypted."""
    attachments: list[str] = field(default_factory=list)


def mail_blocks(mail: Mail) -> Iterator[Block]:
    """At least one block, if there is anything in the mail but its date."""
    path = tuple(part for part in (clean_title(mail.subject), _byline(mail)) if part)
    head = "\n".join(
        f"{name}: {_shortened(value)}"
        for name, value in (
            ("From", mail.sender_line or mail.sender),
            ("To", mail.to),
            ("Cc", mail.cc),
            ("Date", mail.date_line),
            ("Subject", mail.subject),
            ("Attachments", ", ".join(mail.attachments)),
        )
        if value
    )
    if mail.remarks:
        head = "\n".join([head, *mail.remarks]).strip("\n")
    if head:
        yield Block(clean_text(head), heading_path=path)
    for passage in split_quotes(clean_text(mail.text).replace("\u00a0", " ")):
        below = path
        if passage.kind == "quoted":
            below = (*path[:1], clean_title(f"{QUOTED}: {passage.attribution}" if passage.attribution else QUOTED))
        elif passage.kind == "signature":
            below = (*path, "Signature")
        yield from blocks_at(Locator(), passage.text, below)


def _byline(mail: Mail) -> str:
    day = mail.sent_at.date().isoformat() if mail.sent_at is not None else ""
    return ", ".join(part for part in (clean_title(mail.sender), day) if part)


def _shortened(value: str) -> str:
    return value if len(value) <= MAX_PEOPLE_CHARS else f"{value[:MAX_PEOPLE_CHARS]} …"
