from __future__ import annotations

import codecs
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.errors import DamagedFile, EmptyFile
from rag.readers.clean_text import clean_text, clean_title
from rag.readers.contract import Reading, ReadLimits
from rag.readers.markdown import read_markdown
from rag.readers.plain_text import read_code, read_text
from rag.records import Block
from rag.stretches import STRETCH_CHARS
from tests.rag.conftest import Opened

LIMITS = ReadLimits()


def blocks_of(reading: Reading) -> list[Block]:
    return list(reading.blocks)


def text_of(opened: Opened, path: Path, content: bytes | str) -> str:
    return "\n\n".join(block.text for block in read_text(opened(path, content), LIMITS).blocks)


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be"])
def test_unicode_encodings_are_recognised(opened: Opened, tmp_path: Path, codec: str) -> None:
    words = "The rent is 1,250 euros, due on the first. Größe 5."
    assert text_of(opened, tmp_path / "a.txt", words.encode(codec)) == words


@pytest.mark.parametrize("mark", [codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE])
def test_both_byte_orders_of_utf16_are_read(opened: Opened, tmp_path: Path, mark: bytes) -> None:
    codec = "utf-16-be" if mark == codecs.BOM_UTF16_BE else "utf-16-le"
    assert text_of(opened, tmp_path / "a.txt", mark + "Übung".encode(codec)) == "Übung"


def test_another_encoding_is_guessed_and_said(opened: Opened, tmp_path: Path) -> None:
    words = "Die Größe der Wohnung beträgt achtzig Quadratmeter, die Küche ist möbliert. " * 20
    reading = read_text(opened(tmp_path / "a.txt", words.encode("cp1252")), LIMITS)
    assert "Größe der Wohnung beträgt" in blocks_of(reading)[0].text
    assert "guess" in reading.notes[0]


@pytest.mark.parametrize(
    ("codec", "words"),
    [
        ("cp1252", "The lease costs 50 € a month, says the café."),
        ("cp1250", "Zażółć gęślą jaźń, proszę państwa, to jest zwykły tekst po polsku. " * 3),
        ("cp1251", "Это обычный русский текст в старой кодировке. " * 3),
        ("koi8-r", "Это обычный русский текст в старой кодировке. " * 3),
        ("shift_jis", "日本語のテキストです。これは古い符号化です。" * 3),
        ("gb18030", "这是一个简体中文的例子,今天天气很好。" * 3),
    ],
)
def test_the_encodings_of_before_unicode_are_guessed_right(
    opened: Opened, tmp_path: Path, codec: str, words: str
) -> None:
    assert text_of(opened, tmp_path / "a.txt", words.encode(codec)) == words.strip()


def test_line_ends_of_the_old_mac_tell_its_encoding(opened: Opened, tmp_path: Path) -> None:
    content = "Grüße aus Köln\rCafé\r".encode("mac_roman")
    assert text_of(opened, tmp_path / "a.txt", content) == "Grüße aus Köln\nCafé"


def test_attributes_behind_a_heading_are_not_its_words(opened: Opened, tmp_path: Path) -> None:
    content = "# Rent {#rent .unnumbered}\nDue.\n## A set {a, b}\nOf two.\n"
    blocks = blocks_of(read_markdown(opened(tmp_path / "a.md", content), LIMITS))
    assert [block.heading_path for block in blocks] == [("Rent",), ("Rent", "A set {a, b}")]


def test_a_wrong_byte_far_into_the_file_is_found(opened: Opened, tmp_path: Path) -> None:
    content = b"plain words here\n" * 100_000 + "Straße und Größe, für möglich\n".encode("cp1252") * 50
    assert "Straße und Größe" in text_of(opened, tmp_path / "a.txt", content)


def test_a_few_bad_bytes_in_utf8_stay_utf8(opened: Opened, tmp_path: Path) -> None:
    reading = read_text(opened(tmp_path / "a.txt", ("Größe, Übung, Äpfel. " * 50).encode() + b"\xff"), LIMITS)
    assert blocks_of(reading)[0].text.startswith("Größe, Übung")
    assert "not UTF-8" in reading.notes[0]


@pytest.mark.parametrize(
    "content",
    [b"\x00", b"text\x00text", b"\x00" * 10_000, bytes(range(1, 32)) * 100, b"abc" * 400_000 + b"\x00"],
    ids=["NUL", "NUL inside", "NULs", "controls", "late NUL"],
)
def test_bytes_that_are_no_text_are_refused(opened: Opened, tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DamagedFile, match=r"a\.txt is not text") as raised:
        text_of(opened, tmp_path / "a.txt", content)
    assert raised.value.hint


