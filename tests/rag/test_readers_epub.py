from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from rag.errors import DamagedFile, EmptyFile, EncryptedFile, ReadError, TooLarge
from rag.readers.contract import Reading, ReadLimits
from rag.readers.epub import MAX_CHAPTER_BYTES, read_epub
from rag.readers.registry import choose_reader
from tests.rag.conftest import Opened
from tests.rag.damaged import damaged

LIMITS = ReadLimits()
CONTAINER = (
    '<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
)
NAV = """<html xmlns:epub="http://www.idpf.org/2007/ops"><body>
<nav epub:type="page-list"><ol><li><a href="two.xhtml">7</a></li></ol></nav>
<nav epub:type="toc"><h1>Contents</h1><ol><li><a href="one.xhtml">1. The <i>Beginning</i></a></li>
<li><span>Part II</span><ol><li><a href="Text/two%20b.xhtml#x">The End</a></li></ol></li></ol></nav></body></html>"""
NCX = """<?xml version="1.0"?><!DOCTYPE ncx PUBLIC "-//NISO//DTD ncx 2005-1//EN" "http://www.daisy.org/z3986/2005/ncx.dtd">
<ncx><docTitle><text>Not a chapter</text></docTitle><navMap><navPoint><navLabel><text>1. The Beginning</text></navLabel>
<content src="one.xhtml"/></navPoint><navPoint><navLabel><text>Part II</text></navLabel><content src="part.xhtml"/>
<navPoint><navLabel><text>The End</text></navLabel><content src="Text/two%20b.xhtml#x"/></navPoint>
</navPoint></navMap></ncx>"""
ONE = "<html><head><title>x</title></head><body><h1>The Beginning</h1><p>It was <b>dark</b>.&nbsp;&eacute;</p></body>"
TWO = "<html><body><p>It was light.</p><h2>After</h2><p>Rest.</p></body></html>"


def opf(spine: str = '<itemref idref="one"/><itemref idref="two"/>', toc: str = "nav") -> str:
    return f"""<?xml version="1.0"?><package xmlns:opf="http://www.idpf.org/2007/opf" version="3.0"><metadata>
<dc:title>The &amp; Book</dc:title><dc:title>Second</dc:title><dc:creator>Ada Lovelace</dc:creator>
<dc:creator opf:role="aut">Bo</dc:creator><dc:date>2011-05</dc:date></metadata><opf:manifest>
<opf:item id="one" href="one.xhtml" media-type="application/xhtml+xml"/>
<item id="two" href="Text/two%20b.xhtml" media-type="application/xhtml+xml"/>
<item id="gone" href="gone.xhtml" media-type="application/xhtml+xml"/>
<item id="up" href="../../../etc/passwd" media-type="application/xhtml+xml"/>
<item id="css" href="a.css" media-type="text/css"/>
{'<item id="nav" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/>' if toc == "nav" else ""}
<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/></opf:manifest>
<spine toc="ncx">{spine}<itemref idref="css"/><itemref idref="none"/></spine></package>"""


def epub(path: Path, parts: dict[str, str | bytes | None] | None = None) -> Path:
    """A book with these parts instead of, or beside, the usual ones; None leaves one out."""
    usual: dict[str, str | bytes | None] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": CONTAINER,
        "OEBPS/book.opf": opf(),
        "OEBPS/nav.xhtml": NAV,
        "OEBPS/toc.ncx": NCX,
        "OEBPS/one.xhtml": ONE,
        "OEBPS/Text/two b.xhtml": TWO,
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (usual | (parts or {})).items():
            if content is not None:
                archive.writestr(name, content)
    return path


def read(opened: Opened, path: Path) -> tuple[Reading, list[tuple[tuple[str, ...], str]]]:
    reading = read_epub(opened(path), LIMITS)
    return reading, [(block.heading_path, block.text) for block in reading.blocks]


WHOLE = [
    (("1. The Beginning",), "It was dark. é"),
    (("Part II", "The End"), "It was light."),
    (("Part II", "The End", "After"), "Rest."),
]


@pytest.mark.parametrize("toc", ["nav", "ncx"])
def test_chapters_come_in_order_under_their_titles(opened: Opened, tmp_path: Path, toc: str) -> None:
    reading, blocks = read(opened, epub(tmp_path / "a.epub", {"OEBPS/book.opf": opf(toc=toc)}))
    assert blocks == WHOLE
    assert (reading.title, reading.author, reading.written_at_s) == ("The & Book", "Ada Lovelace, Bo", 1304208000)
    assert reading.notes == []


