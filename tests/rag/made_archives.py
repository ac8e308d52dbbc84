"""Archives for tests, made in memory: honest ones, and ones that lie."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping

Contents = Mapping[str, bytes | str]


def zip_of(contents: Contents, *, stored: bool = False) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name, (2024, 5, 6, 7, 8, 10)), content, zipfile.ZIP_DEFLATED)
    return made.getvalue()


def tar_of(contents: Contents, *, mode: str = "w") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as archive:  # type: ignore[call-overload]  # one of its modes
        for name, content in contents.items():
            data = content.encode() if isinstance(content, str) else content
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(data), 1_700_000_000
            archive.addfile(entry, io.BytesIO(data))
    return made.getvalue()


def zip_with_encrypted(name: str, others: Contents) -> bytes:
    """A ZIP whose entry `name` says that it is encrypted."""
    made = bytearray(zip_of({name: b"secret", **others}))
    for signature, flags_at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = made.index(signature)
        made[at + flags_at] |= 1
    return bytes(made)


def zip_that_lies(name: str, content: bytes, claimed: int) -> bytes:
    """A ZIP whose entry claims another size than it has, in both of its headers."""
    made = bytearray(zip_of({name: content}))
    for signature, size_at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = made.index(signature)
        made[at + size_at : at + size_at + 4] = struct.pack("<I", claimed)
    return bytes(made)


def overlapping_zip(count: int, kernel_bytes: int) -> bytes:
    """A ZIP of `count` entries that all share one compressed kernel, as the bombs of that kind do."""
    kernel = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = kernel.compress(b"\0" * kernel_bytes) + kernel.flush()
    crc = zlib.crc32(b"\0" * kernel_bytes)
    name = b"000.txt"
    head = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 8, 0, 33, crc, len(packed), kernel_bytes, len(name), 0)
    local = head + name + packed
    central = b""
    for number in range(count):
        entry = b"%03d.txt" % number
        central += (
            struct.pack(
                "<4s6H3I5H2I",
                b"PK\x01\x02",
                20,
                20,
                0,
                8,
                0,
                33,
                crc,
                len(packed),
                kernel_bytes,
                len(entry),
                0,
                0,
                0,
                0,
                0,
                0,
            )
            + entry
        )
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, len(central), len(local), 0)
    return local + central + end
