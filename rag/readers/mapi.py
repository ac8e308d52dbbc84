"""The properties of an Outlook message file: an OLE file in which every property is a stream.

A stream's name tells property and type (`__substg1.0_0037001F`: the subject, in Unicode); short values stand
together in `__properties_version1.0`. Attachments and attached messages are storages with properties of their
own. [MS-OXMSG] describes it. olefile finds the streams and checks their chains of sectors; only the streams that
are asked for are read. Knows nothing of what the properties mean.
"""

from __future__ import annotations

import codecs
import struct
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, BinaryIO

from rag.errors import DamagedFile
from rag.readers.document_dates import unix_time
from rag.readers.encoding import declared_codec

if TYPE_CHECKING:
    from olefile import OleFileIO

OLE_ERRORS = (OSError, ValueError, IndexError, TypeError, AttributeError, RecursionError)
"""olefile raises its own OSErrors, and the others for sectors and entries that lead nowhere."""

UNICODE, STRING8, BINARY, STORAGE = 0x001F, 0x001E, 0x0102, 0x000D
_INTEGER, _BOOLEAN, _TIME = 0x0003, 0x000B, 0x0040
_VALUES = "__properties_version1.0"
_VALUE = struct.Struct("<HHI8s")
MESSAGE_HEAD_BYTES, INNER_MESSAGE_HEAD_BYTES, ATTACHMENT_HEAD_BYTES = 32, 24, 8
"""Before the values of the file's message, of an attached message, and of an attachment or a recipient."""

_MESSAGE_CODEPAGE, _INTERNET_CODEPAGE = 0x3FFD, 0x3FDE
_CODEPAGES = {20127: "ascii", 20866: "koi8-r", 21866: "koi8-u", 28591: "cp1252", 65000: "utf-7", 65001: "utf-8"}
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)


def open_ole(stream: BinaryIO, name: str) -> OleFileIO:
    """Raises DamagedFile."""
    import olefile

    try:
        return olefile.OleFileIO(stream)
    except OLE_ERRORS as error:
        raise DamagedFile(
            f"{name} is not a whole Outlook message ({error})",
            hint="get it again from where it came; it may have been cut off",
        ) from error


class Properties:
    """Of one storage in the file; what is not there, or cannot be read, is empty."""

    def __init__(self, ole: OleFileIO, path: tuple[str, ...], head_bytes: int) -> None:
        """`path` is the storage's, from the root; empty for the file's message."""
        self._ole = ole
        self.path = path
        self.is_damaged = False
        """A stream that is there could not be read."""
        self._values: dict[int, bytes] = {}
        content = self._stream(_VALUES)[head_bytes:]
        for start in range(0, len(content) - _VALUE.size + 1, _VALUE.size):
            kind, tag, _, value = _VALUE.unpack_from(content, start)
            self._values.setdefault(tag << 16 | kind, value)

    def text(self, tag: int) -> str:
        if self._has(tag, UNICODE):
            return self._stream(_name(tag, UNICODE)).decode("utf-16-le", "replace").rstrip("\0")
        return self._stream(_name(tag, STRING8)).decode(self._codec(_MESSAGE_CODEPAGE), "replace").rstrip("\0")

    def encoded_text(self, tag: int) -> str:
        """A text that is kept as bytes in the message's internet charset."""
        return self.binary(tag).decode(self._codec(_INTERNET_CODEPAGE), "replace")

    def binary(self, tag: int) -> bytes:
        return self._stream(_name(tag, BINARY))

    def size_of(self, tag: int) -> int:
        """Of a binary property, as the file claims."""
        try:
            return int(self._ole.get_size([*self.path, _name(tag, BINARY)])) if self._has(tag, BINARY) else 0
        except OLE_ERRORS:
            return 0

    def integer(self, tag: int) -> int | None:
        value = self._values.get(tag << 16 | _INTEGER)
        return int.from_bytes(value[:4], "little") if value is not None else None

    def is_set(self, tag: int) -> bool:
        return self._values.get(tag << 16 | _BOOLEAN, b"\0")[0] != 0

    def time(self, tag: int) -> datetime | None:
        value = self._values.get(tag << 16 | _TIME)
        if value is None:
            return None
        try:
            moment = _EPOCH + timedelta(microseconds=int.from_bytes(value, "little") // 10)
        except OverflowError:
            return None
        return moment if unix_time(moment) is not None else None

    def has_storage(self, tag: int) -> bool:
        return self._has(tag, STORAGE)

    def below(self, tag: int) -> Properties:
        """Of the message that is attached as a storage."""
        return Properties(self._ole, (*self.path, _name(tag, STORAGE)), INNER_MESSAGE_HEAD_BYTES)

    def attachments(self) -> list[Properties]:
        """In the order of their names, which are numbered."""
        depth = len(self.path)
        storages = [
            tuple(path)
            for path in self._ole.listdir(streams=False, storages=True)
            if len(path) == depth + 1
            and tuple(path[:depth]) == self.path
            and path[-1].startswith("__attach_version1.0_#")
        ]
        return [Properties(self._ole, path, ATTACHMENT_HEAD_BYTES) for path in sorted(storages)]

    def _has(self, tag: int, kind: int) -> bool:
        try:
            return bool(self._ole.exists([*self.path, _name(tag, kind)]))
        except OLE_ERRORS:
            return False

    def _stream(self, name: str) -> bytes:
        path = [*self.path, name]
        try:
            if not self._ole.exists(path):
                return b""
            with self._ole.openstream(path) as stream:
                return bytes(stream.read())
        except OLE_ERRORS:
            self.is_damaged = True
            return b""

    def _codec(self, tag: int) -> str:
        number = self.integer(tag) or self.integer(_MESSAGE_CODEPAGE) or 1252
        label = _CODEPAGES.get(number) or (f"iso8859-{number - 28590}" if 28591 < number < 28606 else f"cp{number}")
        codec = declared_codec(label) or "cp1252"
        return codecs.lookup(codec).name


def _name(tag: int, kind: int) -> str:
    return f"__substg1.0_{tag:04X}{kind:04X}"
