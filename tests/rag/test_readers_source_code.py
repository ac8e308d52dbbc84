from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.errors import EmptyFile
from rag.readers.contract import ReadLimits
from rag.readers.grammars import GRAMMAR_BY_EXTENSION, PYTHON
from rag.readers.outline import GATHERED_CHARS, Definition, outline_blocks
from rag.readers.source_code import (
    MAX_LINE_CHARS,
    MAX_PARSED_BYTES,
    find_definitions,
    opening_sentence,
    read_source_code,
)
from rag.records import Block
from tests.rag.conftest import Opened

LIMITS = ReadLimits()
LONG = "    total = total + 1  # counted once more, so that this is long enough\n" * 20
INDENTED = LONG.replace("    total", "            total")

SOURCES: dict[str, str] = {
    "py": '"""Talk to a model."""\n\n@decorated\nclass Chat:\n    """A chat."""\n\n    # Says it.\n    @property\n'
    "    def send(self):\n        if True:\nINDENTED\n",
    "js": "// Talks.\nexport class Chat {\n  // Says it.\n  send(x) {\nBODY  }\n}\nconst other = () => {\nBODY};\n",
    "ts": "export abstract class Chat {\n  @logged\n  send(x: string): void {\nBODY  }\n}\n"
    "export const other = async (): Promise<void> => {\nBODY};\nexport interface Part {\nBODY}\n",
    "tsx": "export function Chat(props: Props) {\nBODY  return <p>hello</p>;\n}\n",
    "rs": "/// Talks.\n#[derive(Debug)]\npub struct Chat {\nBODY}\n\nimpl Display for Chat {\n    /// Says it.\n"
    "    fn send(&self) {\nBODY    }\n}\n",
    "go": "package chat\n\n// Says it.\nfunc (c *Chat) Send() {\nBODY}\n\ntype Chat struct {\nBODY}\n",
    "java": "/** Talks. */\n@Service\npublic class Chat {\n  /** Says it. */\n  @Override\n"
    "  public void send(int x) {\nBODY  }\n}\n",
    "c": "// Says it.\nstatic char *send(int x)\n{\nBODY}\n\nstruct chat {\nBODY};\n",
    "cpp": "namespace talk {\ntemplate <typename T>\nclass Chat {\nBODY};\nvoid Chat::send(int x) {\nBODY}\n}\n",
    "cs": "namespace Talk {\n  [Serializable]\n  public class Chat {\n"
    "    public void Send(int x) {\nBODY    }\n  }\n}\n",
    "rb": "# Talks.\nclass Chat\n  # Says it.\n  def send(x)\nBODY  end\nend\n",
    "php": "<?php\n/** Talks. */\nclass Chat {\n  public function send($x) {\nBODY  }\n}\n",
    "sh": "# Says it.\nsend() {\nBODY}\n",
}
EXPECTED: dict[str, list[tuple[str, ...]]] = {
    "py": [("Talk to a model", "class Chat", "def send")],
    "js": [("class Chat", "method send"), ("const other",)],
    "ts": [("class Chat", "method send"), ("const other",), ("interface Part",)],
    "tsx": [("function Chat",)],
    "rs": [("struct Chat",), ("impl Display for Chat", "fn send")],
    "go": [("func (c *Chat) Send",), ("type Chat",)],
    "java": [("class Chat", "method send")],
    "c": [("send",), ("struct chat",)],
    "cpp": [("namespace talk", "class Chat"), ("namespace talk", "Chat::send")],
    "cs": [("namespace Talk", "class Chat", "method Send")],
    "rb": [("class Chat", "def send")],
    "php": [("class Chat", "function send")],
    "sh": [("function send",)],
}


def source_of(extension: str) -> str:
    return SOURCES[extension].replace("BODY", LONG).replace("INDENTED", INDENTED)


def blocks_of(opened: Opened, path: Path, content: bytes | str) -> list[Block]:
    return list(read_source_code(opened(path, content), LIMITS).blocks)


