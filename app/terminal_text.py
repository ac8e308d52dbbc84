"""Make untrusted text safe to show: no byte of it may act on the terminal, and none vanishes unmarked.

Documents, file names, titles, error messages and the model's own words all come through here before they
reach a terminal, whichever widget or stream draws them. Knows nothing of widgets, colours or markup (markup
in data is the drawing side's business: pass data as literal text).

What it does, character by character (ECMA-48, and Unicode's own invisible controls):

- CSI (`ESC [ ... m`) and string sequences (OSC, DCS, APC, PM, SOS) started by ESC become one `␛`, payload
  and all: a coloured log stays readable, a clipboard write (OSC 52) does not show its base64.
- Any other ESC becomes `␛` and what follows is shown. So is what follows an 8-bit introducer (C1): legacy
  encodings read wrongly put such bytes between honest letters, and without its introducer a payload is text.
- An unterminated sequence ends at the line's end or after a bounded number of characters: it never swallows
  the rest of a document.
- CR LF and a lone CR become a newline: a line cannot overwrite itself.
- Other C0 controls and DEL become their Unicode pictures (`␇`, `␈`, `␀`); C1, bidi controls, zero-width
  characters, Unicode tags and lone surrogates become `�`. Zero-width joiners stay where scripts and emoji need
  them: singly, after a character that is not Latin.
"""

from __future__ import annotations

import re
from typing import Final, Literal

ESCAPE_MARK: Final = "␛"
UNPRINTABLE_MARK: Final = "�"

MAX_CSI_CHARS: Final = 64
"""Longest run of parameters taken for a CSI sequence; real ones are a tenth of it."""
MAX_STRING_CHARS: Final = 4096
"""Longest payload taken for an OSC, DCS, APC, PM or SOS sequence."""

_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"
_ZERO_WIDTH = "\u180e\u200b\u2060-\u2065\ufeff\ufff9-\ufffb"
_JOINERS = "\u200c\u200d"
_TAGS = "\U000e0000-\U000e007f"
_SURROGATES = "\ud800-\udfff"
_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 without tab and newline, DEL, C1

_FORBIDDEN: Final = f"{_CONTROLS}{_BIDI}{_ZERO_WIDTH}{_TAGS}{_SURROGATES}"
_SUSPECT: Final = re.compile(f"[{_FORBIDDEN}{_JOINERS}]")
_JSON_ESCAPED: Final = re.compile(f"[{_FORBIDDEN}{_JOINERS}\u2028\u2029]")

_STRING_INTRODUCERS: Final = frozenset("]P_^X")  # after ESC: OSC, DCS, APC, PM, SOS
_ONE_LINE: Final = {0x09: "␉", 0x0A: "␊", 0x0D: "␍", 0x2028: UNPRINTABLE_MARK, 0x2029: UNPRINTABLE_MARK}

_State = Literal["ground", "escape", "csi", "string", "string escape"]


def is_forbidden(char: str) -> bool:
    """Whether the filter never lets this character out. Joiners depend on what stands before them."""
    return _SUSPECT.match(char) is not None and char not in _JOINERS


