from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag.errors import EmptyFile, ReadError
from rag.readers.contract import ReadLimits
from rag.readers.rtf import read_rtf
from rag.readers.sniff import find_format
from tests.rag.conftest import Opened

LIMITS = ReadLimits()


def text_of(opened: Opened, path: Path, body: str | bytes) -> str:
    content = body if isinstance(body, bytes) else body.encode("latin-1")
    return "\n".join(block.text for block in read_rtf(opened(path, b"{\\rtf1\\ansi" + content + b"}"), LIMITS).blocks)


def test_a_document_as_programs_write_it(opened: Opened, tmp_path: Path) -> None:
    body = (
        r"\ansicpg1252\deff0{\fonttbl{\f0\fswiss Arial;}}{\stylesheet{\s1 heading 1;}}"
        r"{\info{\title R\'e9sum\'e9 of Bob}{\author Ada L.}{\creatim\yr2013\mo1\dy1}"
        r"{\revtim\yr2025\mo3\dy14\hr10\min15}}"
        r"\pard Caf\'e9 \uc1\u8364? 5{\footnote See annex.}\par Second \b bold\b0  line \u-10179?\u-8694?\par "
        r'{\field{\*\fldinst{HYPERLINK "http://example.org"}}{\fldrslt{link}}}\par '
        r"\trowd\cellx100\cellx200 Item\cell Cost\cell\row{\pict\pngblip abcdef0123}"
    )
    file = opened(tmp_path / "a.rtf", b"{\\rtf1\\ansi" + body.encode("ascii") + b"}")
    assert find_format(file) == "rtf"
    reading = read_rtf(file, LIMITS)
    text, notes = reading.blocks
    assert text.text == "Café € 5\n\nSecond bold line 😊\n\nlink\n\nItem | Cost"
    assert (notes.heading_path, notes.text) == (("Footnotes",), "See annex.")
    assert (reading.title, reading.author) == ("Résumé of Bob", "Ada L.")
    assert reading.written_at_s == datetime(2025, 3, 14, 10, 15, tzinfo=UTC).timestamp()


def test_other_scripts(opened: Opened, tmp_path: Path) -> None:
    russian = r"\ansicpg1251{\fonttbl{\f0\fcharset204 Arial;}}\f0 " + r"\'cf\'f0\'e8\'e2\'e5\'f2"
    assert text_of(opened, tmp_path / "a.rtf", russian) == "Привет"
    japanese = r"{\fonttbl{\f0\fcharset78 Osaka;}}\f0 " + r"\'93\'fa\'96\'7b"
    assert text_of(opened, tmp_path / "b.rtf", japanese) == "日本"


def test_bytes_are_read_by_the_font_that_they_stand_in(opened: Opened, tmp_path: Path) -> None:
    fonts = r"\ansicpg1252{\fonttbl{\f0 Arial;}{\f1\fcharset204 Arial Cyr;}{\f2\fcharset0 Arial;}}"
    mixed = fonts + r"\f0 Gr\'fc\'dfe {\f1 \'cf\'f0\'e8}\'e9 \f2 \'e0\plain \'df"
    assert text_of(opened, tmp_path / "a.rtf", mixed) == "Grüße Приé àß"
    assert text_of(opened, tmp_path / "b.rtf", "\\ansicpg1250 Dvořák".encode("cp1250")) == "Dvořák"
    assert text_of(opened, tmp_path / "c.rtf", rb"\mac Caf\'8e") == "Café"


def test_headings_lists_and_tables_are_told_apart(opened: Opened, tmp_path: Path) -> None:
    body = (
        r"{\stylesheet{\ql Normal;}{\s1 heading 1;}{\s7\outlinelevel1 Unser Stil;}{\s9 Title;}}"
        r"\pard\s9 The lease\par\pard\s1 Rent\par\pard It is due.\par"
        r"{\listtext\pard\'b7\tab}\pard On the first.\par{\pntext\f1\'B7\tab}Or the second.\par"
        r"\pard\s7 Fees\par\pard{\listtext 2.1\tab}Five euros.\par"
        r"\pard\intbl A\par first\cell B\cell\row\pard\intbl C\cell D\cell\row\pard After.\par"
    )
    reading = read_rtf(opened(tmp_path / "a.rtf", f"{{\\rtf1{body}}}".encode()), LIMITS)
    assert [(block.heading_path, block.text) for block in reading.blocks] == [
        (("The lease", "Rent"), "It is due.\n\n- On the first.\n- Or the second."),
        (("The lease", "Rent", "Fees"), "2.1 Five euros.\n\nA first | B\nC | D\n\nAfter."),
    ]
    assert reading.title == "The lease"


