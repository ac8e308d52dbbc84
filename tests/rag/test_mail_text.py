from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.readers.mail_text import MAX_INLINE_QUOTE_CHARS, MailPassage, best_version, split_quotes, unflow

LONG = "The rent is due on the first of the month. " * 20


def test_what_is_quoted_below_the_answer_stands_apart_with_who_wrote_it() -> None:
    text = (
        "Hi Anna,\n\nyes.\nOn Mon, 3 Mar 2025 at 10:00, Bob\n<bob7@x.org> wrote:\n\n> The rent.\n>\n>> Which\n>> one?\n"
    )
    assert split_quotes(text) == [
        MailPassage("own", "Hi Anna,\n\nyes."),
        MailPassage("quoted", "The rent.", "On Mon, 3 Mar 2025 at 10:00, Bob <bob7@x.org> wrote"),
        MailPassage("quoted", "Which\none?"),
    ]


def test_a_short_quote_that_is_answered_stays_with_its_answer() -> None:
    text = "Am 3.3. schrieb Bob:\n> A or B?\nB please.\n\n> And when?\nMonday\n"
    assert split_quotes(text) == [
        MailPassage("own", "Am 3.3. schrieb Bob:\n> A or B?\n\nB please.\n\n> And when?\n\nMonday")
    ]


def test_a_long_quote_stands_apart_though_it_is_answered() -> None:
    assert len(LONG) > MAX_INLINE_QUOTE_CHARS
    assert [each.kind for each in split_quotes(f"> {LONG}\nI agree")] == ["quoted", "own"]


def test_the_same_mail_quoted_by_many_is_the_same_passage_every_time() -> None:
    words = "The boiler is broken since Friday.\n\nPlease send somebody."
    once = "\n".join(f"> {line}" for line in words.split("\n"))
    twice = "\n".join(f">> {line}" for line in words.split("\n"))
    found = [
        split_quotes(f"{reply}\n\nAnna wrote:\n{quoted}")[-1].text for reply, quoted in [("a", once), ("b c", twice)]
    ]
    assert found == [words, words]


@pytest.mark.parametrize(
    ("head", "attribution"),
    [
        ("-----Original Message-----\nFrom: Bob\nSent: Monday\nTo: Anna\n", "From: Bob, Sent: Monday"),
        ("________________________________\nVon: Bob\nGesendet: Montag\n", "Von: Bob, Gesendet: Montag"),
        ("*From:* Bob <b@x.org>\n*Date:* Monday\n*To:* Anna\n", "From: Bob <b@x.org>, Date: Monday"),
        ("Begin forwarded message:\n\n> From: Bob\n> Date: Monday\n> To: Anna\n>\n", "From: Bob, Date: Monday"),
    ],
    ids=["outlook", "german", "html", "apple"],
)
def test_a_forwarded_mail_stands_apart_under_its_sender(head: str, attribution: str) -> None:
    assert split_quotes(f"FYI\n\n{head}\nThe text") == [
        MailPassage("own", "FYI"),
        MailPassage("quoted", "The text", attribution),
    ]


def test_a_line_that_only_looks_like_a_header_is_text() -> None:
    text = "From: here you can see\nit all."
    assert split_quotes(text) == [MailPassage("own", text)]


def test_a_short_signature_stays_and_a_disclaimer_stands_apart() -> None:
    assert split_quotes("Hi\n-- \nBob\n+49 1") == [MailPassage("own", "Hi\n\n-- \nBob\n+49 1")]
    assert [each.kind for each in split_quotes(f"Hi\n-- \n{LONG}")] == ["own", "signature"]


def test_lines_that_a_mailbox_marked_are_as_they_were_written() -> None:
    assert split_quotes(">From here on") == [MailPassage("own", "From here on")]


def test_flowed_lines_are_joined_as_they_were_typed() -> None:
    text = "One \nline.\n> quoted \n> too\n-- \nBob \nx"
    assert unflow(text, delete_space=False) == "One line.\n> quoted too\n-- \nBob x"
    assert unflow("wo \nrd", delete_space=True) == "word"


def test_a_stub_does_not_win_over_the_html() -> None:
    html = "Your order of 14 March: 2 chairs, 150 euros, sent to Berlin"
    assert best_version("Please open this mail in a browser", html) == html
    assert best_version(f"{html}\nhttps://shop.example/x", html).startswith(html)
    assert best_version("only text", " ") == "only text"
    assert best_version("", html) == html


@given(st.text(alphabet="> \n:-_Fromabc1*", max_size=300))
def test_no_word_is_lost_in_splitting(text: str) -> None:
    passages = split_quotes(text)
    kept = "".join(each.text + each.attribution for each in passages)
    assert all(each.text.strip() for each in passages)
    for word in ("abc", "cba", "b1c"):
        if "From" not in text and f" {word} " in text.replace("\n", " "):
            assert word in kept


@pytest.mark.parametrize(
    "text",
    ["From: a\nTo: b\n" * 20_000, "> a\nb\n" * 20_000, "a:\n> b\n" * 20_000, "> " * 50_000, " " * 200_000 + ":"],
    ids=["heads", "turns", "attributions", "depth", "spaces"],
)
@pytest.mark.timeout(20)
def test_hostile_texts_take_no_longer_than_others(text: str) -> None:
    split_quotes(text)
