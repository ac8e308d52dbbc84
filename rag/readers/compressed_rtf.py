"""The compressed RTF in which Outlook keeps formatted text ([MS-OXRTFCP]). Knows nothing of RTF itself."""

from __future__ import annotations

import struct

_HEADER = struct.Struct("<II4sI")
_COMPRESSED, _PLAIN = b"LZFu", b"MELA"
_WINDOW_BYTES = 4096
_BEGINNING = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans "
    rb"SerifSymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    b"\r\n"
    rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)
"""What every text can refer back to."""


def decompress_rtf(content: bytes, max_bytes: int) -> bytes:
    """The RTF, or what there is of it when the content was cut off. Raises ValueError for what is something else."""
    if len(content) < _HEADER.size:
        raise ValueError("shorter than its header")
    _, size_bytes, kind, _ = _HEADER.unpack_from(content)
    limit = min(size_bytes, max_bytes)
    if kind == _PLAIN:
        return content[_HEADER.size : _HEADER.size + limit]
    if kind != _COMPRESSED:
        raise ValueError("neither compressed nor plain")
    window = bytearray(_BEGINNING.ljust(_WINDOW_BYTES, b"\0"))
    write = len(_BEGINNING)
    found = bytearray()
    position = _HEADER.size
    while position < len(content) and len(found) < limit:
        control = content[position]
        position += 1
        for bit in range(8):
            if not control >> bit & 1:
                piece = content[position : position + 1]
                position += 1
            else:
                reference = content[position : position + 2]
                position += 2
                if len(reference) < 2:
                    return bytes(found[:limit])
                offset, length = reference[0] << 4 | reference[1] >> 4, (reference[1] & 15) + 2
                if offset == write:  # the mark of the end
                    return bytes(found[:limit])
                piece = b""
                for step in range(length):  # it may refer to what it is writing
                    byte = window[(offset + step) % _WINDOW_BYTES]
                    window[(write + step) % _WINDOW_BYTES] = byte
                    piece += bytes((byte,))
            if not piece:
                return bytes(found[:limit])
            for step, byte in enumerate(piece):
                window[(write + step) % _WINDOW_BYTES] = byte
            write = (write + len(piece)) % _WINDOW_BYTES
            found += piece
    return bytes(found[:limit])
