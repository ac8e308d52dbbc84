from __future__ import annotations

import zipfile
from datetime import UTC, datetime
from pathlib import Path

import docx
import pytest

from rag.errors import DamagedFile, EmptyFile, TooLarge
from rag.readers.contract import ReadLimits
from rag.readers.docx import read_docx
from rag.records import Block
from tests.rag.conftest import Opened
from tests.rag.made_files import docx_of, paragraph

LIMITS = ReadLimits()


def blocks_of(opened: Opened, path: Path) -> list[Block]:
    return list(read_docx(opened(path), LIMITS).blocks)


def test_a_document_as_word_writes_it(opened: Opened, tmp_path: Path) -> None:
    document = docx.Document()
    document.core_properties.title = "Annual report"
    document.add_heading("Costs", 1)
    document.add_paragraph("5 < 6 & R&D, snake_case, *star*.")
    document.add_heading("Rent", 2)
    document.add_paragraph("one", style="List Bullet")
    table = document.add_table(2, 2)
    for cell, text in zip((cell for row in table.rows for cell in row.cells), ("Item", "€", "Rent", "1"), strict=True):
        cell.text = text
    document.add_heading("Nothing below", 2)
    document.sections[0].header.paragraphs[0].text = "HEADER"
    document.save(str(tmp_path / "a.docx"))
    reading = read_docx(opened(tmp_path / "a.docx"), LIMITS)
    assert reading.title == "Annual report"
    assert [(block.heading_path, block.text) for block in reading.blocks] == [
        (("Costs",), "5 < 6 & R&D, snake_case, *star*."),
        (("Costs", "Rent"), "one\n\nItem | €\nRent | 1"),
        (("Costs",), "Nothing below"),
        (("Header and footer",), "HEADER"),
    ]


def test_tracked_insertions_are_read_and_deletions_are_not(opened: Opened, tmp_path: Path) -> None:
    body = (
        '<w:p><w:ins w:id="1"><w:r><w:t>new</w:t></w:r></w:ins>'
        '<w:del w:id="2"><w:r><w:delText>old</w:delText></w:r></w:del><w:r><w:tab/><w:t>kept</w:t></w:r></w:p>'
    )
    (block,) = blocks_of(opened, docx_of(tmp_path / "a.docx", body))
    assert block.text == "new\tkept"


def test_what_was_moved_is_read_where_it_stands_now(opened: Opened, tmp_path: Path) -> None:
    body = (
        '<w:p><w:moveFrom w:id="1"><w:r><w:t>moved</w:t></w:r></w:moveFrom><w:r><w:t>first </w:t></w:r>'
        '<w:moveTo w:id="2"><w:r><w:t>moved</w:t></w:r></w:moveTo></w:p>'
    )
    (block,) = blocks_of(opened, docx_of(tmp_path / "a.docx", body))
    assert block.text == "first moved"


def test_formulas_and_alternative_texts_are_read_and_pronunciations_are_not(opened: Opened, tmp_path: Path) -> None:
    body = (
        '<w:p xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"><w:r><w:t>So </w:t></w:r>'
        "<m:oMath><m:r><m:t>a=b+c</m:t></m:r></m:oMath></w:p>"
        "<w:p><w:r><w:ruby><w:rt><w:r><w:t>とうきょう</w:t></w:r></w:rt><w:rubyBase><w:r><w:t>東京</w:t></w:r>"
        "</w:rubyBase></w:ruby></w:r></w:p>"
        '<w:p><w:r><w:drawing><wp:inline xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/'
        'wordprocessingDrawing"><wp:docPr id="1" name="Picture 1" descr="A heron on the\nbank"/></wp:inline>'
        "</w:drawing></w:r></w:p>"
    )
    (block,) = blocks_of(opened, docx_of(tmp_path / "a.docx", body))
    assert block.text == "So a=b+c\n\n東京\n\nPicture: A heron on the bank"


def test_comments_headers_and_footers_stand_apart(opened: Opened, tmp_path: Path) -> None:
    document = docx.Document()
    run = document.add_paragraph("The rent is due.").runs[0]
    document.add_comment(run, text="Since when?\nAsk Bob.", author="Ada Lovelace", initials="AL")
    for _ in range(2):
        section = document.add_section()
        section.header.is_linked_to_previous = section.footer.is_linked_to_previous = False
        section.header.paragraphs[0].text = "Heron Ltd, our ref. 4711"
        section.footer.paragraphs[0].text = "— 1 —"
    document.save(str(tmp_path / "a.docx"))
    assert [(block.heading_path, block.text) for block in blocks_of(opened, tmp_path / "a.docx")] == [
        ((), "The rent is due."),
        (("Comments",), "Ada Lovelace: Since when?\n\nAsk Bob."),
        (("Header and footer",), "Heron Ltd, our ref. 4711"),
    ]


