"""What is looked for, and which passages fit."""

from __future__ import annotations

import pytest

from pipelines.conversations import PastTurn
from pipelines.question import conversation_speaks_of, fitting, understand
from rag.records import Chunk, Hit, Locator

BIKE_TURN = PastTurn(
    "When did I buy the bike?", "[Passage…] Bought at Lindner.", "On 14 May.", search_query="When did I buy the bike?"
)


def hit(text: str, *, cosine: float | None = None, path: str = "/x/notes.md", headings: tuple[str, ...] = ()) -> Hit:
    chunk = Chunk(1, 1, 0, text, headings, Locator())
    return Hit(rank=1, score=1.0, chunk=chunk, path=path, title="", kind="text", cosine=cosine)


@pytest.mark.parametrize(
    "talk",
    [
        "hello",
        "thank you very much!",
        "summarise your last answer",
        "translate that into French",
        "make it shorter",
        "explain that again please",
        "Can you say it in German?",
        "tell me a joke",
        "good morning",
    ],
)
def test_talk_looks_for_nothing(talk: str) -> None:
    assert understand(talk, []).is_talk
    assert understand(talk, [BIKE_TURN]).is_talk


@pytest.mark.parametrize("question", ["who are you?", "what can you do?", "why?"])
def test_a_question_without_a_subject_is_talk_only_at_the_beginning(question: str) -> None:
    assert understand(question, []).is_talk
    assert understand(question, [BIKE_TURN]).query == f"{question} buy bike"


@pytest.mark.parametrize(
    ("question", "query"),
    [
        ("and how much was it?", "and how much was it? buy bike"),
        ("What colour is it?", "What colour is it? buy bike"),
        ("What about the rack?", "What about the rack? buy bike"),
        ("How much is the rent?", "How much is the rent?"),
        ("What is the capital of Peru?", "What is the capital of Peru?"),
        ("Does the policy pay for the flood in its cellar?", "Does the policy pay for the flood in its cellar?"),
    ],
)
def test_a_follow_up_is_looked_for_with_the_words_before_it(question: str, query: str) -> None:
    assert understand(question, [BIKE_TURN]).query == query
    assert understand(question, []).query in (question, ""), "without a conversation every question stands alone"


def test_the_matter_is_carried_over_several_follow_ups() -> None:
    first = understand("and how much was it?", [BIKE_TURN])
    then = PastTurn("and how much was it?", "…", "…", search_query=first.query)
    assert understand("and the colour?", [BIKE_TURN, then]).query == "and the colour? buy bike"


def test_near_passages_fit_and_far_ones_do_not() -> None:
    near, lower, far = hit("a", cosine=0.6), hit("b", cosine=0.3), hit("c", cosine=0.19)
    assert fitting([near, lower, far], "zebra") == [near, lower]
    assert fitting([hit("a", cosine=0.7), lower], "zebra") == [hit("a", cosine=0.7)], "noise beside the nearest"
    assert fitting([far], "zebra") == []


def test_what_the_question_pins_down_comes_first() -> None:
    general, exact = hit("The washing machine shows errors.", cosine=0.6), hit("E18: clean the filter.", cosine=0.4)
    assert fitting([general, exact], "What does E18 on the washing machine mean?") == [exact, general]
    paul, ruth = hit("Paul moved the fair.", cosine=0.5), hit("Ruth moved the fair.", cosine=0.5)
    assert fitting([paul, ruth], "When did Ruth move the fair?") == [ruth, paul]
    assert fitting([paul, ruth], "Who moved the fair?") == [paul, ruth], "otherwise the search's order"


def test_words_fit_whatever_the_vector_says_and_without_one() -> None:
    assert fitting([hit("the rents were paid")], "How much is the rent?")
    assert fitting([hit("the rent", cosine=-0.1)], "How much is the rent?")
    assert fitting([hit("x", path="/home/me/rent_2024.txt")], "How much is the rent?"), "in the file's name"
    assert fitting([hit("x", headings=("Rent",))], "How much is the rent?"), "in the headings"
    assert fitting([hit("the rain in Spain")], "How much is the rent?") == []
    assert fitting([hit("the rent")], "rent deposit landlord notice") == [], "one word of four"


def test_what_the_conversation_speaks_of() -> None:
    assert conversation_speaks_of(("lindner",), [BIKE_TURN])
    assert conversation_speaks_of(("may", "peru"), [BIKE_TURN]) is False
    assert not conversation_speaks_of(("peru",), [])
