"""Markdown from a model or a file: nothing in it can be followed or fetched, and our citation marks are drawn.

Links become plain text with their target behind them, pictures become their description, HTML stays as
written. The only things that can be clicked are the citation numbers that `app.present` put in, between
private marks that it takes out of everything untrusted first. Imported after the first frame: the parser and
the highlighter take a tenth of a second.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from textual.content import Content, Span
from textual.style import Style
from textual.widgets import Markdown
from textual.widgets import _markdown as textual_markdown

from app.marks import CITATION_CLOSE, CITATION_OPEN, UNSUPPORTED_CLOSE, UNSUPPORTED_OPEN

SOURCE_SCHEME = "source:"
"""The target of a citation number: `source:3`. No other link survives parsing."""

_MARK = re.compile(
    f"{CITATION_OPEN}(?P<n>[0-9]+){CITATION_CLOSE}|(?P<open>{UNSUPPORTED_OPEN})|(?P<close>{UNSUPPORTED_CLOSE})"
)


def parser() -> MarkdownIt:
    """CommonMark with tables; HTML is text, bare addresses stay as they are, links show their target."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    markdown.core.ruler.push("show_link_targets", _show_link_targets)
    return markdown


def _show_link_targets(state: StateCore) -> None:
    for token in state.tokens:
        if token.type == "inline" and token.children:
            token.children = list(_without_links(token.children))


def _without_links(tokens: Sequence[Token]) -> Iterator[Token]:
    targets: list[tuple[str, list[str]]] = []
    for token in tokens:
        if token.type == "link_open":
            targets.append((str(token.attrs.get("href", "")), []))
        elif token.type == "link_close":
            target, label = targets.pop()
            if "".join(label) != target:
                yield _text(f" ({target})")
        elif token.type == "image":
            yield _text(f"{token.content or 'picture'} (picture, not fetched: {token.attrs.get('src', '')})")
        else:
            if targets:
                targets[-1][1].append(token.content)
            yield token


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)


def draw_marks(content: Content) -> Content:
    """Replace our private marks: citations by a clickable `[n]`, unsupported stretches by their look."""
    plain = content.plain
    if not any(mark in plain for mark in (CITATION_OPEN, UNSUPPORTED_OPEN, UNSUPPORTED_CLOSE)):
        return content
    pieces: list[Content] = []
    unsupported: list[Span] = []
    position = length = opened_at = 0
    is_open = False
    for mark in _MARK.finditer(plain):
        before = content[position : mark.start()]
        pieces.append(before)
        length += len(before)
        position = mark.end()
        if mark["n"]:
            number = _citation(mark["n"])
            pieces.append(number)
            length += len(number)
        elif mark["open"]:
            opened_at, is_open = length, True
        else:  # opened in this block, or in one before it
            unsupported.append(Span(opened_at, length, "$text-warning"))
            is_open = False
    pieces.append(content[position:])
    length += len(pieces[-1])
    if is_open:
        unsupported.append(Span(opened_at, length, "$text-warning"))
    whole = Content("").join(pieces)
    return Content(whole.plain, spans=[*whole.spans, *unsupported])


def _citation(n: str) -> Content:
    shown = f"[{n}]"
    click = Style.from_meta({"@click": f"link('{SOURCE_SCHEME}{n}')"})
    return Content(shown, spans=[Span(0, len(shown), "$text-accent"), Span(0, len(shown), click)])


class _Marked(textual_markdown.MarkdownBlock):
    """A block whose text may hold our marks. Second among the bases: Textual takes its CSS from the first."""

    def _token_to_content(self, token: Token) -> Content:
        return draw_marks(super()._token_to_content(token))


class _Paragraph(textual_markdown.MarkdownParagraph, _Marked):
    pass


class _H1(textual_markdown.MarkdownH1, _Marked):
    pass


class _H2(textual_markdown.MarkdownH2, _Marked):
    pass


class _H3(textual_markdown.MarkdownH3, _Marked):
    pass


class _TableHead(textual_markdown.MarkdownTH, _Marked):
    pass


class _TableCell(textual_markdown.MarkdownTD, _Marked):
    pass


_MARKED_BLOCKS: dict[str, type[textual_markdown.MarkdownBlock]] = {
    "paragraph_open": _Paragraph,
    "h1": _H1,
    "h2": _H2,
    "h3": _H3,
    "h4": _H3,
    "h5": _H3,
    "h6": _H3,
    "th_open": _TableHead,
    "td_open": _TableCell,
}


class SourcedMarkdown(Markdown):
    """Rendered Markdown that was cleaned and marked by `app.present`."""

    def __init__(self, source: str, *, classes: str | None = None) -> None:
        super().__init__(source, parser_factory=parser, open_links=False, classes=classes)

    def get_block_class(self, block_name: str) -> type[textual_markdown.MarkdownBlock]:
        return _MARKED_BLOCKS.get(block_name) or super().get_block_class(block_name)
