"""Office and OpenDocument files for the readers' tests, made part by part, so that each oddity is in sight."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
OASIS = "urn:oasis:names:tc:opendocument:xmlns:"
OPENDOCUMENT = "application/vnd.oasis.opendocument."


def package_of(path: Path, parts: dict[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def xlsx_of(
    path: Path,
    rows: str,
    *,
    after_rows: str = "",
    strings: tuple[str, ...] = (),
    sheet_name: str = "Sheet",
    prolog: str = "",
    parts: dict[str, str | bytes] | None = None,
) -> Path:
    """A workbook of one sheet whose `sheetData` is the XML given, with shared strings and further parts."""
    shared = "".join(f"<si><t>{text}</t></si>" for text in strings)
    return package_of(
        path,
        {
            "[Content_Types].xml": "<Types/>",
            "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{RELATIONS}"><sheets>'
            f'<sheet name="{sheet_name}" sheetId="1" r:id="s1"/></sheets></workbook>',
            "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE_RELATIONS}">'
            f'<Relationship Id="s1" Type="{RELATIONS}/worksheet" Target="worksheets/sheet1.xml"/>'
            f'<Relationship Id="s2" Type="{RELATIONS}/sharedStrings" Target="/xl/sharedStrings.xml"/>'
            "</Relationships>",
            "xl/sharedStrings.xml": f'<sst xmlns="{MAIN}">{shared}</sst>',
            "xl/worksheets/sheet1.xml": f'<?xml version="1.0"?>{prolog}<worksheet xmlns="{MAIN}">'
            f"<sheetData>{rows}</sheetData>{after_rows}</worksheet>",
            **(parts or {}),
        },
    )


def odf_of(
    path: Path,
    kind: str,
    body: str,
    *,
    styles: str = "",
    master_page: str = "",
    meta: str = "",
    prolog: str = "",
    manifest: str = "",
) -> Path:
    """An OpenDocument file whose `office:text`, `office:spreadsheet` or `office:presentation` is the XML given."""
    names = ["office", "text", "table", "draw:drawing", "presentation", "style", "svg:svg-compatible", "meta"]
    spaces = " ".join(
        f'xmlns:{prefix}="{OASIS}{name or prefix}:1.0"' for prefix, _, name in (each.partition(":") for each in names)
    )
    spaces += ' xmlns:dc="http://purl.org/dc/elements/1.1/"'
    return package_of(
        path,
        {
            "mimetype": f"{OPENDOCUMENT}{kind}",
            "content.xml": f'<?xml version="1.0" encoding="UTF-8"?>{prolog}<office:document-content {spaces}>'
            f"<office:automatic-styles>{styles}</office:automatic-styles>"
            f"<office:body><office:{kind}>{body}</office:{kind}></office:body></office:document-content>",
            "styles.xml": f"<office:document-styles {spaces}><office:master-styles>"
            f"<style:master-page>{master_page}</style:master-page></office:master-styles></office:document-styles>",
            "meta.xml": f"<office:document-meta {spaces}><office:meta>{meta}</office:meta></office:document-meta>",
            "META-INF/manifest.xml": manifest or "<manifest/>",
        },
    )


SECTOR = 512
FREE, END, FAT_SECTOR = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD


def ole_bytes(streams: Mapping[str, bytes]) -> bytes:
    """An OLE file ([MS-CFB], version 3) of at most 7 streams, 60 KB in all."""
    names = sorted(streams, key=lambda name: (len(name), name.upper()))
    fat = [FAT_SECTOR, END, END]  # sector 0 is the table itself, 1 and 2 the folder
    entries = [_ole_entry("Root Entry", 5, END, 0, child=1)]
    body = b""
    for position, name in enumerate(names, start=1):
        # Short streams would go into a table of their own: zeros make them long enough.
        content = streams[name].ljust(4096, b"\0")
        content += b"\0" * (-len(content) % SECTOR)
        count = len(content) // SECTOR
        following = position + 1 if position < len(names) else FREE
        entries.append(_ole_entry(name, 2, len(fat), len(content), right=following))
        fat += [*range(len(fat) + 1, len(fat) + count), END]
        body += content
    fat[1] = 2
    table = struct.pack("<128I", *fat, *[FREE] * (128 - len(fat)))
    folder = b"".join(entries).ljust(2 * SECTOR, b"\0")
    header = struct.pack(
        "<8s16x5H6x9I", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 0x3E, 3, 0xFFFE, 9, 6,
        0, 1, 1, 0, 4096, END, 0, END, 0,
    )  # fmt: skip
    return header + struct.pack("<109I", 0, *[FREE] * 108) + table + folder + body


def _ole_entry(name: str, kind: int, start: int, size: int, *, child: int = FREE, right: int = FREE) -> bytes:
    encoded = name.encode("utf-16-le")
    return struct.pack(
        "<64sHBB3I36xIQ", encoded, len(encoded) + 2, kind, 1, FREE, right, child, start, size
    )  # 36: class, flags and times


def summary_information(texts: Mapping[int, str], times: Mapping[int, int]) -> bytes:
    """The stream of a document's properties ([MS-OLEPS]): texts in UTF-8, times as FILETIME, by their ids."""
    values = {1: struct.pack("<IhH", 2, -535, 0)}  # code page 65001, as a signed number
    for key, text in texts.items():
        encoded = text.encode() + b"\0"
        encoded += b"\0" * (-len(encoded) % 4)
        values[key] = struct.pack("<II", 30, len(encoded)) + encoded
    values |= {key: struct.pack("<IQ", 64, filetime) for key, filetime in times.items()}
    offset = 8 + 8 * len(values)
    table = content = b""
    for key, value in values.items():
        table += struct.pack("<II", key, offset + len(content))
        content += value
    section = struct.pack("<II", 8 + len(table) + len(content), len(values)) + table + content
    format_id = bytes.fromhex("e0859ff2f94f6810ab9108002b27b3d9")
    return struct.pack("<HHI16xI16sI", 0xFFFE, 0, 2, 1, format_id, 48) + section
