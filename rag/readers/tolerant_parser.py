"""The standard library's HTML parser, without the one thing at which it stops. For pages, books and mails."""

from __future__ import annotations

from html.parser import HTMLParser


class TolerantParser(HTMLParser):
    """Takes anything. It knows no document types and no entities but HTML's: nothing is expanded or fetched."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def parse_html_declaration(self, i: int) -> int:
        # The standard library stops at `<![anything`; to a browser that is a comment.
        if self.rawdata.startswith("<![", i) and not self.rawdata.startswith("<![CDATA[", i):
            return self.parse_bogus_comment(i)
        return super().parse_html_declaration(i)
