"""Source code by its structure: functions and classes are the headings, with the line they start at.

tree-sitter parses, also what is incomplete or wrong, so a file is never refused for its syntax; nothing is
compiled or run. A comment and the decorators before a definition stay with it. The first sentence of the comment
that opens the file stands above all: it says what the names in it are about. What tells nothing by its
structure (a language without a grammar here, generated code with endless lines, a file of megabytes, a parse
that takes too long) is cut at blank lines, as any code can be.
"""

from __future__ import annotations

import importlib
import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rag.readers.clean_text import clean_title
from rag.readers.contract import OpenedFile, Reading, ReadLimits
from rag.readers.grammars import GRAMMAR_BY_EXTENSION, Grammar
from rag.readers.outline import Definition, outline_blocks
from rag.readers.plain_text import read_code, whole_text

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_PARSED_BYTES = 1 << 20
"""Nobody writes a longer file by hand."""
MAX_LINE_CHARS = 5_000
"""A longer line is generated, minified or data."""
MAX_PARSE_S = 5.0
"""Of a core's time."""
MAX_DEPTH = 100
"""Nested nodes that are looked into; a definition in deeper code stays part of what surrounds it."""
MAX_NAME_BYTES = 200
PARSED_BYTES = 1 << 16

_BEGIN_BEFORE = (
    "decorated_definition export_statement lexical_declaration variable_declaration expression_statement"
    " template_declaration type_declaration"
)
_WRAPPERS = frozenset(_BEGIN_BEFORE.split())
"""Nodes that begin before the definition at their end: with a decorator, `export`, `template <T>`."""
_STAND_BEFORE = "comment line_comment block_comment attribute_item decorator attribute_list"
_LEADING = frozenset(_STAND_BEFORE.split())
"""What stands before a definition and belongs to it, if no blank line is between."""
_NAME_FIELDS = ("name", "left", "key", "property", "declarator", "type")

MAX_OPENING_CHARS = 4_000
MAX_SENTENCE_CHARS = 80
"""As many are embedded with each passage, beside the names of its class and function."""
_PREAMBLE = re.compile(r"(?:#!.*\n|#.*coding[:=].*\n|<\?php\b|[\"']use strict[\"'];?|\s)*")
_OPENING = re.compile(
    r"[rRuU]?\"\"\"(?P<double>.*?)\"\"\"|[rRuU]?'''(?P<single>.*?)'''|/\*(?P<block>.*?)\*/"
    r"|(?P<slashes>(?://[^\n]*(?:\n|\Z))+)|(?P<hashes>(?:\#(?!include|define|if|pragma|\[)[^\n]*(?:\n|\Z))+)",
    re.DOTALL,
)
_COMMENT_MARKS = re.compile(r"^[ \t]*(?:/{2,}!?|[*!]+|\#+)?[ \t]?", re.MULTILINE)
_SENTENCE = re.compile(r"(.+?)[.!?](?:\s|\Z)", re.DOTALL)
_OF_THE_FILE = re.compile(r"[ \t]*\n[ \t]*\n|\s*(?:package|module|namespace|use|using|import|require)\b")
"""What follows a comment that is not the first definition's."""
_NOT_ABOUT_THE_FILE = re.compile(
    r"copyright|licen[cs]e|spdx-|all rights reserved|generated|do not edit|eslint|prettier|pylint|@ts-|vim:|-\*-",
    re.IGNORECASE,
)


def read_source_code(file: OpenedFile, limits: ReadLimits) -> Reading:
    """Raises DamagedFile for bytes that are not text, EmptyFile for nothing but white space."""
    grammar = GRAMMAR_BY_EXTENSION.get(file.extension)
    if grammar is None or file.size_bytes > MAX_PARSED_BYTES:
        return read_code(file, limits)
    text, notes = whole_text(file)
    lines = text.split("\n")
    if max(map(len, lines)) > MAX_LINE_CHARS:
        return read_code(file, limits)
    above = (sentence,) if (sentence := opening_sentence(text)) else ()
    return Reading(outline_blocks(lines, find_definitions(text, grammar), "code", above), notes=notes)


