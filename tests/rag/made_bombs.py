"""Pictures and sound that are small as files and enormous in memory, or that never end. Made by hand, byte by byte."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

_CRC8 = [0] * 256
_CRC16 = [0] * 256
for _byte in range(256):
    _eight, _sixteen = _byte, _byte << 8
    for _ in range(8):
        _eight = (_eight << 1 ^ (0x07 if _eight & 0x80 else 0)) & 0xFF
        _sixteen = (_sixteen << 1 ^ (0x8005 if _sixteen & 0x8000 else 0)) & 0xFFFF
    _CRC8[_byte], _CRC16[_byte] = _eight, _sixteen


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *, before: bytes = b"", bits: int = 1) -> bytes:
    """A whole, black PNG in shades of grey; `before` are chunks that stand before its pixels."""
    packing = zlib.compressobj(9)
    row = bytes(1 + -(-width * bits // 8))
    lot = row * max(1, (1 << 20) // len(row))
    packed = [packing.compress(lot) for _ in range(height * len(row) // len(lot))]
    packed += [packing.compress(bytes(height * len(row) % len(lot))), packing.flush()]
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    ends = png_chunk(b"IDAT", b"".join(packed)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + before + ends


def zipped_text_chunk(unpacked_bytes: int) -> bytes:
    """A comment in a PNG that unpacks to so many bytes."""
    return png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(unpacked_bytes), 9))


def gif(frames: int) -> bytes:
    """An animation of one pixel that is black and white by turns."""
    header = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    one = [
        b"\x21\xf9\x04\0\x05\0\0\0" + b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02" + pixel + b"\0"
        for pixel in (b"\x44\x01", b"\x4c\x01")
    ]
    return header + b"".join(one[number % 2] for number in range(frames)) + b"\x3b"


def apng(frames: int) -> bytes:
    """The same as a PNG: each frame is said to be shown for a twentieth of a second."""
    parts = [b"\x89PNG\r\n\x1a\n", png_chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))]
    parts.append(png_chunk(b"acTL", struct.pack(">II", frames, 0)))
    number = 0
    for frame in range(frames):
        control = struct.pack(">IIIIIHHBB", number, 1, 1, 0, 0, 1, 20, 0, 0)
        parts.append(png_chunk(b"fcTL", control))
        number += 1
        pixel = zlib.compress(b"\0" + (b"\0" if frame % 2 else b"\xff"))
        if frame == 0:
            parts.append(png_chunk(b"IDAT", pixel))
        else:
            parts.append(png_chunk(b"fdAT", struct.pack(">I", number) + pixel))
            number += 1
    return b"".join([*parts, png_chunk(b"IEND", b"")])


def tiff(pages: int) -> bytes:
    """So many pages of one black pixel."""
    parts = [b"II*\0", struct.pack("<I", 8)]
    tags = ((256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 0), (278, 1), (279, 1))
    length = 2 + 12 * len(tags) + 4
    for page in range(pages):
        at = 8 + page * length
        entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
        following = 0 if page == pages - 1 else at + length
        parts.append(struct.pack("<H", len(tags)) + entries + struct.pack("<I", following))
    return b"".join(parts)


def silent_flac(hours: float, *, rate_hz: int = 16_000) -> bytes:
    """Hours of silence in some hundred kilobytes: each frame says that 65,535 samples are 0."""
    block = 65_535
    frames = round(hours * 3600 * rate_hz / block)
    info = struct.pack(">HH", block, block) + bytes(6)
    info += (rate_hz << 44 | 0 << 41 | 15 << 36 | frames * block).to_bytes(8, "big") + bytes(16)
    return b"fLaC" + b"\x80" + len(info).to_bytes(3, "big") + info + b"".join(map(_silent_frame, range(frames)))


def _silent_frame(number: int) -> bytes:
    # 0xFFF8: fixed block size; 0x70: size in 16 bits at the end of the header, rate of the stream; 0x08: mono, 16 bits.
    header = b"\xff\xf8\x70\x08" + _coded_number(number) + struct.pack(">H", 65_534)
    checked = header + bytes([_checksum(_CRC8, header, 8)])
    frame = checked + b"\0" + b"\0\0"  # one subframe: constant, 0
    return frame + struct.pack(">H", _checksum(_CRC16, frame, 16))


def _coded_number(number: int) -> bytes:
    """As UTF-8 codes a character."""
    return chr(number).encode("utf-8", "surrogatepass")


def _checksum(table: list[int], content: bytes, bits: int) -> int:
    checksum = 0
    for byte in content:
        checksum = (checksum << 8 ^ table[(checksum >> (bits - 8) ^ byte) & 0xFF]) & ((1 << bits) - 1)
    return checksum


def pages_of_scan(count: int) -> Iterator[bytes]:
    """A4 at 300 dots an inch in black and white, each page another: packed rows as PBM has them."""
    width, height = 2480, 3508
    for number in range(count):
        ink = bytes([0b11110000 >> number % 4 & 0xFF])
        rows = [(ink if row // 40 % 2 else b"\0") * (width // 8) for row in range(height)]
        yield b"P4\n%d %d\n" % (width, height) + b"".join(rows)