def test_what_stands_apart_comes_last_and_what_was_deleted_never(opened: Opened, tmp_path: Path) -> None:
    body = (
        r"{\header Heron Ltd\par}{\footer {\field{\*\fldinst PAGE}{\fldrslt 1}}\par}{\header Heron Ltd\par}"
        r"The rent{\*\atnid AL}{\*\atnauthor Ada}\chatn{\*\annotation{\*\atndate 1}Since when?} is due"
        r"{\deleted  never}."
        r"{\shp{\*\shpinst{\sp{\sn x}{\sv 5}}{\shptxt In the box\par}}{\shprslt{\*\do{\dptxbxtext In the box\par}}}}"
        r"{\mmath{\*\moMath{\mr a=b}}{\mmathPict{\pict 00}}}\par"
    )
    assert [
        (block.heading_path, block.text)
        for block in read_rtf(opened(tmp_path / "a.rtf", f"{{\\rtf1{body}}}".encode()), LIMITS).blocks
    ] == [
        ((), "In the box\n\nThe rent is due.a=b"),
        (("Comments",), "Ada: Since when?"),
        (("Header and footer",), "Heron Ltd"),
    ]


def test_html_that_outlook_keeps_in_rtf_is_read_as_its_words(opened: Opened, tmp_path: Path) -> None:
    body = (
        r"\fromhtml1{\fonttbl{\f0 Arial;}}{\*\htmltag64}{\*\htmltag <style>p \{color:red\}</style><p>}"
        r"{\htmlrtf \f0 \htmlrtf0 It is {\*\htmltag <b>}{\htmlrtf \b \htmlrtf0 due{\*\htmltag </b>}}."
        r"\htmlrtf\par\htmlrtf0}"
        r"{\*\htmltag </p><ol><li>}{\htmlrtf{{\*\pn\pnlvlbody{\pntxta.}}{\pntext 1.\tab}}"
        r"\htmlrtf0 First\htmlrtf\par}\htmlrtf0"
    )
    assert text_of(opened, tmp_path / "a.rtf", body) == "It is due.\n\n1. First"


def test_what_is_no_text_is_cut_out(opened: Opened, tmp_path: Path) -> None:
    raw = b" before {\\pict\\bin12 }}}{{{\\par \0}" + b"{\\object " + b"0a1B\n" * 1000 + b"} after"
    assert " ".join(text_of(opened, tmp_path / "a.rtf", raw).split()) == "before after"


def test_a_document_without_words_is_empty(opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(EmptyFile) as raised:
        text_of(opened, tmp_path / "a.rtf", r"{\pict 00ff}\par")
    assert raised.value.hint


def error_of(opened: Opened, path: Path, body: str) -> ReadError | None:
    try:
        text_of(opened, path, body)
    except ReadError as error:
        return error
    return None


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(r"\u99999999? x", id="character"),
        pytest.param(r"\uc x", id="no number"),
        pytest.param(r"\ansicpg99999 x", id="code page"),
        pytest.param(r"\bin99999999999 x", id="raw bytes"),
        pytest.param("{" * 20_000 + "x", id="nesting"),
        pytest.param("}" * 100 + "x", id="ends"),
        pytest.param(r"{\field{\*\fldinst{x" * 20_000, id="fields"),
        pytest.param(r"{\info{\title " + "{" * 1000, id="properties"),
    ],
)
def test_hostile_documents_end(opened: Opened, tmp_path: Path, body: str) -> None:
    error = error_of(opened, tmp_path / "a.rtf", body)
    assert error is None or ("a.rtf" in str(error) and error.hint)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet="\\{}'*ufbinparcell0123456789- ;\n\"", max_size=120))
def test_any_control_words_give_text_or_one_error(opened: Opened, tmp_path: Path, body: str) -> None:
    error = error_of(opened, tmp_path / "a.rtf", body)
    assert error is None or error.hint
