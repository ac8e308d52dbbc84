"""Outlook messages (MSG): read as the mails they are; what is attached becomes files inside, attached messages as EML.

The text is the plain one if it says the same as the HTML; a message that has only formatted text (RTF) gives
its words. Old files may hold only part of a mail: what is missing is left out.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from email.encoders import encode_base64
from email.header import Header
from email.mime.base import MIMEBase
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.utils import format_datetime
from functools import partial
from typing import BinaryIO

from rag.errors import EmptyFile, ReadError, TooLarge
from rag.readers import mail_headers
from rag.readers.clean_text import clean_text
from rag.readers.compressed_rtf import decompress_rtf
from rag.readers.contract import MEGABYTE, Member, OpenedFile, Reading, ReadLimits
from rag.readers.html import html_as_text
from rag.readers.mail_blocks import Mail, mail_blocks
from rag.readers.mail_text import best_version
from rag.readers.mapi import MESSAGE_HEAD_BYTES, Properties, open_ole
from rag.readers.rtf import read_rtf

MAX_ATTACHMENTS = 5000
MAX_DEPTH = 5
"""Messages within messages that are turned into EML together."""
MAX_DECORATION_BYTES = 30_000
MAX_RTF_BYTES = 8 * MEGABYTE

_CLASS, _SUBJECT, _HEADERS = 0x001A, 0x0037, 0x007D
_SENDER_NAME, _SENDER_SMTP, _SENDER_ADDRESS, _REPRESENTED_NAME = 0x0C1A, 0x5D01, 0x0C1F, 0x0042
_TO, _CC = 0x0E04, 0x0E03
_SUBMITTED, _DELIVERED, _CHANGED = 0x0039, 0x0E06, 0x3008
_BODY, _HTML, _RTF = 0x1000, 0x1013, 0x1009
_DATA, _SHORT_NAME, _LONG_NAME, _SHOWN_NAME, _CONTENT_ID, _MIME_TYPE, _HIDDEN = (
    0x3701,
    0x3704,
    0x3707,
    0x3001,
    0x3712,
    0x370E,
    0x7FFE,
)


def read_msg(file: OpenedFile, limits: ReadLimits) -> Reading:
    """Raises DamagedFile, EmptyFile for a message of which nothing can be said."""
    message = Properties(open_ole(file.stream, file.name), (), MESSAGE_HEAD_BYTES)
    attachments = _attached(message)
    mail = _mail_of(message, [name for name, _ in attachments], limits)
    blocks = list(mail_blocks(mail))
    if not blocks and not attachments:
        raise EmptyFile(f"{file.name} has neither headers nor text", hint="there is nothing in it to find")
    notes = ["parts of it are damaged and were left out"] if message.is_damaged else []
    if mail.remarks:
        notes.append("it is encrypted, or its text is inside a signature: only its headers were read")
    return Reading(
        iter(blocks),
        mail.subject,
        mail.sender,
        mail.sent_at.timestamp() if mail.sent_at is not None else None,
        notes=notes,
        members=_members(attachments, file.name, limits),
    )


def _mail_of(message: Properties, attachments: list[str], limits: ReadLimits) -> Mail:
    headers, _ = mail_headers.parse_header(message.text(_HEADERS).encode("utf-8", "replace"))
    sender = mail_headers.sender_of(headers)
    name = _one_line(message.text(_SENDER_NAME) or message.text(_REPRESENTED_NAME))
    address = _one_line(message.text(_SENDER_SMTP) or message.text(_SENDER_ADDRESS))
    if "@" not in address:  # an address inside an Exchange server
        address = ""
    line = f"{name} <{address}>" if name and address and name != address else name or address
    sent_at = mail_headers.sent_at(headers) or message.time(_SUBMITTED) or message.time(_DELIVERED)
    kind = message.text(_CLASS).upper()
    return Mail(
        subject=_one_line(message.text(_SUBJECT)),
        sender=sender.name or name or address,
        sender_line=mail_headers.header_text(headers, "from") or line,
        to=mail_headers.header_text(headers, "to") or _one_line(message.text(_TO)),
        cc=mail_headers.header_text(headers, "cc") or _one_line(message.text(_CC)),
        date_line=mail_headers.header_text(headers, "date") or (format_datetime(sent_at) if sent_at else ""),
        sent_at=sent_at,
        text=_text_of(message, limits),
        remarks=["Signed or encrypted (S/MIME): its text is not read"] if ".SMIME" in kind else [],
        attachments=attachments,
    )


def _text_of(message: Properties, limits: ReadLimits) -> str:
    plain = message.text(_BODY).replace("\r\n", "\n").replace("\r", "\n")
    html = message.binary(_HTML)
    as_text = html_as_text(_decoded_html(message, html)) if html else html_as_text(message.text(_HTML))
    text = best_version(plain, as_text)
    return text if text.strip() else _rtf_words(message.binary(_RTF), limits)


def _decoded_html(message: Properties, html: bytes) -> str:
    """In the charset that fits: UTF-8 is often told wrongly, and then valid."""
    try:
        return html.decode("utf-8")
    except UnicodeDecodeError:
        return message.encoded_text(_HTML)


def _rtf_words(compressed: bytes, limits: ReadLimits) -> str:
    try:
        rtf = decompress_rtf(compressed, MAX_RTF_BYTES)
        reading = read_rtf(OpenedFile("the message", io.BytesIO(rtf), len(rtf), 0), limits)
        return "\n\n".join(block.text for block in reading.blocks)
    except (ValueError, ReadError):  # no compressed RTF, or no words in it: then the message has no text
        return ""


def _one_line(text: str) -> str:
    return " ".join(clean_text(text[: mail_headers.MAX_VALUE_CHARS]).split())


def _attached(message: Properties) -> list[tuple[str, Properties]]:
    """What is attached, with its name as the file says, without folders."""
    found: list[tuple[str, Properties]] = []
    for ordinal, attachment in enumerate(message.attachments()[:MAX_ATTACHMENTS], start=1):
        if _is_decoration(attachment):
            continue
        told = attachment.text(_LONG_NAME) or attachment.text(_SHORT_NAME) or attachment.text(_SHOWN_NAME)
        name = _one_line(told[: mail_headers.MAX_NAME_CHARS]).replace("\\", "/").rpartition("/")[2].strip()
        if attachment.has_storage(_DATA):
            inner = attachment.below(_DATA)
            if not inner.text(_CLASS) and not inner.text(_SUBJECT):
                continue  # an object of another program, e.g. a drawing
            subject = _one_line(inner.text(_SUBJECT))[:100].replace("/", "-").replace("\\", "-")
            name = f"{subject or name or f'part {ordinal}'}.eml"
        found.append((name or f"part {ordinal}", attachment))
    return found


def _is_decoration(attachment: Properties) -> bool:
    """A logo that the HTML shows in place; Outlook does not list it either."""
    is_shown = attachment.is_set(_HIDDEN) or bool(attachment.text(_CONTENT_ID))
    is_picture = attachment.text(_MIME_TYPE).lower().startswith("image/")
    return is_shown and is_picture and attachment.size_of(_DATA) <= MAX_DECORATION_BYTES


def _members(attachments: list[tuple[str, Properties]], name: str, limits: ReadLimits) -> Iterator[Member]:
    for path, attachment in attachments:
        changed_at = attachment.time(_CHANGED)
        mtime_ns = int(changed_at.timestamp() * 1e9) if changed_at is not None else 0
        if attachment.has_storage(_DATA):
            yield Member(path, partial(_open_message, attachment.below(_DATA), name, limits), 0, mtime_ns)
        else:
            yield Member(path, partial(_open_data, attachment, name, limits), attachment.size_of(_DATA), mtime_ns)


def _open_data(attachment: Properties, name: str, limits: ReadLimits) -> BinaryIO:
    _check_size(attachment, name, limits)
    return io.BytesIO(attachment.binary(_DATA))


def _check_size(attachment: Properties, name: str, limits: ReadLimits) -> None:
    if attachment.size_of(_DATA) > limits.max_file_bytes:
        raise TooLarge(
            f"an attachment of {name} has {attachment.size_of(_DATA) / MEGABYTE:,.0f} MB,"
            f" more than the limit of {limits.max_file_bytes / MEGABYTE:,.0f} MB",
            hint="save it as a file and index that, or raise library.max_file_mb in the settings",
        )


def _open_message(message: Properties, name: str, limits: ReadLimits) -> BinaryIO:
    return io.BytesIO(_as_mime(message, name, limits, MAX_DEPTH).as_bytes())


def _as_mime(message: Properties, name: str, limits: ReadLimits, depth: int) -> MIMEMultipart:
    """An attached message as a mail of its own, for the EML reader: the same bytes every time."""
    mail = _mail_of(message, [], limits)
    told = (mail.sender_line, mail.to, mail.cc, mail.date_line, mail.subject)
    identity = hashlib.sha256("\n".join((*told, mail.text)).encode("utf-8", "replace")).hexdigest()
    mime = MIMEMultipart(boundary=f"{identity[:40]}-{depth}")
    for header, value in zip(("From", "To", "Cc", "Date", "Subject"), told, strict=True):
        if value:
            mime[header] = Header(value, "utf-8").encode()
    mime.attach(MIMEText(mail.text, "plain", "utf-8"))
    for path, attachment in _attached(message):
        if attachment.has_storage(_DATA):
            if depth:
                mime.attach(MIMEMessage(_as_mime(attachment.below(_DATA), name, limits, depth - 1)))
            continue
        _check_size(attachment, name, limits)
        part = MIMEBase("application", "octet-stream")
        part.add_header("Content-Disposition", "attachment", filename=("utf-8", "", path))
        part.set_payload(attachment.binary(_DATA))
        encode_base64(part)
        mime.attach(part)
    return mime
