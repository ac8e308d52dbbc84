"""JSON, JSON Lines, XML, YAML and TOML."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.errors import DamagedFile, EmptyFile
from rag.readers.contract import OpenedFile, Reader, Reading, ReadLimits
from rag.readers.json_text import read_json, read_json_lines
from rag.readers.settings_text import read_tables, read_yaml
from rag.readers.value_tree import MAX_DEPTH, MAX_HEADINGS
from rag.readers.xml_text import read_xml
from tests.rag.conftest import Opened

LIMITS = ReadLimits()
READERS: dict[str, Reader] = {
    "json": read_json,
    "jsonl": read_json_lines,
    "xml": read_xml,
    "yaml": read_yaml,
    "toml": read_tables,
}


def read(name: str, content: str | bytes) -> Reading:
    raw = content.encode() if isinstance(content, str) else content
    return READERS[name](OpenedFile(f"/a.{name}", io.BytesIO(raw), len(raw), 0), LIMITS)


def found(name: str, content: str | bytes) -> list[tuple[int | None, tuple[str, ...], str]]:
    return [(block.locator.line, block.heading_path, block.text) for block in read(name, content).blocks]


def words(name: str, content: str | bytes) -> str:
    return "\n".join(text for _, _, text in found(name, content))


def test_json_reads_as_named_values_on_their_lines() -> None:
    source = """{
  "name": "shop", "open": true,
  "tags": ["home", "lease"],
  "orders": [
    {"customer": {"name": "Ada", "city": "London"}, "total": 5.50, "items": [{"sku": "X", "n": 1}, {"sku": "Y"}]},
    {
      "customer": null,
      "total": 12345678901234567890
    }
  ]
}"""
    first = "orders[0].customer.name: Ada; customer.city: London; total: 5.50; items[0].sku: X; n: 1; items[1].sku: Y"
    assert found("json", source) == [
        (2, (), "name: shop; open: true\ntags: home, lease"),
        (5, (), first),
        (8, (), "orders[1].total: 12345678901234567890"),
    ]


def test_what_fills_a_passage_is_under_its_own_path() -> None:
    orders = [{"id": n, "customer": {"name": f"Name {n}", "note": "words " * 150}} for n in range(3)]
    blocks = found("json", json.dumps({"shop": {"orders": orders}}))
    assert [path for _, path, _ in blocks] == [("shop", f"orders[{n}]") for n in range(3)]
    assert all(text.startswith(f"id: {n}; customer.name: Name {n};") for n, (_, _, text) in enumerate(blocks))


def test_an_object_of_many_keys_is_a_heading_of_its_own() -> None:
    source = json.dumps({"a": {"b": {f"key{n}": "some words" for n in range(500)}}, "last": "word"})
    blocks = found("json", source)
    assert {path for _, path, _ in blocks} == {("a", "b"), ()}
    assert blocks[-1] == (1, (), "last: word")
    assert words("json", source).count("some words") == 500


def test_lines_of_a_long_string_stay_on_its_line() -> None:
    assert found("json", '{\n"a": "one\\ntwo\\n\\nthree",\n"b": 1}') == [
        (2, (), "a: one"),
        (2, (), "two"),
        (2, (), "three"),
        (3, (), "b: 1"),
    ]


def test_pictures_in_base64_are_named_not_shown() -> None:
    assert words("json", json.dumps({"png": "iVBORw0KGgo" * 1000, "alt": "a plan"})) == (
        "png: (11,000 characters of encoded data); alt: a plan"
    )


def test_comments_and_several_values_are_read() -> None:
    assert words("json", '// settings\n{"a": 1 /* one */}\n{"b": 2}\n"c"') == "a: 1\nb: 2\nc"


@pytest.mark.parametrize(
    ("source", "kept", "note"),
    [
        ('{"a": "first",\n"b": oops,\n"c": "last"}', ["a: first", "oops", '"c": "last"'], "line 2"),
        ('{"a": "first"', ["a: first"], "ends in the middle"),
        ('[1, 2,\n]\n{"b": "more"}', ["1, 2", '"b": "more"'], "line 2"),
        ("{'a': 'single quotes'}", ["single quotes"], "line 1"),
        ('{"n": ' + "9" * 10_000 + "}", ["999"], "line 1"),
        ('{"a": NaN, "b": "more"}', ["NaN", "more"], "line 1"),
    ],
)
def test_what_is_not_json_is_read_as_text(source: str, kept: list[str], note: str) -> None:
    reading = read("json", source)
    text = "\n".join(block.text for block in reading.blocks)
    assert all(each in text for each in kept)
    assert note in " ".join(reading.notes)


def test_a_record_a_line_and_a_bad_line_hurts_no_other() -> None:
    source = '{"a": 1, "b": {"c": [1, 2]}}\nnot JSON here\n{"a": 2}\n{"open": "end\n{"a": 3}\n\n{"cut": [{"x": "y"'
    reading = read("jsonl", source)
    first, last = [(block.locator.line, block.heading_path, block.text) for block in reading.blocks]
    assert first == (1, (), 'a: 1; b.c: 1, 2\nnot JSON here\na: 2\n{"open": "end\na: 3')
    assert last == (7, ("cut[0]",), "x: y")
    assert reading.notes == ["3 lines are not JSON and read as text"]


def test_a_line_longer_than_a_part_is_read_as_one_record() -> None:
    long = json.dumps({"text": "word " * 100_000, "end": "here"})
    blocks = found("jsonl", f'{{"first": 1}}\n{long}\n{{"last": 1}}\n')
    assert blocks[0] == (1, (), "first: 1")
    assert {line for line, _, _ in blocks[1:-1]} == {2}
    assert blocks[-1] == (3, (), "last: 1")
    assert sum(text.count("word") for _, _, text in blocks) == 100_000


class _Counted(io.BytesIO):
    """Counts what was read since it stood at its start."""

    taken = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self.taken = 0
        return super().seek(offset, whence)

    def read(self, size: int | None = -1) -> bytes:
        piece = super().read(size)
        self.taken += len(piece)
        return piece


@pytest.mark.parametrize(
    ("name", "begin", "record", "end"),
    [
        ("json", b'{"records": [0', b',\n{"id": 1, "name": "some words"}', b"]}"),
        ("json", b"[0", b',{"id": 1, "name": "some words"}', b"]"),
        ("jsonl", b"", b'{"id": 1, "name": "some words"}\n', b""),
        ("xml", b"<records>", b"<record id='1'>some words</record>", b"</records>"),
    ],
)
def test_blocks_come_while_a_large_file_is_read(name: str, begin: bytes, record: bytes, end: bytes) -> None:
    stream = _Counted(begin + record * 30_000 + end)
    file = OpenedFile(f"/a.{name}", stream, len(stream.getvalue()), 0)
    blocks = READERS[name](file, LIMITS).blocks
    first = next(blocks)
    assert stream.taken <= 1 << 18
    assert first.text.count("some words") + sum(block.text.count("some words") for block in blocks) == 30_000


def test_deep_nesting_is_read_and_its_path_is_cut() -> None:
    deep = '{"a":' * 100_000 + '"down here"' + "}" * 100_000
    ((_, path, text),) = found("json", deep)
    assert text.endswith("down here")
    assert len(path) <= MAX_HEADINGS
    assert text.count("a.") <= MAX_DEPTH
    with pytest.raises(EmptyFile):
        found("json", "[" * 100_000)


XML = """<?xml version="1.0" encoding="ISO-8859-1"?>
<!DOCTYPE shop SYSTEM "http://example.org/shop.dtd">
<shop xmlns="urn:x" xmlns:y="urn:y" opened="2024">
  <!-- a comment -->
  <book id="b1"><title>Rent</title><y:price currency="EUR">5.50</y:price></book>
  <book id="b2">
    <title>Größe</title>
    <p>Some <b>bold</b> text
       over <a href="x">lines</a>.</p>
    <empty/>
  </book>
  <summary>&lt;p&gt;Written &lt;i&gt;as&lt;/i&gt; HTML&lt;/p&gt;</summary>