def assert_lines_are_kept(blocks: list[Block], source: str) -> None:
    """Each block is the file's lines from its line on, and together they are all of them."""
    lines = source.split("\n")
    seen: list[str] = []
    for block in blocks:
        assert block.locator.line is not None
        begin = block.locator.line - 1
        own = block.text.split("\n")
        assert [line.rstrip() for line in own] == [line.rstrip() for line in lines[begin : begin + len(own)]]
        seen += own
    assert [line.rstrip() for line in seen if line.strip()] == [line.rstrip() for line in lines if line.strip()]


@pytest.mark.parametrize("extension", sorted(SOURCES))
def test_definitions_are_the_headings_and_no_line_is_lost(opened: Opened, tmp_path: Path, extension: str) -> None:
    source = source_of(extension)
    blocks = blocks_of(opened, tmp_path / f"a.{extension}", source)
    assert_lines_are_kept(blocks, source)
    paths = list(dict.fromkeys(block.heading_path for block in blocks))
    assert [path for path in paths if path in EXPECTED[extension]] == EXPECTED[extension]
    assert {block.syntax for block in blocks} == {"code"}


@pytest.mark.parametrize("extension", ["py", "js", "rs", "go", "java", "c", "rb", "sh"])
def test_comments_and_decorators_stay_with_their_definition(opened: Opened, tmp_path: Path, extension: str) -> None:
    blocks = blocks_of(opened, tmp_path / f"a.{extension}", source_of(extension))
    (first,) = [block for block in blocks if "Says it" in block.text]
    assert first.heading_path in EXPECTED[extension]
    assert "total" in first.text


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ('#!/usr/bin/env python\n# coding: utf-8\nr"""Talk to a model. Or not.\n\nMore."""\n', "Talk to a model"),
        ("# Makes a backup\n# of all.\n\nx=1\n", "Makes a backup of all"),
        ("// Package chat talks.\npackage chat\n", "Package chat talks"),
        ("/**\n * Sends mail.\n */\n\nclass A {}\n", "Sends mail"),
        ("//! Talks to models.\nuse std::io;\n", "Talks to models"),
        ('"""' + "word " * 100 + '"""', "word " * 15 + "word …"),
        ("/* Copyright 2025 Ada */\n\nint x;", ""),
        ("# Of the function.\ndef send(): pass\n", ""),
        ("#include <stdio.h>\n\nint x;", ""),
        ("x = 1\n# later\n\n", ""),
        ('"""never closed', ""),
        ("/*\n" * 5_000, ""),
    ],
)
def test_a_file_is_headed_by_the_first_sentence_of_the_comment_that_opens_it(source: str, sentence: str) -> None:
    assert opening_sentence(source) == sentence


def test_a_trailing_comment_stays_with_its_own_line() -> None:
    source = f"x = 1  # not about send\ndef send():\n{LONG}"
    (send,) = find_definitions(source, PYTHON)
    assert send.begin == 1


def test_small_functions_share_a_name_and_large_ones_have_their_own(opened: Opened, tmp_path: Path) -> None:
    source = "class Pair:\n    def left(self):\n        return 1\n\n    def right(self):\n        return 2\n\n"
    source += f"    def both(self):\n        if self.left():\n{INDENTED}"
    blocks = blocks_of(opened, tmp_path / "a.py", source)
    small = ("class Pair", "def left, def right")
    assert [(block.locator.line, block.heading_path) for block in blocks] == [(1, ("class Pair", "def both"))]
    source = source.replace("return 1", "return " + " + ".join("1" * 50))
    blocks = blocks_of(opened, tmp_path / "b.py", source)
    found = [(block.locator.line, block.heading_path) for block in blocks]
    assert found == [(1, small), (8, ("class Pair", "def both"))]


def test_small_classes_stay_together(opened: Opened, tmp_path: Path) -> None:
    source = "import os\n\nclass A:\n    def f(self):\n        return 1\n\nclass B:\n    x: int\n"
    (block,) = blocks_of(opened, tmp_path / "a.py", source)
    assert (block.locator.line, block.heading_path, block.text) == (1, ("class A, class B",), source.rstrip())


