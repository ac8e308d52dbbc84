"""Jupyter notebooks: the cells in their order, under `cell N` and the Markdown headings above them.

A cell of code is a fenced block. Of outputs the text is read; pictures and other data in base64 are left
out. Plain JSON (nbformat 3 and 4): nbformat itself only checks and converts what is read here. No locator:
lines of the JSON mean nothing to a person, the cell's number does. Nothing is run.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rag.errors import DamagedFile, EmptyFile, TooLarge
from rag.readers.clean_text import clean_text, clean_title
from rag.readers.contract import MEGABYTE, OpenedFile, Reading, ReadLimits
from rag.readers.markdown import markdown_structure, readable_lines
from rag.readers.plain_text import decoded_text
from rag.readers.sections import Heading, headings_after, sections
from rag.readers.value_tree import readable
from rag.records import Block
from rag.stretches import cut_stretches

MAX_PARSED_BYTES = 128 * MEGABYTE
"""Pictures make notebooks large; they are parsed and left out."""
MAX_OUTPUT_CHARS = 20_000
"""Of one output: a training log of a million lines says little."""

GATHERED_CHARS = 700
"""About what a passage of 200 tokens holds of code."""

_ESCAPE = re.compile(r"\x1b\[[0-9;?]{0,30}[A-Za-z]")
_TAG = re.compile(r"<[a-zA-Z/!][^<>]{0,500}>")


class _Piece(NamedTuple):
    path: tuple[str, ...]
    """The Markdown headings above."""
    cell: int
    """From 1, as Jupyter numbers nothing but runs."""
    text: str
    is_heading: bool = False
    """A heading with nothing below it in its cell."""


def read_notebook(file: OpenedFile, _limits: ReadLimits) -> Reading:
    """Raises DamagedFile for what is no notebook, TooLarge, EmptyFile for one without words."""
    if file.size_bytes > MAX_PARSED_BYTES:
        raise TooLarge(
            f"{file.name} has {file.size_bytes / MEGABYTE:,.0f} MB, more than a notebook is read with",
            hint="clear its outputs and save it again",
        )
    pieces_of_text, notes = decoded_text(file)
    try:
        notebook = json.loads("".join(pieces_of_text), parse_int=str)
    except (ValueError, RecursionError) as error:
        raise _no_notebook(file, "it is not JSON") from error
    cells = _cells(notebook)
    if cells is None:
        raise _no_notebook(file, "it has no cells")
    about = notebook.get("metadata")
    pieces = list(_without_spare_headings(_pieces(cells, _language(about))))
    if not pieces:
        raise EmptyFile(f"{file.name} has no cells with words", hint="there is nothing in it to find")
    named = about.get("title") if isinstance(about, dict) else None
    first_path = next((piece.path for piece in pieces if piece.path), ("",))
    title = clean_title(named) if isinstance(named, str) else first_path[0]
    return Reading(_blocks(pieces), title, notes=notes)


def _language(about: object) -> str:
    """For the mark of a code block, so only a plain word."""
    for name in ("language_info", "kernelspec"):
        stated = about.get(name) if isinstance(about, dict) else None
        for key in ("name", "language"):
            word = stated.get(key) if isinstance(stated, dict) else None
            if isinstance(word, str) and re.fullmatch(r"[a-z+#]{1,20}", word):
                return word
    return ""


def _no_notebook(file: OpenedFile, why: str) -> DamagedFile:
    return DamagedFile(
        f"{file.name} is not a whole notebook: {why}", hint="get it again from where it came; it may have been cut off"
    )


def _cells(notebook: object) -> list[object] | None:
    """Those of nbformat 4, or of the worksheets of nbformat 3."""
    if not isinstance(notebook, dict):
        return None
    sheets = notebook.get("worksheets")
    holders = sheets if isinstance(sheets, list) else [notebook]
    found = [each["cells"] for each in holders if isinstance(each, dict) and isinstance(each.get("cells"), list)]
    return [cell for cells in found for cell in cells] if found else None


def _blocks(pieces: Iterable[_Piece]) -> Iterator[Block]:
    """Small neighbouring cells of a section share a heading, and so a passage."""
    gathered: list[_Piece] = []
    chars = 0
    for piece in pieces:
        if gathered and (piece.path != gathered[0].path or chars + len(piece.text) > GATHERED_CHARS):
            yield from _together(gathered)
            gathered, chars = [], 0
        gathered.append(piece)
        chars += len(piece.text)
    if gathered:
        yield from _together(gathered)


def _together(pieces: list[_Piece]) -> Iterator[Block]:
    first, last = pieces[0].cell, pieces[-1].cell
    path = (*pieces[0].path, f"cell {first}" if first == last else f"cells {first}-{last}")
    for stretch in cut_stretches(["\n\n".join(piece.text for piece in pieces)]):
        if stretch.strip():
            yield Block(stretch.strip("\n").rstrip(), heading_path=path, syntax="markdown")


def _pieces(cells: list[object], language: str) -> Iterator[_Piece]:
    above: tuple[Heading, ...] = ()
    for number, cell in enumerate(cells, 1):
        if not isinstance(cell, dict):
            continue
        source = clean_text(_joined(cell.get("source", cell.get("input")))).strip("\n").rstrip()
        kind = cell.get("cell_type")
        if kind in ("markdown", "heading"):
            source = f"# {source}" if kind == "heading" else source  # nbformat 3 had a kind for headings
            headings, code_lines = markdown_structure(source)
            lines = readable_lines(source.split("\n"), code_lines)
            for each in sections(lines, headings, above):
                if isinstance(each, Block):
                    yield _Piece(each.heading_path, number, each.text, is_heading=True)
                else:
                    yield _Piece(each.path, number, "\n".join(lines[each.begin : each.end]).strip("\n"))
            above = headings_after(above, headings)
            continue
        path = tuple(heading.words for heading in above)
        if source.strip():
            yield _Piece(path, number, _fenced(source, language) if kind == "code" else source)
        for text in _output_texts(cell.get("outputs")):
            yield _Piece(path, number, f"Output:\n{_fenced(text, '')}")


def _without_spare_headings(pieces: Iterable[_Piece]) -> Iterator[_Piece]:
    """A heading alone is left out where the next cell stands under it."""
    for piece, following in itertools.pairwise(itertools.chain(pieces, [None])):
        if piece is None:
            continue
        below = (*piece.path, piece.text)
        if not piece.is_heading or following is None or following.path[: len(below)] != below:
            yield piece


def _fenced(text: str, language: str) -> str:
    longest = max((len(run) for run in re.findall("`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _output_texts(outputs: object) -> Iterator[str]:
    for output in outputs if isinstance(outputs, list) else ():
        if not isinstance(output, dict):
            continue
        data = output.get("data")
        by_kind = data if isinstance(data, dict) else output
        found = next((by_kind[kind] for kind in ("text/markdown", "text/plain", "text") if by_kind.get(kind)), None)
        if found is None and by_kind.get("text/html"):
            found = _TAG.sub(" ", _joined(by_kind["text/html"]))
        if output.get("output_type") in ("error", "pyerr"):
            found = f"{_joined(output.get('ename'))}: {_joined(output.get('evalue'))}"
        text = readable(_ESCAPE.sub("", _joined(found)))
        if len(text) > MAX_OUTPUT_CHARS:
            text = f"{text[: MAX_OUTPUT_CHARS // 2]}\n…\n{text[-MAX_OUTPUT_CHARS // 2 :]}"
        if text:
            yield text


def _joined(lines: object) -> str:
    """A string, or the list of its lines, as the format allows both."""
    if isinstance(lines, list):
        return "".join(line for line in lines if isinstance(line, str))
    return lines if isinstance(lines, str) else ""
