"""Files for the readers' tests, made byte by byte: nothing is committed, nothing depends on the machine."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def pdf_bytes(
    pages: Sequence[Sequence[str]],
    *,
    title: str = "",
    outline: Sequence[tuple[str, int]] = (),
    encrypted: bool = False,
) -> bytes:
    """A PDF with a page for each sequence of lines; `outline` names pages by index.

    `encrypted` declares a password handler whose check no password passes.
    """
    objects: list[bytes] = []

    def add(body: str | bytes) -> int:
        objects.append(body.encode("latin-1") if isinstance(body, str) else body)
        return len(objects)

    catalog, page_tree, font, info, outlines = (add("") for _ in range(5))
    page_numbers = []
    for lines in pages:
        shown = "".join(f"({_escaped(line)}) Tj T*\n" for line in lines)
        stream = f"BT /F1 11 Tf 14 TL 72 720 Td\n{shown}ET".encode("latin-1")
        content = add(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
        page_numbers.append(
            add(
                f"<< /Type /Page /Parent {page_tree} 0 R /MediaBox [0 0 612 792] /Contents {content} 0 R"
                f" /Resources << /Font << /F1 {font} 0 R >> >> >>"
            )
        )
    first_entry = len(objects) + 1
    for position, (words, page_index) in enumerate(outline):
        following = f" /Next {first_entry + position + 1} 0 R" if position + 1 < len(outline) else ""
        add(
            f"<< /Title ({_escaped(words)}) /Parent {outlines} 0 R{following}"
            f" /Dest [{page_numbers[page_index]} 0 R /Fit] >>"
        )
    kids = " ".join(f"{number} 0 R" for number in page_numbers)
    objects[catalog - 1] = f"<< /Type /Catalog /Pages {page_tree} 0 R /Outlines {outlines} 0 R >>".encode()
    objects[page_tree - 1] = f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode()
    objects[font - 1] = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
    objects[info - 1] = f"<< /Title ({_escaped(title)}) >>".encode("latin-1")
    last_entry = len(objects)
    objects[outlines - 1] = (
        f"<< /Type /Outlines /First {first_entry} 0 R /Last {last_entry} 0 R /Count {len(outline)} >>".encode()
        if outline
        else b"<< /Type /Outlines /Count 0 >>"
    )
    encryption = ""
    if encrypted:
        encryption = (
            f" /Encrypt << /Filter /Standard /V 1 /R 2 /P -44 /O <{'ab' * 32}> /U <{'cd' * 32}> >>"
            f" /ID [<{'01' * 16}> <{'01' * 16}>]"
        )
    return _assembled(objects, f"/Root {catalog} 0 R /Info {info} 0 R{encryption}")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


def _assembled(objects: Sequence[bytes], trailer: str) -> bytes:
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += f"trailer\n<< /Size {len(objects) + 1} {trailer} >>\nstartxref\n{table}\n%%EOF\n".encode()
    return bytes(out)


def docx_of(path: Path, body: str, *, parts: dict[str, str | bytes] | None = None, prolog: str = "") -> Path:
    """A DOCX whose `w:body` is the XML given, with further parts by name."""
    document = (
        f'<?xml version="1.0" encoding="UTF-8"?>{prolog}<w:document xmlns:w="{WORD}"'
        ' xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006">'
        f"<w:body>{body}</w:body></w:document>"
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", document)
        for name, content in (parts or {}).items():
            archive.writestr(name, content)
    return path


def paragraph(text: str, properties: str = "") -> str:
    return f'<w:p><w:pPr>{properties}</w:pPr><w:r><w:t xml:space="preserve">{text}</w:t></w:r></w:p>'