@pytest.mark.parametrize("content", ["\ufeff", " \n\t\r\n ", "\u200b\u200b\n"])
def test_nothing_but_white_space_is_empty(opened: Opened, tmp_path: Path, content: str) -> None:
    with pytest.raises(EmptyFile, match=r"a\.txt"):
        text_of(opened, tmp_path / "a.txt", content)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_lines_count_as_an_editor_counts_them(opened: Opened, tmp_path: Path, newline: str) -> None:
    lines = ["", "", *(f"line {number} " + "words " * 30 for number in range(3, 2000))]
    for block in blocks_of(read_text(opened(tmp_path / "a.txt", newline.join(lines)), LIMITS)):
        assert block.locator.line is not None
        assert block.text.startswith(f"line {block.locator.line} ")


def test_one_line_of_a_megabyte_becomes_blocks_of_that_line(opened: Opened, tmp_path: Path) -> None:
    blocks = blocks_of(read_text(opened(tmp_path / "a.txt", "first\n" + "word " * 200_000), LIMITS))
    assert all(len(block.text) <= STRETCH_CHARS for block in blocks)
    assert {block.locator.line for block in blocks[1:]} == {2}
    assert sum(block.text.count("word") for block in blocks) == 200_000


def test_code_is_marked_as_code(opened: Opened, tmp_path: Path) -> None:
    (block,) = blocks_of(read_code(opened(tmp_path / "a.py", "def f():\n    return 1\n"), LIMITS))
    assert (block.syntax, block.text) == ("code", "def f():\n    return 1")


def test_what_hides_or_reorders_text_is_dropped() -> None:
    hidden = "pay\u200b \u202e100\u202c\u00ad euros\U000e0041\x1b[31m\x07 \ud800now"
    assert clean_text(hidden) == "pay 100 euros[31m now"
    assert clean_text("cafe\u0301") == "café"
    assert clean_text("\ufb01nance, o\ufb03ce") == "finance, office"
    assert clean_text("👩\u200d💻") == "👩\u200d💻"
    assert len(clean_text("a" + "\u0323" * 500)) <= 9
    assert clean_title(" a\nb\x00 " + "x" * 500).startswith("a b x")


@given(st.text())
def test_cleaning_is_idempotent_and_gives_valid_text(text: str) -> None:
    cleaned = clean_text(text)
    assert clean_text(cleaned) == cleaned
    cleaned.encode("utf-8")
    assert cleaned.count("\n") == text.replace("\r\n", "\n").replace("\r", "\n").count("\n")


MARKDOWN = """---
title: "My notes"
tags: [a, b]
---
Preamble.

# Rent *and* [rates](http://example.org)

Rent is due on the 1st.

```sh
# not a heading
```

## Deposit
Three months.

## Nothing here

Setext
------

> # quoted
Last.
"""


def test_markdown_is_cut_at_its_headings_with_lines(opened: Opened, tmp_path: Path) -> None:
    reading = read_markdown(opened(tmp_path / "a.md", MARKDOWN), LIMITS)
    found = [(block.locator.line, block.heading_path, block.text) for block in reading.blocks]
    rent = "Rent and rates"
    assert reading.title == "My notes"
    assert found == [
        (2, (), 'title: "My notes"\ntags: [a, b]'),
        (5, (), "Preamble."),
        (9, (rent,), "Rent is due on the 1st.\n\n```sh\n# not a heading\n```"),
        (16, (rent, "Deposit"), "Three months."),
        (18, (rent,), "Nothing here"),
        (23, (rent, "Setext"), "> # quoted\nLast."),
    ]


def test_markdown_without_front_matter_is_named_by_its_highest_heading(opened: Opened, tmp_path: Path) -> None:
    reading = read_markdown(opened(tmp_path / "a.md", "## Small\ntext\n# Big\ntext\n"), LIMITS)
    assert reading.title == "Big"


def test_a_page_of_headings_alone_keeps_its_words(opened: Opened, tmp_path: Path) -> None:
    reading = read_markdown(opened(tmp_path / "a.md", "# One\n## Two\n### Three\n"), LIMITS)
    assert [(block.heading_path, block.text) for block in reading.blocks] == [(("One", "Two"), "Three")]


@pytest.mark.parametrize(
    "content",
    ["> " * 10_000 + "x", "[" * 50_000, "*a " * 50_000, "| a |\n|---|\n" + "| b |\n" * 5_000, "- " * 5_000 + "x"],
    ids=["quotes", "brackets", "stars", "table", "lists"],
)
def test_hostile_markdown_is_read_as_text(opened: Opened, tmp_path: Path, content: str) -> None:
    assert blocks_of(read_markdown(opened(tmp_path / "a.md", content), LIMITS))


def test_front_matter_alone_is_found_by_its_words(opened: Opened, tmp_path: Path) -> None:
    (block,) = blocks_of(read_markdown(opened(tmp_path / "a.md", "---\ntitle: x\ntags: lease\n---\n"), LIMITS))
    assert block.text == "title: x\ntags: lease"
