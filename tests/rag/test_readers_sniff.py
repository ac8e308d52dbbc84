from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from rag.errors import DamagedFile, EmptyFile, EncryptedFile, ReadError, UnsupportedFile
from rag.readers.contract import open_regular
from rag.readers.registry import SUPPORTED_EXTENSIONS, accepts_name, choose_reader
from rag.readers.sniff import find_format
from tests.rag.conftest import Opened
from tests.rag.made_archives import zip_of
from tests.rag.made_files import docx_of, paragraph, pdf_bytes

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 500


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.txt", "text"),
        ("A.TXT", "text"),
        ("a.md", "markdown"),
        ("a.HTML", "html"),
        ("a.py", "source"),
        ("a.kt", "code"),
        ("a.rst", "rst"),
        ("a.JSON", "json"),
        ("a.yml", "yaml"),
        ("a.ipynb", "notebook"),
        ("a.srt", "subtitles"),
        ("de.po", "text"),
        ("go.service", "tables"),
        ("main.tf", "code"),
        ("README", "text"),
        ("odd.xyz", "text"),
    ],
)
def test_text_goes_by_its_name(opened: Opened, tmp_path: Path, name: str, expected: str) -> None:
    file = opened(tmp_path / name, "MZ and GIF8 are letters too, and BZh.\n")
    assert find_format(file) == expected
    assert file.stream.tell() == 0


def test_pdf_and_docx_are_read_whatever_they_are_called(opened: Opened, tmp_path: Path) -> None:
    assert find_format(opened(tmp_path / "a.txt", pdf_bytes([["x"]]))) == "pdf"
    assert find_format(opened(docx_of(tmp_path / "b.zip", paragraph("x")))) == "docx"


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.pdf", b"\x7fELF\x02\x01\x01" + b"\0" * 100, "ELF"),
        ("a.txt", b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "PNG"),
        ("a.md", b"MZ\x90\x00\x03\x00", "Windows program"),
        ("a.txt", b"\x00\x00\x00\x18ftypheic", "HEIC"),
        ("a.mp3", b"\xff\xd8\xff\xe0" + b"\0" * 100, "a JPEG picture"),
        ("a.wav", b"%PDF-1.7\n", "a PDF"),
        ("a.pdf", b"just words", "not a PDF"),
        ("a.docx", b"just words", "not a Word document"),
        ("a.txt", OLE, "old Office"),
    ],
)
def test_a_name_that_lies_is_refused_saying_what_it_is(
    opened: Opened, tmp_path: Path, name: str, content: bytes, what: str
) -> None:
    with pytest.raises(DamagedFile, match=what) as raised:
        find_format(opened(tmp_path / name, content))
    assert name in str(raised.value)
    assert raised.value.hint


def test_kinds_that_no_reader_takes_are_refused(opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFile, match="Photoshop"):
        find_format(opened(tmp_path / "a.psd", b"8BPS" + b"\0" * 100))
    with pytest.raises(UnsupportedFile, match="old format"):
        find_format(opened(tmp_path / "a.doc", OLE))
    with pytest.raises(UnsupportedFile, match="7-Zip"):
        find_format(opened(tmp_path / "a.7z", b"7z\xbc\xaf\x27\x1c" + b"\0" * 100))
    with pytest.raises(UnsupportedFile, match="does not know"):
        find_format(opened(tmp_path / "thing", b"\x01\0\0\x07" * 100))


def test_archives_are_known_by_their_bytes(opened: Opened, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x", "y")
    assert find_format(opened(tmp_path / "a.zip")) == "archive"
    assert find_format(opened(tmp_path / "b", b"\x1f\x8b\x08\0\0\0\0")) == "archive"
    with pytest.raises(DamagedFile, match="gzip"):
        find_format(opened(tmp_path / "c.txt", b"\x1f\x8b\x08\0\0\0\0"))


def test_a_book_packed_by_hand_is_a_book_and_other_archives_under_its_name_are_not(
    opened: Opened, tmp_path: Path
) -> None:
    (tmp_path / "a.epub").write_bytes(zip_of({"META-INF/container.xml": "<container/>", "book.opf": "<package/>"}))
    assert find_format(opened(tmp_path / "a.epub")) == "epub"
    (tmp_path / "b.docx").write_bytes(zip_of({"x": "y"}))
    with pytest.raises(DamagedFile, match="not a Word document: it is a zip archive"):
        find_format(opened(tmp_path / "b.docx"))
    (tmp_path / "c").write_bytes((tmp_path / "b.docx").read_bytes()[:40])
    with pytest.raises(DamagedFile, match="zip archive that is not whole"):
        find_format(opened(tmp_path / "c"))


def test_what_is_told_of_a_kind_that_no_reader_takes_names_kinds_that_one_does(opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFile, match="Zstandard") as raised:
        find_format(opened(tmp_path / "a", b"\x28\xb5\x2f\xfd" + b"\0" * 100))
    assert "ZIP" in raised.value.hint


def test_an_encrypted_word_document_is_recognised(opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(EncryptedFile, match="password"):
        find_format(opened(tmp_path / "a.docx", OLE + "EncryptedPackage".encode("utf-16-le")))


def test_every_supported_extension_is_accepted_and_has_a_reader(opened: Opened, tmp_path: Path) -> None:
    assert all(accepts_name(f"x.{extension}") for extension in SUPPORTED_EXTENSIONS)
    for name, content in (("a.txt", b"x"), ("a.py", b"x"), ("a.md", b"x"), ("a.html", b"x"), ("a.pdf", b"%PDF-1.4")):
        reader, version = choose_reader(opened(tmp_path / name, content))
        assert callable(reader)
        assert "/" in version


def test_only_regular_files_with_bytes_are_opened(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    with pytest.raises(EmptyFile, match=r"^empty\.txt is empty$"):
        open_regular(str(tmp_path / "empty.txt"))
    (tmp_path / "real.txt").write_text("x")
    (tmp_path / "link.txt").symlink_to("real.txt")
    for name in ("missing.txt", "link.txt", "."):
        with pytest.raises(ReadError) as raised:
            open_regular(str(tmp_path / name))
        assert raised.value.hint