</shop>
"""


@pytest.mark.parametrize("codec", ["utf-8", "iso-8859-1", "utf-16", "utf-8-sig"])
def test_xml_reads_as_named_values_on_their_lines(codec: str) -> None:
    books = "opened: 2024"
    assert found("xml", XML.encode(codec)) == [
        (3, (), books),
        (5, (), "book.id: b1; title: Rent; price.currency: EUR, 5.50\nbook[2].id: b2\ntitle: Größe\n"
                "p: Some bold text over lines."),
        (12, (), "summary: Written as HTML"),
    ]  # fmt: skip


BILLION = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    ("source", "kept", "note"),
    [
        (f'<!DOCTYPE a [<!ENTITY l0 "lol">{BILLION}]><a>&l9; words</a>', "words", "declares entities"),
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x; words</a>', "words", "declares entities"),
        ('<!DOCTYPE a [<!ENTITY % p SYSTEM "http://example.org/p"> %p;]><a>words</a>', "words", "declares entities"),
        ("<a>\n<b>first</b>\n<b>broken</c>\nlast words", "last words", "line 3 is not well-formed"),
        ("<a><b>first</b><b>cut wor", "first", "ends in the middle"),
        ("<a>x & words</a>", "words", "not well-formed"),
        ("<a>" * 100_000 + "words", "words", "nests more than"),
    ],
    ids=["bomb", "external", "parameter", "broken", "cut", "ampersand", "deep"],
)
def test_hostile_and_broken_xml_is_read_as_text(source: str, kept: str, note: str) -> None:
    reading = read("xml", source)
    text = "\n".join(block.text for block in reading.blocks)
    assert kept in text
    assert "root:" not in text
    assert len(text) <= len(source) + 100
    assert note in " ".join(reading.notes)


def test_xml_that_says_nothing_is_empty() -> None:
    with pytest.raises(EmptyFile, match=r"a\.xml says nothing"):
        found("xml", "<a><b/></a>")


def test_yaml_is_read_as_written_under_its_keys() -> None:
    long = "".join(f"      VARIABLE_{n}: some words\n" for n in range(60))
    source = f"# all of it\nversion: 3\nservices:\n  # the web\n  web:\n    environment:\n{long}  db:\n    image: pg\n"
    blocks = found("yaml", source)
    web = ("services", "web", "environment")
    assert blocks[0][:2] == (1, web)  # two short lines alone would be no passage
    assert {path[:3] for _, path, _ in blocks} == {web, ("services", "db")}
    assert "\n".join(text for _, _, text in blocks) == source.rstrip()


def test_documents_of_a_yaml_stream_are_told_apart() -> None:
    part = "".join(f"key{n}: some words here\n" for n in range(60))
    paths = {path[0] for _, path, _ in found("yaml", f"{part}---\n{part}") if path}
    assert paths == {"document 1", "document 2"}


ALIASES = "a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [{', '.join(['*a'] * 9)}]\n" for n in range(50))


@pytest.mark.parametrize(
    "source",
    [
        ALIASES,
        "a: {{ template }}\nb: 1\n",
        "a:\n\tb: 1\n",
        'a: "\\UFFFFFFFF"\n',
        "- " * 3_000 + "x\n",
        "a: [\n" * 2_000,
    ],
    ids=["aliases", "template", "tab", "escape", "deep", "brackets"],
)
def test_hostile_yaml_is_read_as_written(source: str) -> None:
    assert words("yaml", source).split() == source.split()


def test_tables_of_toml_and_ini_are_the_headings() -> None:
    long = "".join(f'key{n} = "some words here"\n' for n in range(60))
    source = f'title = "x"\n\n# what it needs\n[tool.a]\n{long}text = """\n[not.a.table]\n"""\n[[b]]\nc = 1\n'
    blocks = found("toml", source)
    assert blocks[0][:2] == (1, ("tool.a",))  # two short lines alone would be no passage
    assert blocks[-1] == (68, ("b",), "[[b]]\nc = 1")
    assert "[not.a.table]" in blocks[-2][2]


@pytest.mark.parametrize("name", sorted(READERS))
def test_bytes_that_are_no_text_are_refused(opened: Opened, tmp_path: Path, name: str) -> None:
    with pytest.raises(DamagedFile, match=rf"a\.{name}"):
        list(READERS[name](opened(tmp_path / f"a.{name}", b"a\0b"), LIMITS).blocks)


@pytest.mark.parametrize("name", sorted(READERS))
def test_what_hides_or_reorders_text_is_dropped(name: str) -> None:
    hidden = "pay\u200b \u202e100\u202c euros\x07"
    sources = {
        "json": json.dumps({"a": hidden}),
        "jsonl": json.dumps({"a": hidden}),
        "xml": f"<r><a>{hidden}</a></r>",
        "yaml": f"a: {hidden}",
        "toml": f"a: {hidden}",
    }
    assert words(name, sources[name]) == "a: pay 100 euros"


@pytest.mark.parametrize("name", sorted(READERS))
def test_flipped_and_missing_bytes_are_read(name: str) -> None:
    rng = random.Random(5)
    sound = {
        "json": json.dumps({"orders": [{"id": n, "text": "words"} for n in range(40)]}, indent=1),
        "jsonl": "\n".join(json.dumps({"id": n, "text": "words"}) for n in range(40)),
        "xml": XML,
        "yaml": "a:\n  - b: words\n    c: [1, 2]\n" * 20,
        "toml": "[a]\nb = 'words'\n" * 20,
    }[name]
    for _ in range(40):
        damaged = bytearray(sound.encode()[: rng.randrange(60, len(sound))])
        for _ in range(5):
            damaged[rng.randrange(len(damaged))] = rng.randrange(32, 127)
        for line, _, text in found(name, bytes(damaged)):
            assert 1 <= (line or 0) <= damaged.count(b"\n") + 1
            assert text.strip()


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(_VALUES, st.sampled_from([None, 1]))
@settings(max_examples=100, deadline=None)
def test_every_word_of_any_json_is_found(value: object, indent: int | None) -> None:
    def strings(part: object) -> Iterator[str]:
        if isinstance(part, dict):
            for each in part.values():
                yield from strings(each)
        elif isinstance(part, list):
            for each in part:
                yield from strings(each)
        elif isinstance(part, str) and part.isascii() and part.isalnum():
            yield part

    wanted = list(strings(value))
    try:
        text = words("json", json.dumps(value, indent=indent))
    except EmptyFile:
        assert not wanted
        return
    assert all(each in text for each in wanted)


@given(st.text(alphabet="{}[]<>/&;:,\"'-#=ab1 \n\t!?", max_size=200), st.sampled_from(sorted(READERS)))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_with_lines_inside_it(source: str, name: str) -> None:
    try:
        blocks = found(name, source)
    except EmptyFile:
        return
    for line, _, text in blocks:
        assert 1 <= (line or 0) <= source.count("\n") + 1
        assert text.strip()
