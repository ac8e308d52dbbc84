"""Pages that a browser saved as one file (MHTML): the page itself, through the HTML reader.

The pictures, styles and frames that are saved with it are left out: they belong to how it looks.
"""

from __future__ import annotations

from rag.errors import DamagedFile, EmptyFile
from rag.readers import mail_headers
from rag.readers.contract import OpenedFile, Reading, ReadLimits
from rag.readers.html import page_sections
from rag.readers.mime_parts import Part, find_parts, text_of


def read_mhtml(file: OpenedFile, limits: ReadLimits) -> Reading:
    """Raises DamagedFile for what holds no page, EmptyFile for a page without words."""
    root = find_parts(file.stream, 0, file.size_bytes)
    page = _page(root)
    if page is None:
        raise DamagedFile(f"{file.name} holds no web page", hint="save the page again, or correct the file's name")
    facts, blocks = page_sections(text_of(file.stream, page, limits.max_file_bytes), with_lines=False)
    if not blocks:
        raise EmptyFile(f"{file.name} has no words to show", hint="it may be drawn by a script, or hold only pictures")
    saved_at = mail_headers.sent_at(root.headers)
    written_at_s = facts.written_at_s
    if written_at_s is None and saved_at is not None:
        written_at_s = saved_at.timestamp()
    title = facts.title or mail_headers.header_text(root.headers, "subject")
    return Reading(iter(blocks), title, facts.author, written_at_s)


def _page(root: Part) -> Part | None:
    """The part that `start` names, or else the first that is a page."""
    pages = [part for part in root.leaves() if part.kind in ("text/html", "application/xhtml+xml")]
    start = mail_headers.parameter(root.headers, "content-type", "start").strip("<>")
    for part in pages:
        if start and mail_headers.header_text(part.headers, "content-id").strip("<>") == start:
            return part
    return pages[0] if pages else None
