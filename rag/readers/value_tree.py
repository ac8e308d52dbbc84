"""Nested values in, as they come; blocks of readable lines out, under the path of what holds them.

`{"orders": [{"customer": "Ada", "total": 5}]}` reads as `[0].customer: Ada; total: 5` under `orders`. A container
that would fill a passage is a heading of its own, smaller ones are written in what holds them, with their
names before the values. Memory is that of one passage for each open container, however long the input is.
Knows no format. Each block stands at the line of its first value, and no block says a wrong line inside:
values of one line of the file stay on one line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from rag.readers.clean_text import clean_text, clean_title
from rag.records import Block, Locator
from rag.stretches import cut_stretches

OWN_HEADING_CHARS = 700
"""An element with more to read is under a heading of its own: about what a passage of 200 tokens holds."""
MAX_HELD_CHARS = 2 * OWN_HEADING_CHARS
"""What an object under a key may have before it is: its values all carry its name."""
MAX_DEPTH = 64
"""What is nested deeper belongs to the container at this depth."""
MAX_HEADINGS = 12
"""Of a deep path the innermost are kept."""
MAX_NAME_CHARS = 80
BESIDE = "; "
"""Between values on one line of the file."""

_ENCODED = re.compile(r"(?:data:[\w/+.;=-]{1,100},)?[A-Za-z0-9+/_=-]{400}")


class _Value(NamedTuple):
    line: int
    name: str
    """From what holds it; empty for an element of a list."""
    text: str
    continues: bool = False
    """The value before it carries the name of what holds both."""


class _Container:
    __slots__ = ("chars", "name", "names_all", "values", "was_written")

    def __init__(self, name: str, names_all: bool) -> None:
        self.name = name
        self.names_all = names_all
        """Each of its values carries its name, not only the first."""
        self.values: list[_Value] = []
        self.chars = 0
        self.was_written = False
        """A part of it is out already, so the rest goes under its own heading as well."""


class ValueTree:
    """Takes containers and values in the order of the file. The blocks that are ready come from `take`."""

    def __init__(self) -> None:
        self._open = [_Container("", True)]
        self._depth_beyond = 0
        self._ready: list[Block] = []

    def take(self) -> list[Block]:
        """The blocks that became ready since the last call."""
        ready, self._ready = self._ready, []
        return ready

    def begin(self, name: str, *, names_all: bool) -> None:
        """Open a container. `name` is its key, or `[3]`, or empty. Of a list, and of one of many things of a
        kind, the first value alone carries the name.
        """
        if len(self._open) > MAX_DEPTH:
            self._depth_beyond += 1
        else:
            self._open.append(_Container(_short(name), names_all))

    def value(self, name: str, text: str, line: int) -> None:
        """A value in the open container, on this line of the file. Empty ones are left out."""
        text = readable(text)
        if text:
            container = self._open[-1]
            continues = not name and bool(container.values) and not container.names_all
            container.values.append(_Value(line, _short(name), text, continues))
            container.chars += len(name) + len(text)
            if container.chars > MAX_HELD_CHARS:
                self._write()

    def end(self) -> None:
        """Close the innermost container."""
        if self._depth_beyond:
            self._depth_beyond -= 1
            return
        container = self._open[-1]
        is_long = container.chars > OWN_HEADING_CHARS and not container.names_all
        if is_long or (container.was_written and container.values):
            self._write()
        self._open.pop()
        if not container.values:
            return
        holder = self._open[-1]
        is_named = True
        for value in container.values:
            if not value.continues and (is_named or value.name.startswith("[")):
                value = _Value(value.line, joined_path(container.name, value.name), value.text)
            elif not value.continues:
                value = value._replace(continues=True)
            holder.values.append(value)
            is_named = container.names_all
        holder.chars += container.chars + len(container.name)
        if holder.chars > MAX_HELD_CHARS:
            self._write()

    def end_all(self) -> None:
        """Close every container: the input broke off inside them."""
        self._depth_beyond = 0
        while len(self._open) > 1:
            self.end()

    def close(self) -> None:
        """Make everything ready that is still held, also when the input broke off."""
        self._write()

    def _write(self) -> None:
        """All that is held, from the outermost container on: the order is the file's."""
        for depth, container in enumerate(self._open):
            if container.values:
                path = _headings([each.name for each in self._open[1 : depth + 1]])
                self._ready.extend(_blocks(container.values, path))
                container.values = []
            container.chars = 0
            container.was_written = True


def readable(text: str) -> str:
    """A value as it is shown. Bytes written as letters (a picture in base64) are named, not shown."""
    if len(text) >= 500 and _ENCODED.match(text):
        return f"({len(text):,} characters of encoded data)"
    return clean_text(text).strip()


def joined_path(holder: str, name: str) -> str:
    """`orders` and `[3]` is `orders[3]`; `orders[3]` and `customer` is `orders[3].customer`."""
    if not holder or not name or name.startswith("["):
        return holder + name
    return f"{holder}.{name}"


def _headings(names: list[str]) -> tuple[str, ...]:
    """One heading a key; an index goes with the key before it."""
    headings: list[str] = []
    for name in names:
        if name.startswith("[") and headings:
            headings[-1] += name
        elif name:
            headings.append(name)
    return tuple(clean_title(each) for each in headings[-MAX_HEADINGS:])


def _blocks(values: list[_Value], path: tuple[str, ...]) -> Iterator[Block]:
    parts: list[str] = []
    first_line = last_line = 0
    for value in values:
        shown = f"{value.name}: {value.text}" if value.name else value.text
        lines = [line for line in shown.split("\n") if line.strip()]
        is_next = len(lines) == 1 and value.line - last_line in (0, 1)
        if parts and not is_next:
            yield from _cut("".join(parts), first_line, path)
            parts = []
        for line in lines[:-1]:
            yield from _cut(line, value.line, path)
        if not parts:
            first_line = value.line
            parts = [lines[-1]]
        else:
            beside = BESIDE if value.name or not value.continues else ", "
            parts.append((beside if value.line == last_line else "\n") + lines[-1])
        last_line = value.line if len(lines) == 1 else -1
    if parts:
        yield from _cut("".join(parts), first_line, path)


def _cut(text: str, line: int, path: tuple[str, ...]) -> Iterator[Block]:
    for stretch in cut_stretches([text]):
        if stretch.strip():
            yield Block(stretch.strip(), Locator(line=line), path)
        line += stretch.count("\n")


def _short(name: str) -> str:
    return name if len(name) <= MAX_NAME_CHARS else name[: MAX_NAME_CHARS - 1] + "…"
