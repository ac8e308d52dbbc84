from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.errors import QueryNotUnderstood
from rag.filters import FAMILIES, NO_FILTERS
from rag.query import FILTER_KEYS, ParsedQuery, parse_query

NOW = datetime(2025, 3, 31, 15, 30)


def read(typed: str) -> ParsedQuery:
    return parse_query(typed, now=NOW)


def start_of(year: int, month: int = 1, day: int = 1) -> float:
    return datetime(year, month, day).timestamp()


def test_filters_are_taken_out_and_the_rest_is_looked_for() -> None:
    query = read(
        'invoice kind:pdf after:2025-01 before:2025-06-30 in:~/notes author:anna name:march "paid in cash" -draft'
    )
    assert query.text == 'invoice "paid in cash"'
    assert query.phrases == ("paid in cash",)
    assert query.without == ("draft",)
    assert query.filters.suffixes == {".pdf"}
    assert (query.filters.after_s, query.filters.before_s) == (start_of(2025), start_of(2025, 6, 30))
    assert query.filters.folders == (os.fspath(Path.home() / "notes"),)
    assert (query.filters.authors, query.filters.names) == (("anna",), ("march",))
    assert [part.key for part in query.parts] == [
        "kind", "after", "before", "in", "author", "name", "phrase", "without",
    ]  # fmt: skip


def test_values_may_be_quoted_and_keys_in_any_case() -> None:
    query = read('what did she write? In:"~/my notes" AUTHOR:"Anna Berg" name:“two words”')
    assert query.text == "what did she write?"
    assert query.filters.folders == (os.fspath(Path.home() / "my notes"),)
    assert (query.filters.authors, query.filters.names) == (("Anna Berg",), ("two words",))
    assert query.phrases == ()


@pytest.mark.parametrize(
    "typed",
    [
        "foo:bar at 12:30",
        "see http://example.org/in:here and std::before:x",
        "in: the garden",
        "kind: of blue",
        "5 -3 --verbose -x a-b - c",
        "the ratio 3:1",
        '"',
        'say "',
        '""',
        "after:",
    ],
)
def test_what_is_no_filter_is_plain_text(typed: str) -> None:
    query = read(typed)
    assert query == ParsedQuery(typed)
    assert query.parts == ()
    assert not query.restricted


@pytest.mark.parametrize(
    ("typed", "date_s"),
    [
        ("2024", start_of(2024)),
        ("2024-2", start_of(2024, 2)),
        ("2024/02/29", start_of(2024, 2, 29)),
        ("today", start_of(2025, 3, 31)),
        ("Yesterday", start_of(2025, 3, 30)),
        ("3d", start_of(2025, 3, 28)),
        ("2w", start_of(2025, 3, 17)),
        ("1m", start_of(2025, 2, 28)),
        ("1y?", start_of(2024, 3, 31)),
    ],
)
def test_dates(typed: str, date_s: float) -> None:
    assert read(f"x after:{typed}").filters.after_s == date_s
    assert read(f"x before:{typed}").filters.before_s == date_s


@pytest.mark.parametrize(
    "typed", ["2025-13", "2025-02-30", "soon", "31.12.2024", "99999", "0000", "9999y", "2025-01-01-01"]
)
def test_a_bad_date_is_said_with_what_is_one(typed: str) -> None:
    with pytest.raises(QueryNotUnderstood, match="is no date") as raised:
        read(f"x after:{typed}")
    assert "2025-01" in raised.value.hint


def test_the_narrowest_dates_count() -> None:
    filters = read("after:2020 after:2024 before:2030 before:2025").filters
    assert (filters.after_s, filters.before_s) == (start_of(2024), start_of(2025))


def test_kinds_are_kinds_families_and_suffixes() -> None:
    filters = read("x kind:image,Slides kind:.rs kind:mails?").filters
    assert filters.kinds == {"image"}
    assert filters.suffixes == FAMILIES["slides"] | FAMILIES["mail"] | {".rs"}
    with pytest.raises(QueryNotUnderstood, match="no kind pfd") as raised:
        read("kind:pfd")
    assert "pdf" in raised.value.hint