def test_what_only_closes_a_definition_is_no_block_of_its_own(opened: Opened, tmp_path: Path) -> None:
    body = "".join(f"    this.rent = compute(rent, {n});\n" for n in range(40))
    source = f"namespace a {{\n\nclass Lease {{\n  void pay() {{\n{body}  }}\n}};\n}}  // namespace\n\n"
    blocks = list(read_source_code(opened(tmp_path / "a.cpp", source), LIMITS).blocks)
    assert [block.heading_path[-1] for block in blocks] == ["pay", "namespace a"]
    assert blocks[0].text.endswith("}\n};")
    assert blocks[1].text == "}  // namespace"


def test_what_a_call_makes_at_the_top_of_a_file_has_a_name(opened: Opened, tmp_path: Path) -> None:
    body = "".join(f"  const part{n} = await load(rent, {n});\n" for n in range(40))
    source = f"const small = load();\nexport const Rent = memo(function Inner() {{\n{body}}});\n"
    blocks = list(read_source_code(opened(tmp_path / "a.tsx", source), LIMITS).blocks)
    assert [block.heading_path for block in blocks] == [("const Rent",)]


def test_code_that_does_not_parse_is_read_all_the_same(opened: Opened, tmp_path: Path) -> None:
    source = f"def broken(:\n{LONG}class Fine:\n    def here(self):\n{LONG}\n)))) ??? \n"
    blocks = blocks_of(opened, tmp_path / "a.py", source)
    assert_lines_are_kept(blocks, source)
    assert any("def here" in block.heading_path for block in blocks)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("minified.js", "function a(){return 1}" * (MAX_LINE_CHARS // 10)),
        ("huge.py", "x = 1\n" * (MAX_PARSED_BYTES // 6 + 1)),
        ("unknown.zig", f"fn send() {{\n{LONG}}}\n"),
    ],
)
def test_what_has_no_structure_is_cut_at_blank_lines(opened: Opened, tmp_path: Path, name: str, content: str) -> None:
    blocks = blocks_of(opened, tmp_path / name, content)
    assert {block.heading_path for block in blocks} == {()}
    assert {block.syntax for block in blocks} == {"code"}


def test_an_empty_source_is_empty(opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(EmptyFile, match=r"a\.py"):
        blocks_of(opened, tmp_path / "a.py", " \n\n")


@pytest.mark.parametrize("extension", sorted(SOURCES))
@pytest.mark.parametrize("piece", ["(\n", "{\n", "x = [\n", "`${\n", "if (a) {\n", "a.b(function() {\n", "'\n\"\n"])
def test_deep_nesting_ends(opened: Opened, tmp_path: Path, extension: str, piece: str) -> None:
    source = piece * 1_000
    assert_lines_are_kept(blocks_of(opened, tmp_path / f"a.{extension}", source), source)


@pytest.mark.parametrize("extension", sorted(SOURCES))
def test_flipped_bytes_lose_no_line(opened: Opened, tmp_path: Path, extension: str) -> None:
    rng = random.Random(7)
    for turn in range(10):
        content = bytearray(source_of(extension).encode())
        for _ in range(20):
            content[rng.randrange(len(content))] = rng.randrange(32, 127)
        source = content.decode()
        assert_lines_are_kept(blocks_of(opened, tmp_path / f"{turn}.{extension}", source), source)


@given(st.text(alphabet="def clas():\n #{}\"'x=", max_size=400), st.sampled_from(sorted(GRAMMAR_BY_EXTENSION)))
@settings(max_examples=60, deadline=None)
def test_any_text_becomes_definitions_inside_it(source: str, extension: str) -> None:
    lines = source.split("\n")
    definitions = find_definitions(source, GRAMMAR_BY_EXTENSION[extension])
    assert all(0 <= each.begin < each.end <= len(lines) for each in definitions)
    assert_lines_are_kept(list(outline_blocks(lines, definitions, "code")), source)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=8))
def test_overlapping_definitions_repeat_no_line(spans: list[tuple[int, int]]) -> None:
    source = "\n".join("word " * (GATHERED_CHARS // 40) for _ in range(25))
    definitions = [Definition(f"d{begin}", begin, end) for begin, end in sorted(spans)]
    assert_lines_are_kept(list(outline_blocks(source.split("\n"), definitions, "code")), source)
