"""YAML, TOML and INI: the file's own lines, under the keys that hold them.

The text is read as it is written, since its comments say what a setting is for, and each line keeps its
number. YAML's keys come from PyYAML's events: nothing is constructed, no alias is followed, so a bomb of them
is as long as it is written. Of TOML and INI only the tables' headings are looked for. What is no valid YAML
(a template, say) is read as far as its keys go.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from rag.readers.contract import OpenedFile, Reading, ReadLimits
from rag.readers.outline import Definition, outline_blocks
from rag.readers.plain_text import read_code, whole_text

MAX_PARSED_BYTES = 2 << 20
"""A longer file is data; it is cut at blank lines."""
MAX_PARSE_S = 5.0
"""Of a core's time: libyaml is slow where thousands of brackets are open."""
MAX_DEPTH = 8
"""Keys of keys that may become headings."""
MAX_NAME_CHARS = 80

_TABLE = re.compile(r"\[{1,2}[ \t]*([^\[\]\n]{1,200}?)[ \t]*\]{1,2}[ \t]*(?:[#;].*)?")
_OPENS_STRING = re.compile(r"\"\"\"|'''")


@dataclass(slots=True)
class _Node:
    """A mapping or a sequence whose end has not come."""

    is_mapping: bool
    children: list[Definition] = field(default_factory=list)
    entry_count: int = 0
    entry_begin: int = -1
    """The line of the key or element that is being read; -1 before the first."""
    entry_name: str = ""
    entry_children: tuple[Definition, ...] = ()
    expects_key: bool = True

    def begin_entry(self, name: str, line: int) -> None:
        self.end_entry(line)
        self.entry_count += 1
        self.entry_begin, self.entry_name = line, name

    def end_entry(self, line: int) -> None:
        if self.entry_begin >= 0 and line > self.entry_begin:
            self.children.append(Definition(self.entry_name, self.entry_begin, line, self.entry_children))
        self.entry_begin, self.entry_children = -1, ()


def read_yaml(file: OpenedFile, limits: ReadLimits) -> Reading:
    """Raises DamagedFile for bytes that are not text, EmptyFile for nothing but white space."""
    if file.size_bytes > MAX_PARSED_BYTES:
        return read_code(file, limits)
    text, notes = whole_text(file)
    lines = text.split("\n")
    documents = list(_documents(text))
    definitions = documents[0].inner if len(documents) == 1 else documents
    return Reading(outline_blocks(lines, _with_comments(definitions, lines), "code"), notes=notes)


def read_tables(file: OpenedFile, limits: ReadLimits) -> Reading:
    """TOML and INI. Raises DamagedFile for bytes that are not text, EmptyFile for nothing but white space."""
    if file.size_bytes > MAX_PARSED_BYTES:
        return read_code(file, limits)
    text, notes = whole_text(file)
    lines = text.split("\n")
    return Reading(outline_blocks(lines, _with_comments(list(_tables(lines)), lines), "code"), notes=notes)


def _documents(text: str) -> Iterator[Definition]:
    """A definition for each document of a YAML stream. One that breaks off ends with the text."""
    import yaml

    # libyaml's parser where PyYAML was built with it: ten times as fast.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    end_of_text = text.count("\n") + 1
    events = yaml.parse(text, Loader=loader)
    open_nodes: list[_Node] = []
    number = begin = 0
    deadline = time.thread_time() + MAX_PARSE_S
    while time.thread_time() < deadline:
        try:
            event = next(events, None)
        except (yaml.YAMLError, ValueError, OverflowError):  # the last two: PyYAML's for a \U escape beyond Unicode
            event = None
        if event is None:
            break
        line = event.start_mark.line if event.start_mark is not None else 0
        if isinstance(event, yaml.DocumentStartEvent):
            number, begin = number + 1, line
        elif isinstance(event, yaml.DocumentEndEvent):
            continue
        elif isinstance(event, yaml.CollectionStartEvent):
            _take_entry(open_nodes, "…", line)
            open_nodes.append(_Node(isinstance(event, yaml.MappingStartEvent)))
        elif isinstance(event, yaml.CollectionEndEvent):
            node = open_nodes.pop()
            node.end_entry(line)
            if open_nodes and len(open_nodes) < MAX_DEPTH:
                open_nodes[-1].entry_children = tuple(node.children)
            elif not open_nodes:
                yield Definition(f"document {number}", begin, line, tuple(node.children))
        elif isinstance(event, yaml.ScalarEvent):
            _take_entry(open_nodes, event.value[:MAX_NAME_CHARS], line)
        elif isinstance(event, yaml.AliasEvent):
            _take_entry(open_nodes, f"*{event.anchor}"[:MAX_NAME_CHARS], line)
    while open_nodes:
        node = open_nodes.pop()
        node.end_entry(end_of_text)
        if open_nodes and len(open_nodes) < MAX_DEPTH:
            open_nodes[-1].entry_children = tuple(node.children)
        elif not open_nodes:
            yield Definition(f"document {number}", begin, end_of_text, tuple(node.children))


def _take_entry(open_nodes: list[_Node], name: str, line: int) -> None:
    """A key, a key's value, or an element begins here."""
    if not open_nodes:
        return
    node = open_nodes[-1]
    if not node.is_mapping:
        node.begin_entry(f"[{node.entry_count}]", line)
    elif node.expects_key:
        node.begin_entry(name, line)
        node.expects_key = False
    else:
        node.expects_key = True


def _tables(lines: list[str]) -> Iterator[Definition]:
    begin, name = -1, ""
    in_string = False
    for number, line in enumerate(lines):
        found = None if in_string or not line.startswith("[") else _TABLE.fullmatch(line.rstrip())
        if found is not None:
            if begin >= 0:
                yield Definition(name, begin, number)
            begin, name = number, found[1]
        in_string ^= len(_OPENS_STRING.findall(line)) % 2 == 1
    if begin >= 0:
        yield Definition(name, begin, len(lines))


def _with_comments(definitions: list[Definition] | tuple[Definition, ...], lines: list[str]) -> list[Definition]:
    """The comment above a key goes with that key, not with the one before."""
    if not definitions:
        return []
    starts = [_first_comment(each.begin, lines) for each in definitions]
    ends = [*starts[1:], None]
    return [
        Definition(
            each.name,
            begin,
            each.end if end is None else max(begin, min(each.end, end)),
            tuple(_with_comments(each.inner, lines)),
        )
        for each, begin, end in zip(definitions, starts, ends, strict=True)
    ]


def _first_comment(begin: int, lines: list[str]) -> int:
    while begin > 0 and lines[begin - 1].lstrip().startswith(("#", ";")):
        begin -= 1
    return begin