def test_kinds_named_elsewhere_narrow() -> None:
    assert read("x").and_kinds(["pdf"]).filters.suffixes == {".pdf"}
    assert read("x kind:image,text").and_kinds(["image"]).filters.kinds == {"image"}
    both = read("x kind:pdf,word").and_kinds(["pdf", "text"]).filters
    assert (both.suffixes, both.also) == (FAMILIES["pdf"] | FAMILIES["word"], ((frozenset({"text"}), FAMILIES["pdf"]),))
    with pytest.raises(QueryNotUnderstood):
        read("x").and_kinds(["nonsense"])


def test_folders_are_paths_or_parts_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    filters = read(f"in:{tmp_path}/a/../b in:./c in:. in:projects/alpha in:Notes").filters
    assert filters.folders == (f"{tmp_path}/b", f"{tmp_path}/c", f"{tmp_path}")
    assert filters.path_parts == (os.fspath(Path("projects/alpha")), "Notes")


def test_a_pasted_text_is_not_read_for_operators() -> None:
    pasted = 'Sum this up:\n-removed line\n"quoted"\nbefore:nothing\nkind:pdf'
    query = read(pasted)
    assert (query.phrases, query.without) == ((), ())
    assert query.filters.suffixes == {".pdf"}
    assert "before:nothing" in query.text
    assert "-removed line" in query.text


def test_a_query_of_filters_alone() -> None:
    query = read("kind:pdf after:2025-01")
    assert query.text == ""
    assert query.restricted


def test_a_picture_to_look_like() -> None:
    query = read("red like:/photos/bicycle.jpg kind:image")
    assert (query.text, query.like) == ("red", "/photos/bicycle.jpg")
    assert query.filters.kinds == frozenset({"image"})
    assert read('like:"my photos/a b.png"').like == os.fspath(Path.cwd() / "my photos" / "a b.png")
    assert read("like:~/a.png").like == os.fspath(Path.home() / "a.png")
    assert read("a pasted text\nthat says like:this").like == ""
    assert not read("like:a.png").restricted


def test_what_ends_the_sentence_stays_at_its_end() -> None:
    assert read("what was paid kind:pdf ?").text == "what was paid?"
    assert read("in:notes what is due").text == "what is due"


def test_half_characters_and_homes_of_nobody_are_text() -> None:
    assert read("a\udcff in:~nobody-here/x").filters.folders == (os.fspath(Path.cwd() / "~nobody-here/x"),)
    assert read("a\udcff").text == "a\ufffd"


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(typed: str) -> None:
    try:
        query = read(typed)
    except QueryNotUnderstood:
        return
    if not query.parts:
        assert query.text == typed.strip()
        assert query.filters == NO_FILTERS


_WORDS = st.lists(st.text("abcxyzäß", min_size=1, max_size=8), max_size=4)
_VALUES = {
    "kind": st.sampled_from(["pdf", "image", "word,mail"]),
    "after": st.sampled_from(["2024", "2024-05", "2024-05-06", "3w"]),
    "before": st.sampled_from(["2025", "today"]),
    "in": st.sampled_from(["notes", '"my notes"', "/tmp/x"]),
    "author": st.sampled_from(["anna", '"Anna Berg"']),
    "like": st.sampled_from(["photo.jpg", '"my photo.jpg"']),
    "name": st.sampled_from(["invoice", '"two words"', "*.txt"]),
}


@given(
    words=_WORDS,
    filters=st.lists(
        st.sampled_from(FILTER_KEYS).flatmap(lambda key: _VALUES[key].map(lambda value: f"{key}:{value}")), max_size=4
    ),
    seed=st.randoms(use_true_random=False),
)
def test_the_order_of_words_and_filters_does_not_matter(words: list[str], filters: list[str], seed: object) -> None:
    import random

    assert isinstance(seed, random.Random)
    mixed = [(word, True) for word in words]
    for each in filters:
        mixed.insert(seed.randint(0, len(mixed)), (each, False))
    query = read(" ".join(each for each, _ in mixed))
    assert query.text == " ".join(words)
    assert query.filters == read(" ".join(each for each, is_word in mixed if not is_word)).filters
    assert len(query.parts) == len(filters)
    assert read(query.text).filters == NO_FILTERS
