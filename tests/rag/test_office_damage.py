"""Damaged office files: each gives a reading or one clear error, whatever is flipped or cut off."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import xlwt

from rag.errors import ReadError
from rag.readers.contract import OpenedFile, ReadLimits
from rag.readers.registry import choose_reader
from tests.rag.made_office import odf_of, xlsx_of
from tests.rag.test_readers_pptx import pptx_of, shape

TRIES = 40


def xlsx_bytes(path: Path) -> bytes:
    row = '<row r="{0}"><c r="A{0}" t="s"><v>0</v></c><c r="B{0}" s="0"><v>{0}.5</v></c></row>'
    rows = "".join(row.format(number) for number in range(1, 30))
    merged = '<mergeCells><mergeCell ref="A1:A3"/></mergeCells>'
    return xlsx_of(path, rows, strings=("shared words",), after_rows=merged).read_bytes()


def xls_bytes(path: Path) -> bytes:
    book = xlwt.Workbook()
    sheet = book.add_sheet("S")
    for row in range(30):
        sheet.write(row, 0, f"words {row}")
        sheet.write(row, 1, row / 3)
    book.save(str(path))
    return path.read_bytes()


def odf_bytes(path: Path, kind: str) -> bytes:
    cell = '<table:table-cell table:number-columns-repeated="2"><text:p>words</text:p></table:table-cell>'
    row = f'<table:table-row table:number-rows-repeated="3">{cell}</table:table-row>'
    table = f'<table:table table:name="S">{row * 5}</table:table>'
    text = f'<text:h text:outline-level="1">Title</text:h><text:p>a<text:s text:c="3"/>b</text:p>{table}'
    return odf_of(path, kind, f"<draw:page>{text}</draw:page>" if kind == "presentation" else text).read_bytes()


def made(extension: str, folder: Path) -> bytes:
    path = folder / f"whole.{extension}"
    if extension == "xlsx":
        return xlsx_bytes(path)
    if extension == "xls":
        return xls_bytes(path)
    if extension == "pptx":
        return pptx_of(path, (shape("Roadmap", "title") + shape("words"),) * 3).read_bytes()
    if extension == "rtf":
        return rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}{\info{\title T}}\uc1\u8364? caf\'e9\par two\par}"
    if extension == "csv":
        return 'Name;Note\nJosé;"two\nlines"\nBob;x\n'.encode() * 5
    return odf_bytes(path, {"odt": "text", "ods": "spreadsheet", "odp": "presentation"}[extension])


def damaged(content: bytes, seed: int) -> Iterator[bytes]:
    """Flipped bytes and cut ends; of an archive also within its parts, which its checksums would hide."""
    chance = random.Random(seed)
    for attempt in range(TRIES):
        if attempt % 4 == 3:
            yield content[: chance.randrange(1, len(content))]
        elif attempt % 2 and content.startswith(b"PK"):
            yield _with_damaged_parts(content, chance)
        else:
            yield _flipped(content, chance)


def _flipped(content: bytes, chance: random.Random) -> bytes:
    flipped = bytearray(content)
    for _ in range(chance.choice((1, 3, 20))):
        flipped[chance.randrange(len(flipped))] = chance.choice((0, 0x30, 0x39, 0xFF, chance.randrange(256)))
    return bytes(flipped)


def _with_damaged_parts(content: bytes, chance: random.Random) -> bytes:
    """Digits and quotes in the parts become others: the XML mostly stays well-formed, what it says does not."""
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as whole, zipfile.ZipFile(written, "w") as copy:
        for name in whole.namelist():
            part = bytearray(whole.read(name))
            digits = [position for position, byte in enumerate(part) if chr(byte).isdigit()]
            for position in chance.sample(digits, min(len(digits), 20)):
                part[position] = chance.choice(b"0123456789-.xA")
            copy.writestr(name, bytes(part))
    return written.getvalue()


@pytest.mark.parametrize("extension", ["xlsx", "xls", "pptx", "odt", "ods", "odp", "rtf", "csv"])
def test_damage_ends_in_a_reading_or_one_clear_error(tmp_path: Path, extension: str) -> None:
    content = made(extension, tmp_path)
    outcomes = [read(extension, each) for each in (content, *damaged(content, seed=7))]
    assert isinstance(outcomes[0], int)
    assert outcomes[0] > 0
    errors = [outcome for outcome in outcomes if isinstance(outcome, ReadError)]
    assert errors or extension in ("rtf", "csv")
    assert all(error.hint and f"damaged.{extension}" in str(error) for error in errors)


def read(extension: str, content: bytes) -> int | ReadError:
    """How many blocks came."""
    file = OpenedFile(f"/x/damaged.{extension}", io.BytesIO(content), len(content), 0)
    try:
        reader, _ = choose_reader(file)
        return sum(1 for _ in reader(file, ReadLimits()).blocks)
    except ReadError as error:
        return error
