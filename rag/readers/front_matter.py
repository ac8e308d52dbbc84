"""What stands above a text about the text: YAML between `---` lines, or TOML between `+++` lines.

Only what it says of the document is taken: title, author, date. Its words stay in the file's text, since
people search for tags and for properties of their own. YAML is parsed with plain strings only (no types, no
merge keys), so that neither a bomb of aliases nor a strange number does anything; what is no valid YAML is
read line by line, because people write `title: Rent: the facts`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import date
from typing import NamedTuple

from rag.readers.clean_text import clean_title
from rag.readers.document_dates import unix_time_of_iso

MAX_PARSED_CHARS = 16 << 10
MAX_BRACKETS = 500
"""PyYAML takes seconds for thousands that are open."""
MAX_AUTHORS = 8

_YAML = re.compile(r"---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_TOML = re.compile(r"\+\+\+[ \t]*\n(.*?)^\+\+\+[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_LOOKS_LIKE_YAML = re.compile(r"\s*(?:#.*\n\s*)*[\"']?\w[\w .-]*[\"']?[ \t]*:(?:\s|\Z)")
_LINE = re.compile(r"^(\w[\w .-]*?)[ \t]*:[ \t]*(\S.*)$", re.MULTILINE)


class FrontMatter(NamedTuple):
    title: str = ""
    author: str = ""
    written_at_s: float | None = None
    text: str = ""
    """What stands between the marks, as it is written; empty where there is no front matter."""
    length: int = 0
    """Characters from the text's start to the line after the closing mark."""


def find_front_matter(text: str) -> FrontMatter:
    """`text` is a document from its start. A mark that is never closed is no front matter, nor is a ruler."""
    if (found := _TOML.match(text)) is not None:
        values = _toml(found[1])
    elif (found := _YAML.match(text)) is not None and _LOOKS_LIKE_YAML.match(found[1]):
        values = _yaml(found[1])
    else:
        return FrontMatter()
    author = _names(_first(values, "author", "authors", "by", "creator"))
    written = _first(values, "date", "created", "pubdate", "published", "publishdate", "lastmod", "updated", "modified")
    return FrontMatter(clean_title(_string(_first(values, "title"))), author, _moment(written), found[1], found.end())


def _toml(source: str) -> Mapping[str, object]:
    if len(source) > MAX_PARSED_CHARS:
        return {}
    try:
        return tomllib.loads(source)
    except (ValueError, RecursionError):  # TOMLDecodeError is a ValueError
        return {}


def _yaml(source: str) -> Mapping[str, object]:
    import yaml

    if len(source) <= MAX_PARSED_CHARS and source.count("[") + source.count("{") <= MAX_BRACKETS:
        try:
            # BaseLoader makes nothing but strings, lists and dicts.
            values = yaml.load(source, Loader=yaml.BaseLoader)
        except (yaml.YAMLError, ValueError, OverflowError, RecursionError):
            values = None  # ValueError and OverflowError: PyYAML's for a \U escape beyond Unicode
        if isinstance(values, dict):
            return values
    return {name: value.strip(" \t\"'[]") for name, value in _LINE.findall(source[:MAX_PARSED_CHARS])}


def _first(values: Mapping[str, object], *names: str) -> object:
    by_name = {str(name).lower(): value for name, value in values.items()}
    return next((by_name[name] for name in names if by_name.get(name)), None)


def _string(value: object) -> str:
    if isinstance(value, int) and abs(value) >= 1 << 64:
        return ""  # Python writes out no integer of thousands of digits, and TOML may have one
    return str(value) if isinstance(value, str | int | float) else ""


def _names(value: object) -> str:
    """Of one author, a list of them, or objects with a `name`."""
    listed = value if isinstance(value, list) else [value]
    names = [_string(each.get("name", "") if isinstance(each, dict) else each) for each in listed[:MAX_AUTHORS]]
    return clean_title(", ".join(name for name in names if name.strip()))


def _moment(value: object) -> float | None:
    # TOML has dates of its own; their ISO form is read like YAML's.
    return unix_time_of_iso(str(value) if isinstance(value, date) else _string(value))
