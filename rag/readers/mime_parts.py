"""The parts of a MIME message, found by where they are: nothing is decoded or held until it is asked for.

The parser of the standard library keeps a whole message in memory several times over and recurses into what is
nested; here a message of any size costs its headers, in one pass, and boundaries that are missing, repeated or
never closed end a part where the next one begins. Headers and transfer encodings are the standard library's.
A message attached to a message is one part: it is a file of its own.
"""

from __future__ import annotations

import binascii
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from typing import BinaryIO

from rag.errors import DamagedFile, TooLarge
from rag.readers import mail_headers
from rag.readers.contract import MEGABYTE
from rag.readers.encoding import declared_codec, find_encoding
from rag.readers.file_window import lines_beginning, open_window

USUAL_HEADER_BYTES = 1 << 14
MAX_HEADER_BYTES = MEGABYTE
"""Of one part; the rest of a longer header is not read."""
MAX_PARTS = 5000
MAX_DEPTH = 30
"""Multiparts within multiparts; mails have three or four. Deeper ones are not looked into."""
MAX_BOUNDARY_LINE_BYTES = 300
DECODE_BYTES = MEGABYTE

_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))


@dataclass(slots=True)
class Part:
    """A message or a part of one, in the stream that it was found in."""

    headers: Message
    begin: int
    """Where its body begins in the stream."""
    end: int
    kind: str
    """`text/plain` and the like, in lower case."""
    children: list[Part] = field(default_factory=list)
    is_too_deep: bool = False
    """It is made of parts that were not looked for."""

    @property
    def size_bytes(self) -> int:
        """As it stands in the file: before decoding."""
        return max(0, self.end - self.begin)

    def leaves(self) -> Iterator[Part]:
        """The parts that are not made of parts, in their order."""
        waiting = [self]
        while waiting:
            part = waiting.pop()
            if part.children:
                waiting.extend(reversed(part.children))
            else:
                yield part


@dataclass(frozen=True, slots=True)
class _Open:
    """A multipart whose end was not met yet."""

    part: Part
    boundary: bytes


def find_parts(stream: BinaryIO, begin: int, end: int) -> Part:
    """The message between two offsets of a stream, as a tree of parts."""
    root = _part_at(stream, begin, end, "text/plain")
    opened: list[_Open] = []
    places: dict[bytes, int] = {}
    _open_multipart(root, opened, places)
    if not opened:
        return root
    count, scanned_to = 1, root.begin
    for offset, line in lines_beginning(stream, b"--", root.begin, end, MAX_BOUNDARY_LINE_BYTES):
        if offset < scanned_to or count > MAX_PARTS:
            continue
        mark = line.rstrip()[2:]
        place = places.get(mark)
        closes = place is None and mark.endswith(b"--")
        if closes:
            place = places.get(mark[:-2])
        if place is None:
            continue
        ends_at = _without_line_end(stream, offset)
        _close(opened, places, place + 1, ends_at)
        if opened[place].part.children:
            opened[place].part.children[-1].end = ends_at
        if closes:
            _close(opened, places, place, ends_at)
            if not opened:
                break
            continue
        parent = opened[place].part
        default = "message/rfc822" if parent.kind == "multipart/digest" else "text/plain"
        child = _part_at(stream, offset + len(line), end, default, skip_line=True)
        parent.children.append(child)
        count += 1
        scanned_to = child.begin
        _open_multipart(child, opened, places)
    return root


def _part_at(stream: BinaryIO, begin: int, end: int, default_kind: str, *, skip_line: bool = False) -> Part:
    """`skip_line`: `begin` is at the end of a line, and the part begins with the next."""
    if skip_line:
        stream.seek(begin)
        begin += len(stream.readline(MAX_BOUNDARY_LINE_BYTES))
    headers, body = read_header(stream, begin, end)
    kind = mail_headers.content_type(headers) if headers.get("content-type") else default_kind
    return Part(headers, body, end, kind)


def read_header(stream: BinaryIO, begin: int, end: int) -> tuple[Message, int]:
    """The header that stands at an offset, as far as MAX_HEADER_BYTES, and where the body begins."""
    usual = _header_within(stream, begin, end, USUAL_HEADER_BYTES)
    headers, body, is_whole = usual if usual[2] else _header_within(stream, begin, end, MAX_HEADER_BYTES)
    return headers, body if is_whole else _end_of_header(stream, body, end)


def _header_within(stream: BinaryIO, begin: int, end: int, limit: int) -> tuple[Message, int, bool]:
    """The header as far as `limit`, where it ends, and whether that is its end."""
    stream.seek(begin)
    content = stream.read(max(0, min(limit, end - begin)))
    is_all = begin + len(content) >= end
    if not is_all:
        content = content[: content.rfind(b"\n") + 1] or content
    headers, body = mail_headers.parse_header(content)
    return headers, begin + body, is_all or body < len(content) or content.endswith((b"\n\n", b"\n\r\n"))