def test_a_document_whose_parts_have_other_names_is_read(opened: Opened, tmp_path: Path) -> None:
    document = docx.Document()
    document.add_heading("Costs", 1)
    document.add_paragraph("The rent.")
    document.save(str(tmp_path / "usual.docx"))
    renamed = {"word/document.xml": "word/document2.xml", "word/styles.xml": "word/styles2.xml"}
    with zipfile.ZipFile(tmp_path / "usual.docx") as usual, zipfile.ZipFile(tmp_path / "a.docx", "w") as other:
        for name in usual.namelist():
            content = usual.read(name)
            for old, new in renamed.items():
                content = content.replace(old.encode(), new.encode())
                content = content.replace(Path(old).name.encode(), Path(new).name.encode())
            other.writestr(renamed.get(name, name).replace("document.xml.rels", "document2.xml.rels"), content)
    (block,) = blocks_of(opened, tmp_path / "a.docx")
    assert (block.heading_path, block.text) == (("Costs",), "The rent.")


def test_a_text_box_is_read_once(opened: Opened, tmp_path: Path) -> None:
    box = paragraph("in the box")
    body = (
        f"<w:p><w:r><mc:AlternateContent><mc:Choice><w:txbxContent>{box}</w:txbxContent></mc:Choice>"
        f"<mc:Fallback><w:txbxContent>{box}</w:txbxContent></mc:Fallback></mc:AlternateContent>"
        "<w:t>around</w:t></w:r></w:p>"
    )
    assert (
        "".join(block.text for block in blocks_of(opened, docx_of(tmp_path / "a.docx", body))).count("in the box") == 1
    )


def test_footnotes_come_last(opened: Opened, tmp_path: Path) -> None:
    notes = (
        '<w:footnotes xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
        f"<w:footnote>{paragraph('See annex.')}</w:footnote></w:footnotes>"
    )
    blocks = blocks_of(opened, docx_of(tmp_path / "a.docx", paragraph("Body."), parts={"word/footnotes.xml": notes}))
    assert [(block.heading_path, block.text) for block in blocks] == [((), "Body."), (("Footnotes",), "See annex.")]


def test_any_archive_that_is_no_word_document_is_refused(opened: Opened, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.docx", "w") as archive:
        archive.writestr("hello.txt", "hello")
    with pytest.raises(DamagedFile, match=r"a\.docx is not a Word document"):
        blocks_of(opened, tmp_path / "a.docx")


@pytest.mark.parametrize("tenth", range(10))
def test_a_truncated_document_is_refused_whole(opened: Opened, tmp_path: Path, tenth: int) -> None:
    content = docx_of(tmp_path / "a.docx", paragraph("words " * 5000)).read_bytes()
    with pytest.raises(DamagedFile, match=r"a\.docx") as raised:
        list(read_docx(opened(tmp_path / "cut a.docx", content[: 4 + len(content) * tenth // 10]), LIMITS).blocks)
    assert raised.value.hint


def test_an_entity_bomb_is_refused(opened: Opened, tmp_path: Path) -> None:
    prolog = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    with pytest.raises(DamagedFile, match="document type"):
        blocks_of(opened, docx_of(tmp_path / "a.docx", paragraph("&b;"), prolog=prolog))


def test_a_zip_bomb_is_refused_before_it_is_unpacked(opened: Opened, tmp_path: Path) -> None:
    path = docx_of(tmp_path / "a.docx", paragraph("x"), parts={"word/media/bomb.bin": b"\0" * 50_000_000})
    assert path.stat().st_size < 100_000
    with pytest.raises(TooLarge, match=r"a\.docx unpacks") as raised:
        blocks_of(opened, path)
    assert raised.value.hint


def test_too_many_parts_are_refused(opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="parts"):
        blocks_of(opened, docx_of(tmp_path / "a.docx", paragraph("x"), parts={f"p{n}": "" for n in range(10_001)}))


def test_deep_nesting_is_refused(opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="nests"):
        blocks_of(opened, docx_of(tmp_path / "a.docx", "<w:x>" * 3000 + "</w:x>" * 3000))


def test_a_document_without_words_is_empty(opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(EmptyFile):
        blocks_of(opened, docx_of(tmp_path / "a.docx", paragraph("  ")))


def test_who_wrote_it_and_when(opened: Opened, tmp_path: Path) -> None:
    document = docx.Document()
    document.add_paragraph("x")
    document.core_properties.author = "Ada Lovelace"
    document.core_properties.created = datetime(2013, 12, 23, tzinfo=UTC)
    document.core_properties.modified = datetime(2025, 3, 14, 10, 15, tzinfo=UTC)
    document.save(str(tmp_path / "a.docx"))
    reading = read_docx(opened(tmp_path / "a.docx"), LIMITS)
    assert reading.author == "Ada Lovelace"
    assert reading.written_at_s == datetime(2025, 3, 14, 10, 15, tzinfo=UTC).timestamp()


def test_a_document_without_properties_has_neither(opened: Opened, tmp_path: Path) -> None:
    reading = read_docx(opened(docx_of(tmp_path / "a.docx", paragraph("x"))), LIMITS)
    assert (reading.author, reading.written_at_s) == ("", None)