class TerminalTextFilter:
    """Cleans a stream: whatever the places where it is cut, the pieces add up to `clean()` of the whole.

    One filter a stream, one thread at a time. It holds back nothing but the payload of a sequence, so there is
    nothing to flush at the end.
    """

    __slots__ = ("_after_cr", "_before", "_state", "_swallowed")

    def __init__(self) -> None:
        self._state: _State = "ground"
        self._swallowed = 0
        """Characters of the sequence at hand."""
        self._after_cr = False
        self._before = ""
        """The last character let out: decides about a joiner."""

    def feed(self, chunk: str) -> str:
        """The safe form of the next piece of the stream; may be empty in the middle of a sequence."""
        if not chunk:
            return ""
        if self._state == "ground" and not self._after_cr and _SUSPECT.search(chunk) is None:
            self._before = chunk[-1]
            return chunk
        shown: list[str] = []
        at = 0
        while at < len(chunk):
            if self._state == "ground" and not self._after_cr:
                suspect = _SUSPECT.search(chunk, at)
                clean_until = suspect.start() if suspect else len(chunk)
                if clean_until > at:
                    shown.append(chunk[at:clean_until])
                    self._before = chunk[clean_until - 1]
                    at = clean_until
                    continue
            if piece := self._take(chunk[at]):
                shown.append(piece)
                self._before = piece[-1]
            at += 1
        return "".join(shown)

    def _take(self, char: str) -> str:
        """Move on by one character; what it adds to the output."""
        match self._state:
            case "escape":
                return self._take_after_escape(char)
            case "csi":
                return self._take_in_csi(char)
            case "string":
                return self._take_in_string(char)
            case "string escape":
                self._state = "ground"
                # ESC \ ends the string; any other ESC cancels it and begins a sequence of its own.
                return "" if char == "\\" else ESCAPE_MARK + self._take_after_escape(char)
        return self._take_in_ground(char)

    def _take_in_ground(self, char: str) -> str:
        after_cr, self._after_cr = self._after_cr, False
        if char == "\n":
            return "" if after_cr else "\n"
        if char == "\r":
            self._after_cr = True
            return "\n"
        if char == "\x1b":
            self._state = "escape"
            return ESCAPE_MARK
        if char in _JOINERS:
            joins = self._before > "\u02ff" and self._before not in (*_JOINERS, UNPRINTABLE_MARK, ESCAPE_MARK)
            return char if joins else UNPRINTABLE_MARK
        if _SUSPECT.match(char) is None:
            return char
        if char < "\x20":
            return chr(0x2400 + ord(char))
        return "␡" if char == "\x7f" else UNPRINTABLE_MARK

    def _take_after_escape(self, char: str) -> str:
        self._swallowed = 0
        if char == "[":
            self._state = "csi"
            return ""
        if char in _STRING_INTRODUCERS:
            self._state = "string"
            return ""
        self._state = "ground"
        return self._take_in_ground(char)

    def _take_in_csi(self, char: str) -> str:
        self._swallowed += 1
        if "\x20" <= char <= "\x3f" and self._swallowed <= MAX_CSI_CHARS:  # parameters and intermediates
            return ""
        self._state = "ground"
        if "\x40" <= char <= "\x7e" and self._swallowed <= MAX_CSI_CHARS:  # the final character
            return ""
        return self._take_in_ground(char)

    def _take_in_string(self, char: str) -> str:
        self._swallowed += 1
        if char == "\x1b":
            self._state = "string escape"
            return ""
        if char in "\x07\x9c":  # BEL and ST end it
            self._state = "ground"
            return ""
        if char in "\n\r\x18\x1a" or self._swallowed > MAX_STRING_CHARS:  # CAN and SUB cancel it
            self._state = "ground"
            return self._take_in_ground(char)
        return ""


def clean(text: str) -> str:
    """The safe form of a whole text; newlines and tabs stay."""
    if _SUSPECT.search(text) is None:
        return text
    return TerminalTextFilter().feed(text)


def clean_line(text: str) -> str:
    """The safe form of a path, a title or another text that must stay on one line."""
    return clean(text.translate(_ONE_LINE))


def escape_json(document: str) -> str:
    """A JSON document with the characters that `clean` would replace written as `\\uXXXX`.

    Nothing is lost: whoever parses it gets the very same strings, and a terminal that shows it stays safe.
    """
    return _JSON_ESCAPED.sub(_json_escape, document)


def _json_escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"


__all__ = [
    "ESCAPE_MARK",
    "MAX_CSI_CHARS",
    "MAX_STRING_CHARS",
    "UNPRINTABLE_MARK",
    "TerminalTextFilter",
    "clean",
    "clean_line",
    "escape_json",
    "is_forbidden",
]