def test_a_book_without_contents_has_its_own_headings(opened: Opened, tmp_path: Path) -> None:
    _, blocks = read(opened, epub(tmp_path / "a.epub", {"OEBPS/nav.xhtml": None, "OEBPS/toc.ncx": None}))
    assert blocks[0] == (("The Beginning",), "It was dark. é")


def test_a_book_is_known_by_its_bytes(opened: Opened, tmp_path: Path) -> None:
    assert choose_reader(opened(epub(tmp_path / "a.zip")))[1].startswith("epub/")


def test_a_chapter_that_is_missing_is_told(opened: Opened, tmp_path: Path) -> None:
    spine = '<itemref idref="gone"/><itemref idref="up"/><itemref idref="one"/>'
    reading, blocks = read(opened, epub(tmp_path / "a.epub", {"OEBPS/book.opf": opf(spine)}))
    assert blocks == WHOLE[:1]
    assert reading.notes == ["2 of its chapters are damaged and were left out, the first: gone.xhtml"]


def encrypted(uri: str, algorithm: str) -> str:
    return (
        '<encryption xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:EncryptedData><enc:EncryptionMethod'
        f' Algorithm="{algorithm}"/><enc:CipherData><enc:CipherReference URI="{uri}"/></enc:CipherData>'
        "</enc:EncryptedData></encryption>"
    )


def test_copy_protection_is_told(opened: Opened, tmp_path: Path) -> None:
    locked = encrypted("OEBPS/Text/two%20b.xhtml", "http://www.w3.org/2001/04/xmlenc#aes128-cbc")
    with pytest.raises(EncryptedFile, match="copy-protected"):
        read(opened, epub(tmp_path / "a.epub", {"META-INF/encryption.xml": locked}))


def test_obfuscated_fonts_are_no_copy_protection(opened: Opened, tmp_path: Path) -> None:
    fonts = encrypted("OEBPS/one.xhtml", "http://www.idpf.org/2008/embedding")
    assert read(opened, epub(tmp_path / "a.epub", {"META-INF/encryption.xml": fonts}))[1] == WHOLE


def test_entities_are_never_expanded(opened: Opened, tmp_path: Path) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;"><!ENTITY e SYSTEM "file:///etc/passwd">]>'
    parts = {
        "OEBPS/book.opf": bomb + opf().replace("Second", "&b;&e;"),
        "OEBPS/one.xhtml": bomb + "<p>&b; &e; words</p>",
        "OEBPS/toc.ncx": bomb + NCX,
    }
    _, blocks = read(opened, epub(tmp_path / "a.epub", dict(parts)))
    assert "&b; &e; words" in blocks[0][1]
    assert all("root:" not in text and "aaaaaaaaaaaa" not in text for _, text in blocks)


def test_a_chapter_that_unpacks_to_too_much_is_refused(opened: Opened, tmp_path: Path) -> None:
    bomb = {"OEBPS/one.xhtml": b"<p>" + b"x" * (MAX_CHAPTER_BYTES + 10)}
    with pytest.raises(TooLarge, match=r"a\.epub"):
        read(opened, epub(tmp_path / "a.epub", dict(bomb)))


@pytest.mark.parametrize(
    ("parts", "error"),
    [
        ({"META-INF/container.xml": None}, DamagedFile),
        ({"META-INF/container.xml": CONTAINER.replace("book.opf", "none.opf")}, DamagedFile),
        ({"OEBPS/book.opf": "<package/>"}, EmptyFile),
        ({"OEBPS/one.xhtml": None, "OEBPS/Text/two b.xhtml": None}, DamagedFile),
        ({"OEBPS/one.xhtml": "<p></p>", "OEBPS/Text/two b.xhtml": "<img src=x>"}, EmptyFile),
        ({"OEBPS/one.xhtml": "<div>" * 100_000, "OEBPS/nav.xhtml": "<ol>" * 100_000}, None),
        ({"OEBPS/book.opf": opf().encode("utf-16")}, None),
    ],
    ids=["no container", "no package", "no spine", "no chapters", "no words", "deep", "utf-16"],
)
def test_broken_books(
    opened: Opened, tmp_path: Path, parts: dict[str, str | bytes | None], error: type[ReadError] | None
) -> None:
    path = epub(tmp_path / "a.epub", parts)
    if error is None:
        assert read(opened, path)[1]
        return
    with pytest.raises(error, match=r"a\.epub"):
        read(opened, path)


def test_damaged_books_are_read_as_far_as_they_go(opened: Opened, tmp_path: Path) -> None:
    whole = epub(tmp_path / "a.epub").read_bytes()
    for number, content in enumerate(damaged(whole, 150)):
        path = tmp_path / f"{number}.epub"
        path.write_bytes(content or b"x")
        try:
            read(opened, path)
        except ReadError:
            continue
