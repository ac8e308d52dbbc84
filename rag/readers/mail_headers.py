"""What the headers of a mail say, as text: names, addresses, dates, charsets, file names.

The parser of the standard library finds the header's lines; what it offers for reading their values
(`email.policy.default`) takes minutes for some hostile ones and raises whatever it happens to meet, so values
are decoded here, cut to a length first. Every function takes any input and gives something to show.
"""

from __future__ import annotations

import email.header
import email.utils
import re
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.message import Message
from email.parser import HeaderParser
from typing import NamedTuple

from rag.readers.clean_text import clean_text, clean_title
from rag.readers.document_dates import unix_time
from rag.readers.encoding import declared_codec

MAX_VALUE_CHARS = 8000
"""Of one header; some 200 addresses. Decoding takes time that grows with its square."""
MAX_NAME_CHARS = 1000

_HEADER_LINE = re.compile(rb"[!-9;-~]+[ \t]*:|[ \t]|>?From ")
_LONE_RETURN = re.compile(rb"\r(?!\n)")
"""The parser takes it for a line's end, and what follows for the body."""
_FOLD = re.compile(r"[\r\n]+[ \t]*")


class Sender(NamedTuple):
    name: str
    """The address where there is no name."""
    address: str


def parse_header(content: bytes) -> tuple[Message, int]:
    """The header block at the start of `content`, and where the body begins in it.

    The header ends at an empty line, or where a line is none of a header's: then that line is the body's.
    """
    position = 0
    end = body = len(content)
    while position < len(content):
        line_end = content.find(b"\n", position)
        next_line = len(content) if line_end < 0 else line_end + 1
        if content[position:next_line] in (b"\n", b"\r\n", b"\r"):
            end, body = position, next_line
            break
        if not _HEADER_LINE.match(content, position):
            end = body = position
            break
        position = next_line
    block = _LONE_RETURN.sub(b" ", content[:end])
    try:
        text = block.decode("utf-8")
    except UnicodeDecodeError:
        text = block.decode("cp1252", "replace")
    return HeaderParser().parsestr(text), body


def header_text(headers: Message, name: str) -> str:
    """A header's value as one line; empty when it is not there."""
    return decoded_value(_raw_value(headers, name))


def decoded_value(raw: str) -> str:
    """One line of text from a raw value: encoded words (RFC 2047) and bare 8-bit bytes decoded."""
    raw = _FOLD.sub(" ", raw[:MAX_VALUE_CHARS])
    try:
        words = email.header.decode_header(raw)
    except (HeaderParseError, ValueError):  # base64 that is none
        words = [(raw, None)]
    parts = [_decoded_word(word, charset) for word, charset in words]
    return " ".join(clean_text("".join(parts)).split())


def _decoded_word(word: str | bytes, charset: str | None) -> str:
    if isinstance(word, str):
        return word
    if charset is None:  # what stands between encoded words; decode_header gives it as raw-unicode-escape
        return word.decode("raw_unicode_escape", "replace")
    for codec in (declared_codec(charset), "utf-8"):
        if codec is not None:
            try:
                return word.decode(codec)
            except UnicodeError:
                continue
    return word.decode("cp1252", "replace")


def _raw_value(headers: Message, name: str) -> str:
    for key, value in headers.raw_items():
        if key.lower() == name:
            return str(value)
    return ""


def sender_of(headers: Message) -> Sender:
    """Who wrote it: From, or else Sender."""
    raw = (_raw_value(headers, "from") or _raw_value(headers, "sender"))[:MAX_VALUE_CHARS]
    try:
        name, address = email.utils.parseaddr(raw)
    except (RecursionError, IndexError, ValueError):  # nested comments; other shapes that the parser trips over
        name, address = raw, ""
    name, address = clean_title(decoded_value(name)), clean_title(decoded_value(address))
    return Sender(name or address or clean_title(decoded_value(raw)), address)


def sent_at(headers: Message) -> datetime | None:
    """When it was sent, in the sender's zone: the Date header, or else when the last server took it."""
    received = _raw_value(headers, "received").rpartition(";")[2]
    for raw in (_raw_value(headers, "date"), received):
        if (moment := date_of(raw)) is not None:
            return moment
    return None


def date_of(raw: str) -> datetime | None:
    """A date as mails write it; None for what is none or cannot be."""
    try:
        moment = email.utils.parsedate_to_datetime(raw[:MAX_NAME_CHARS])
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:  # "-0000": in an unknown zone
        moment = moment.replace(tzinfo=UTC)
    return moment if unix_time(moment) is not None else None


def content_type(headers: Message) -> str:
    """`text/plain` and the like, in lower case; what is none is `text/plain`, as the standard says."""
    return headers.get_content_type()


def parameter(headers: Message, header: str, name: str) -> str:
    """A parameter such as `charset`, decoded from RFC 2231 or (against the standard, but common) RFC 2047."""
    if len(_raw_value(headers, header.lower())) > MAX_VALUE_CHARS:
        return ""
    try:
        found = headers.get_param(name, header=header)
        value = email.utils.collapse_rfc2231_value(found) if found is not None else ""
    except (ValueError, LookupError, TypeError, AttributeError):  # RFC 2231 sections that are not what they say
        return ""
    return decoded_value(str(value)[:MAX_NAME_CHARS])


def file_name(headers: Message) -> str:
    """What the part is called, as it says: not to be trusted. Empty when it has no name."""
    return parameter(headers, "content-disposition", "filename") or parameter(headers, "content-type", "name")
