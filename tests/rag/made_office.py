"""Office and OpenDocument files for the readers' tests, made part by part, so that each oddity is in sight."""

from __future__ import annotations

import zipfile
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
    path: Path, kind: str, body: str, *, styles: str = "", meta: str = "", prolog: str = "", manifest: str = ""
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
            "meta.xml": f"<office:document-meta {spaces}><office:meta>{meta}</office:meta></office:document-meta>",
            "META-INF/manifest.xml": manifest or "<manifest/>",
        },
    )
