from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag.errors import DamagedFile, EmptyFile
from rag.readers.contract import ReadLimits
from rag.readers.html import html_as_text, read_html
from rag.records import Block
from tests.rag.conftest import Opened

LIMITS = ReadLimits()

PAGE = """<!doctype html><html><head><meta charset=utf-8><title>R&amp;D &mdash; caf&eacute;</title>
<style>p { color: red }</style><script>var secret = "<p>no</p>";</script></head>
<body><nav><ul><li>Home<li>About</ul></nav>
<h1>R&amp;D <em>costs</em></h1>
<p>5 &lt; 6 &amp; more,
   wrapped.<p>Next <b>bold</b>.
<h2>List</h2><ul><li>one<li>two</ul>
<table><tr><th>Item<th>Price<tr><td>Rent<td>1,250</table>
<pre>  keep
    this</pre>
<h2>Empty</h2>
<h2>Tail</h2>a<br>b<img alt="a chart" src="http://evil.example/x.png"><div style="display: none">hidden</div>
<p hidden>also hidden<p>seen<noscript>no</noscript><!-- comment --></body></html>"""


def blocks_of(opened: Opened, path: Path, content: bytes | str) -> list[Block]:
    return list(read_html(opened(path, content), LIMITS).blocks)


def test_a_page_is_read_as_a_person_would(opened: Opened, tmp_path: Path) -> None:
    reading = read_html(opened(tmp_path / "a.html", PAGE), LIMITS)
    top = "R&D costs"
    assert reading.title == "R&D — café"
    assert [(block.heading_path, block.locator.line, block.text) for block in reading.blocks] == [
        ((top,), 5, "5 < 6 & more, wrapped."),
        ((top,), 6, "Next bold."),
        ((top, "List"), 7, "- one\n- two"),
        ((top, "List"), 8, "Item | Price\nRent | 1,250"),
        ((top, "List"), 9, "  keep\n    this"),
        ((top,), 11, "Empty"),
        ((top, "Tail"), 12, "a\nb a chart"),
        ((top, "Tail"), 13, "seen"),
    ]


def test_navigation_that_is_never_closed_does_not_hide_the_page(opened: Opened, tmp_path: Path) -> None:
    assert "The words." in [block.text for block in blocks_of(opened, tmp_path / "a.html", "<nav>menu<p>The words.")]


def test_a_page_tells_its_author_and_its_date(opened: Opened, tmp_path: Path) -> None:
    page = """<meta name=Author content="Ada &amp; Bo"><meta property="article:modified_time" content="2025-05-01">
    <meta property="article:published_time" content="2025-03-14T10:00:00+01:00"><meta name=date content=never><p>x"""
    reading = read_html(opened(tmp_path / "a.html", page), LIMITS)
    assert reading.author == "Ada & Bo"
    assert reading.written_at_s == 1741942800


def test_lines_are_those_that_an_editor_shows(opened: Opened, tmp_path: Path) -> None:
    page = (
        "<p>\r\n\r\n one\r\ntwo</p>\r<h2>\rhead</h2><ul><li><p>first</p><li>second</ul>\n<pre>\n\n  code\n\nmore</pre>"
    )
    blocks = blocks_of(opened, tmp_path / "a.html", page)
    assert [(block.locator.line, block.text) for block in blocks] == [
        (3, "one two"),
        (6, "- first"),
        (6, "- second"),
        (9, "  code\n\nmore"),
    ]


def test_the_text_of_a_mail_marks_what_it_quotes() -> None:
    quote = "<blockquote>one<blockquote>two</blockquote>three<br>four</blockquote>"
    source = f"<h2>Hi</h2>yes{quote}<table><tr><td><td></table>x"
    assert html_as_text(source) == "Hi\n\nyes\n\n> one\n\n> > two\n\n> three\n> four\n\nx"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('<meta charset="windows-1251"><p>Привет, мир'.encode("cp1251"), "Привет, мир"),
        ("<p>Grüße, schöne Wörter und Straßen für alle, möglich wäre es".encode("utf-16"), "Grüße, schöne"),
        ('<meta charset="utf-8"><p>Grüße'.encode(), "Grüße"),
        (b'<meta charset="no-such-codec"><p>plain', "plain"),
    ],
    ids=["declared", "marked", "utf-8", "unknown"],
)
def test_the_encoding_is_the_marked_then_the_declared_one(
    opened: Opened, tmp_path: Path, content: bytes, words: str
) -> None:
    (block,) = blocks_of(opened, tmp_path / "a.html", content)
    assert words in block.text


def test_a_page_without_words_is_empty(opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(EmptyFile, match=r"a\.html"):
        blocks_of(opened, tmp_path / "a.html", "<html><script>draw()</script><img src=x></html>")


def test_binary_under_the_name_of_html_is_refused(opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(DamagedFile):
        blocks_of(opened, tmp_path / "a.html", b"<p>\x00\x01\x02\x03")


@pytest.mark.parametrize(
    "content",
    ["<div>" * 20_000 + "x", "<![if x]>x<![endif]>", "<p x" + "<" * 5_000 + ">x", "x<!--", "<h1>x", "&#x110000; x"],
    ids=["deep", "conditional", "angles", "open comment", "open heading", "no such character"],
)
def test_hostile_markup_is_read(opened: Opened, tmp_path: Path, content: str) -> None:
    assert "x" in blocks_of(opened, tmp_path / "a.html", content)[0].text


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.text(alphabet="<>/!-[]ab \n&;=\"'ph1divscrtnavpe", min_size=1))
def test_any_markup_gives_words_or_an_empty_file(opened: Opened, tmp_path: Path, content: str) -> None:
    try:
        blocks = blocks_of(opened, tmp_path / "any.html", content)
    except EmptyFile:
        return
    assert all(block.text.strip() for block in blocks)