def opening_sentence(text: str) -> str:
    """What the comment that opens a file says first; empty where there is none, or where it is about licences."""
    head = text[:MAX_OPENING_CHARS]
    begin = _PREAMBLE.match(head)
    opening = _OPENING.match(head, begin.end() if begin else 0)
    if opening is None or opening.lastgroup is None:
        return ""
    # Line comments take their last line end with them.
    end = opening.end() - (opening.lastgroup in ("slashes", "hashes"))
    if opening.lastgroup not in ("double", "single") and not _OF_THE_FILE.match(head, end):
        return ""
    words = _COMMENT_MARKS.sub("", opening[opening.lastgroup]).strip()
    paragraph = " ".join(words.split("\n\n", 1)[0].split())
    if _NOT_ABOUT_THE_FILE.search(paragraph):
        return ""
    sentence = found[1] if (found := _SENTENCE.match(paragraph)) else paragraph
    if len(sentence) > MAX_SENTENCE_CHARS:
        sentence = sentence[: sentence.rfind(" ", 0, MAX_SENTENCE_CHARS)] + " …"
    return clean_title(sentence)


def find_definitions(text: str, grammar: Grammar) -> tuple[Definition, ...]:
    """The definitions in their order, nested; none when parsing takes longer than MAX_PARSE_S."""
    from tree_sitter import Language, Parser

    language = Language(getattr(importlib.import_module(grammar.module), grammar.function)())
    source = text.encode("utf-8", "replace")
    deadline = time.thread_time() + MAX_PARSE_S
    try:
        tree = Parser(language).parse(
            lambda offset, _point: source[offset : offset + PARSED_BYTES],
            progress_callback=lambda _offset, _has_error: time.thread_time() > deadline,
        )
    except ValueError:  # what the binding raises when the callback stops it
        return ()
    return tuple(_definitions(tree.root_node, grammar, 0))


def _definitions(node: Node, grammar: Grammar, depth: int) -> Iterator[Definition]:
    if depth > MAX_DEPTH:
        return
    for child in node.named_children:
        last = child.end_point.row + (child.end_point.column > 0)
        if last - child.start_point.row < 2 and depth and child.type not in grammar.definitions:
            continue  # nothing in one line is worth a look
        word = grammar.definitions.get(child.type)
        name = _name(child, grammar) if word is not None else ""
        inner = _definitions(child, grammar, depth + 1)
        if name:
            yield Definition(f"{word} {name}".strip(), _first_row(child), last, tuple(inner))
        else:
            yield from inner


def _name(node: Node, grammar: Grammar) -> str:
    """Empty for what defines nothing: a variable that is no function, a struct that is only mentioned."""
    if node.type in ("variable_declarator", "assignment_expression", "field_definition", "public_field_definition"):
        value = node.child_by_field_name("right" if node.type == "assignment_expression" else "value")
        if value is None or not (value.type in grammar.values or _is_made_at_the_top(node, value)):
            return ""
    if node.type.endswith("_specifier") and node.child_by_field_name("body") is None:
        return ""
    if node.type == "impl_item":
        return _text_between(node, node, node.child_by_field_name("body")).removeprefix("impl").strip()
    named = node
    for _ in range(10):  # C wraps a function's name in declarators: of a pointer, of its parameters
        found = next((each for name in _NAME_FIELDS if (each := named.child_by_field_name(name)) is not None), None)
        if found is None:
            break
        named = found
        if named.type.endswith(("identifier", "name", "constant")):
            break
    if named is node:
        return ""
    receiver = node.child_by_field_name("receiver")
    return " ".join(part for part in (_text(receiver) if receiver is not None else "", _text(named)) if part)


def _is_made_at_the_top(node: Node, value: Node) -> bool:
    """`export const Page = memo(…)`: a call of several lines, not within a function."""
    declaration = node.parent
    around = declaration.parent if declaration is not None else None
    is_long = value.type in ("call_expression", "array") and value.end_point.row > value.start_point.row
    return is_long and around is not None and around.type in ("program", "export_statement")


def _text(node: Node) -> str:
    return " ".join((node.text or b"")[:MAX_NAME_BYTES].decode("utf-8", "replace").split())


def _text_between(node: Node, first: Node, end: Node | None) -> str:
    length = (end.start_byte if end is not None else node.end_byte) - first.start_byte
    return " ".join((node.text or b"")[: min(length, MAX_NAME_BYTES)].decode("utf-8", "replace").split())


def _first_row(node: Node) -> int:
    """Where a definition begins, with its wrapper and with the comments and attributes before it."""
    while node.parent is not None and node.parent.type in _WRAPPERS and node.parent.named_children[-1] == node:
        node = node.parent
    row = int(node.start_point.row)
    before = node.prev_named_sibling
    while before is not None and before.type in _LEADING:
        # A line comment's node may end at the start of the next line.
        last_row = before.end_point.row - (before.end_point.column == 0)
        further = before.prev_named_sibling
        behind_code = (
            further is not None and further.end_point.row == before.start_point.row and further.end_point.column
        )
        if last_row < row - 1 or (behind_code and further is not None and further.type not in _LEADING):
            break
        row, before = int(before.start_point.row), further
    return row