def _end_of_header(stream: BinaryIO, begin: int, end: int) -> int:
    """Where the body begins after a header that is longer than what is read of it: after an empty line."""
    body = end
    for empty_line in (b"\n", b"\r\n"):
        for offset, _ in lines_beginning(stream, empty_line, begin, body, len(empty_line)):
            body = min(body, offset + len(empty_line))
            break
    return body


def _open_multipart(part: Part, opened: list[_Open], places: dict[bytes, int]) -> None:
    if not part.kind.startswith("multipart/"):
        return
    if len(opened) >= MAX_DEPTH:
        part.is_too_deep = True
        return
    boundary = mail_headers.parameter(part.headers, "content-type", "boundary").rstrip().encode("utf-8", "replace")
    if boundary and boundary not in places:
        places[boundary] = len(opened)
        opened.append(_Open(part, boundary))


def _close(opened: list[_Open], places: dict[bytes, int], first: int, offset: int) -> None:
    """Close the multiparts from `first` on: what they hold ends at `offset`, if it did not before."""
    for each in opened[first:]:
        del places[each.boundary]
        each.part.end = min(each.part.end, offset)
        if each.part.children:
            each.part.children[-1].end = min(each.part.children[-1].end, offset)
    del opened[first:]


def _without_line_end(stream: BinaryIO, offset: int) -> int:
    """The line end before a boundary belongs to the boundary."""
    start = max(0, offset - 2)
    stream.seek(start)
    before = stream.read(offset - start)
    return offset - (2 if before == b"\r\n" else 1 if before.endswith(b"\n") else 0)


def open_body(stream: BinaryIO, part: Part, max_bytes: int) -> BinaryIO:
    """The decoded content of a part, at its start. Raises TooLarge when it would hold more than `max_bytes`."""
    encoding = mail_headers.header_text(part.headers, "content-transfer-encoding").strip().lower()
    if encoding not in ("base64", "quoted-printable", "x-uuencode", "uuencode", "uue", "x-uue"):
        return open_window(stream, part.begin, part.end)
    decoded_share = 0.6 if encoding == "base64" else 1.0
    if part.size_bytes * decoded_share > max_bytes:
        raise TooLarge(
            f"it has {part.size_bytes / MEGABYTE:,.0f} MB, more than the limit of {max_bytes / MEGABYTE:,.0f} MB",
            hint="save it as a file and index that, or raise library.max_file_mb in the settings",
        )
    source = open_window(stream, part.begin, part.end)
    if encoding == "base64":
        return io.BytesIO(_from_base64(source))
    if encoding == "quoted-printable":
        return io.BytesIO(binascii.a2b_qp(source.read()))
    return io.BytesIO(_from_uuencode(source))


def _from_base64(source: BinaryIO) -> bytes:
    """What is no base64 is skipped, and a rest that is too short for a byte is dropped, as mail programs do."""
    decoded = bytearray()
    held = b""
    while block := source.read(DECODE_BYTES):
        held += block.translate(None, _NOT_BASE64)
        whole = len(held) & ~3
        decoded += binascii.a2b_base64(held[:whole])
        held = held[whole:]
    if len(held) > 1:
        decoded += binascii.a2b_base64(held + b"=" * (4 - len(held)))
    return bytes(decoded)


def _from_uuencode(source: BinaryIO) -> bytes:
    decoded = bytearray()
    inside = False
    while line := source.readline(DECODE_BYTES):
        if not inside:
            inside = line.startswith(b"begin ")
        elif line.rstrip() == b"end":
            break
        else:
            try:
                decoded += binascii.a2b_uu(line)
            except binascii.Error:  # some programs write a wrong length
                continue
    return bytes(decoded)


def text_of(stream: BinaryIO, part: Part, max_bytes: int) -> str:
    """The text of a part in its declared charset, or, where that does not fit, in the one that does.

    Of more than `max_bytes` the beginning. Bytes that are no text give an empty one.
    """
    cut = Part(part.headers, part.begin, min(part.end, part.begin + max_bytes), part.kind)
    with open_body(stream, cut, max_bytes) as body:
        content = body.read()
    codec = declared_codec(mail_headers.parameter(part.headers, "content-type", "charset"))
    if codec is not None and codec != "cp1252":
        try:
            return content.decode(codec)
        except UnicodeError:
            pass
    try:
        found = find_encoding(io.BytesIO(content.replace(b"\0", b"")), "it").codec
    except DamagedFile:
        return ""
    if codec == "cp1252" and found not in ("utf-8", "utf-8-sig"):
        found = codec
    return content.decode(found, "replace")
