"""The program's check of an answer against its sources."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.grounding import CheckedAnswer, check
from pipelines.passages import Passage
from rag.records import Locator
from scripts.bench_grounding import judge_all, tallies

CHECK_SETS = Path(__file__).resolve().parent.parent / "data"

LEASE = Passage(
    "The monthly rent is 940 euros, due on the third working day of each month. The deposit amounts to two months'"
    " rent. Pets are not allowed without written consent.",
    "/home/me/lease.pdf",
    locator=Locator(page=2),
    chunk_id=11,
)
BIKE = Passage(
    "Bought the grey touring bike at Radhaus Lindner on 14 May 2022. It cost 1,249.00 EUR with the rack.",
    "/home/me/bike.md",
    chunk_id=12,
)


def marks(checked: CheckedAnswer) -> list[bool]:
    return [each.supported for each in checked.sentences]


def terms(checked: CheckedAnswer) -> list[str]:
    return [term for each in checked.sentences for term in each.unsupported_terms]


def test_the_check_set_is_judged_as_well_as_it_was_when_it_was_made() -> None:
    """Every invented number and name is marked, always; the rest may only get better."""
    judged = judge_all((CHECK_SETS / "grounding.jsonl").read_text(encoding="utf-8").splitlines())
    assert len(judged) >= 80
    by_class = tallies(judged)
    for invented in ("invented number", "invented name"):
        assert by_class[invented].recall == 1.0
        assert by_class[invented].term_recall == 1.0
        assert by_class[invented].term_precision == 1.0
    assert (by_class["contradicted"].recall or 0) >= 0.9
    assert (by_class["unanswerable"].recall or 0) >= 0.9
    assert (by_class["all"].precision or 0) >= 0.95
    assert all(each.is_right for each in judged if each.item["class"] in ("verbatim", "not said", "talk"))


def test_tables_mails_code_units_dates_and_negations_are_judged_as_well_as_when_they_were_made() -> None:
    judged = judge_all((CHECK_SETS / "grounding_everyday.jsonl").read_text(encoding="utf-8").splitlines())
    together = tallies(judged)["all"]
    assert len(judged) == 98
    assert (together.recall or 0) >= 0.93
    assert (together.precision or 0) >= 0.89
    assert together.term_recall == 1.0
    assert (tallies(judged)["table"].recall, tallies(judged)["table"].precision) == (1.0, 1.0)


ROWS = Passage(
    "Name: Olga Petrenko | Office: Leipzig | Budget: 1,200 EUR | Remote: no\n"
    "Name: Marc Dubois | Office: Lyon | Budget: 900 EUR | Remote: yes",
    "team.xlsx",
    locator=Locator(sheet="Staff", row=2),
    chunk_id=5,
)


@pytest.mark.parametrize(
    ("answer", "supported"),
    [
        ("Olga Petrenko is in the Leipzig office.", True),
        ("Olga Petrenko is in the Lyon office.", False),
        ("Olga Petrenko is in Leipzig, Marc Dubois in Lyon.", True),
        ("Marc Dubois has a budget of 900 euros.", True),
        ("Marc Dubois has a budget of 1,200 euros.", False),
        ("Marc Dubois works remote.", True),
        ("Olga Petrenko works remote.", False),
        ("Olga Petrenko does not work remote.", True),
    ],
)
def test_what_one_row_says_is_not_said_of_another(answer: str, supported: bool) -> None:
    assert marks(check(answer, [ROWS], question="What about the team?")) == [supported]


def test_the_citation_of_a_row_names_that_row() -> None:
    (cited,) = check("Marc Dubois is in Lyon.", [ROWS], question="Where is Marc Dubois?").citations
    assert cited.locator == Locator(sheet="Staff", row=3)


def test_a_number_belongs_to_its_part_of_the_sentence() -> None:
    source = Passage("The company had 312 employees, 19 more than a year before.", "a.md")
    assert marks(check("The company had 312 employees.", [source])) == [True]
    assert marks(check("The company had 19 employees.", [source])) == [False]


def test_without_denies_only_what_stands_behind_it() -> None:
    source = Passage("Without registration the motor warranty does not apply.", "a.md")
    assert marks(check("The motor warranty does not apply without registration.", [source])) == [True]
    assert marks(check("The motor warranty applies without registration.", [source])) == [False]


def test_citations_are_numbered_by_first_use_and_shared() -> None:
    answer = "The bike cost 1,249 euros. The rent is 940 euros. It was bought at Radhaus Lindner."
    checked = check(answer, [LEASE, BIKE], question="What did I pay?")
    assert checked.grounded
    assert [each.citations for each in checked.sentences] == [(1,), (2,), (1,)]
    assert [(c.n, c.chunk_id, c.supported) for c in checked.citations] == [(1, 12, True), (2, 11, True)]
    assert [answer[each.start : each.end] for each in checked.sentences][1] == "The rent is 940 euros."


@pytest.mark.parametrize(
    "answer",
    [
        "In Passage 1, the monthly rent is 940 euros.",
        "The rent is mentioned in passages 1 and 2, which state that the monthly rent is 940 euros.",
        "The monthly rent is 940 euros (Passage 2).",
        "According to [Passage 1], the monthly rent is 940 euros.",
    ],
)
def test_the_number_of_a_passage_is_no_number_of_the_files(answer: str) -> None:
    checked = check(answer, [LEASE, BIKE], question="What is the rent?")
    assert (marks(checked), terms(checked)) == ([True], [])
    wrong = check(answer.replace("940", "941"), [LEASE, BIKE], question="What is the rent?")
    assert (marks(wrong), terms(wrong)) == ([False], ["941"])


def test_the_quote_is_the_sentence_that_says_it() -> None:
    checked = check("The deposit is two months' rent.", [BIKE, LEASE], question="How much is the deposit?")
    (citation,) = checked.citations
    assert citation.quote == "The deposit amounts to two months' rent."
    assert citation.locator == Locator(page=2)


def test_every_sentence_names_the_exact_stretch_that_says_it() -> None:
    answer = (
        "The rent is 940 euros. Can I help further? Pets are not allowed without written consent."
        " The landlord is Herbert Kranz."
    )
    checked = check(answer, [BIKE, LEASE], question="What does the lease say?")
    assert [each.status for each in checked.sentences] == ["supported", "no claim", "supported", "unsupported"]
    rent, _, pets, landlord = checked.sentences
    for sentence, begins in ((rent, "The monthly rent"), (pets, "Pets are not allowed")):
        (stretch,) = sentence.evidence
        assert LEASE.text[stretch.start : stretch.end] == stretch.quote
        assert stretch.quote.startswith(begins)
        assert stretch.n in sentence.citations
    assert landlord.evidence == ()


def test_an_unsupported_sentence_shows_the_nearest_passage_as_such() -> None:
    checked = check("The monthly rent is 980 euros.", [BIKE, LEASE], question="How much is the rent?")
    assert not checked.grounded
    assert terms(checked) == ["980"]
    (citation,) = checked.citations
    assert (citation.chunk_id, citation.supported) == (11, False)


def test_without_sources_every_claim_is_marked_and_talk_is_not() -> None:
    checked = check("Hello! Lima is the capital of Peru. Can I help?", [], question="What is the capital of Peru?")
    assert marks(checked) == [True, False, True]
    assert not checked.grounded
    assert checked.citations == ()


@pytest.mark.parametrize("answer", ["", "Hello!", "How can I help you?", "# Answer", "Sure! Here is the list:"])
def test_what_claims_nothing_needs_no_source(answer: str) -> None:
    checked = check(answer, [LEASE], question="hello")
    assert checked.grounded
    assert not checked.found_nothing
    assert checked.citations == ()


def test_a_number_is_marked_even_where_nothing_is_claimed() -> None:
    for answer in ("Shall I add the 777 euros?", "# The 777 euros", "Your files don't say, but it is 777 euros."):
        checked = check(answer, [LEASE], question="How much is the rent?")
        assert terms(checked) == ["777"], answer
        assert not checked.grounded


def test_numbers_and_names_of_the_question_are_no_inventions_and_no_support() -> None:
    checked = check("Peter paid 777 euros for the car.", [LEASE], question="Did Peter pay 777 euros for the car?")
    assert terms(checked) == []
    assert marks(checked) == [False]


def test_a_bare_name_must_come_from_a_passage_that_speaks_of_the_matter() -> None:
    source = Passage("Present: Ruth Okafor, Jens Berg. Jens objected because the hall is booked.", "m.md")
    assert marks(check("Jens Berg", [source], question="Who objected to the hall?")) == [True]
    assert marks(check("Ruth Okafor", [source], question="Who took the minutes?")) == [False]


def test_what_the_question_brought_in_must_be_in_the_cited_passage() -> None:
    bearings = Passage("Running the machine with the bolts in place destroys the bearings.", "manual.pdf", chunk_id=1)
    filter_ = Passage("E18: the filter is blocked. Clean the filter.", "manual.pdf", chunk_id=2)
    claim = "E18 on the machine means that the bearings are destroyed."
    question = "What does E18 on the machine mean?"
    assert marks(check(claim, [bearings], question=question)) == [False]
    assert marks(check(claim, [bearings, filter_], question=question)) == [False]
    assert marks(check("E18 means that the filter is blocked.", [bearings, filter_], question=question)) == [True]
    paid = Passage("Anna paid 300 euros on 3 May.", "log.md", chunk_id=3)
    assert marks(check("It was Peter who paid 300 euros.", [paid], question="How much did Peter pay?")) == [False]
    assert marks(check("It was Anna who paid 300 euros.", [paid], question="How much did Anna pay?")) == [True]


def test_what_is_counted_is_not_settled_by_vectors() -> None:
    source = Passage("Plum cake: 250 g flour, 120 g butter.", "cake.md")
    checked = check("The plum cake has 250 calories.", [source], question="How many calories?", embed=Vectors("cake"))
    assert marks(checked) == [False]


def test_a_number_of_another_matter_supports_nothing() -> None:
    source = Passage("The rent is 940 euros.\n\nThe parking space costs 60 euros.", "a.md")
    checked = check("The rent is 60 euros.", [source], question="How much is it?")
    assert marks(checked) == [False]
    assert terms(checked) == [], "the number is in the source: not invented, but not said of the rent"


def test_saying_that_the_files_dont_say_is_found_nothing_unless_something_else_is_claimed() -> None:
    assert check("Your files don't say.", [LEASE], question="Who is the landlord?").found_nothing
    also = check("The rent is 940 euros. The landlord is not mentioned.", [LEASE], question="Landlord and rent?")
    assert not also.found_nothing
    assert also.grounded


def test_an_attachments_quote_gets_its_own_line() -> None:
    attached = Passage(
        "first\n\nThe rent is 940 euros.\nThe deposit is 1880 euros.\n", "lease.txt", locator=Locator(line=10)
    )
    checked = check("The deposit is 1880 euros.", [attached], question="How much is the deposit?")
    assert checked.citations[0].locator == Locator(line=13)


def test_headings_and_file_names_say_what_a_passage_is_about() -> None:
    source = Passage("Price: 1,249 EUR. Colour: grey.", "/x/touring-bike.md", heading_path=("Bicycle",), chunk_id=1)
    checked = check("The bike cost 1,249 euros.", [source], question="What was the price?")
    assert checked.grounded


def test_a_year_from_the_heading_completes_a_date() -> None:
    source = Passage("On 3 March the pump was replaced.", "diary.md", heading_path=("2024",), chunk_id=1)
    assert check("The pump was replaced on 3 March 2024.", [source]).grounded
    assert terms(check("The pump was replaced on 3 March 2023.", [source])) == ["3 March 2023"]


class Vectors:
    """Says that two texts are near when they were named together."""

    def __init__(self, *near: str) -> None:
        self.near = near
        self.history: list[list[str]] = []

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.history.append(list(texts))
        vectors = np.zeros((len(texts), len(texts) + 1), dtype=np.float32)
        for row, text in enumerate(texts):
            vectors[row, 0 if any(part in text for part in self.near) else row + 1] = 1.0
        return vectors


def test_vectors_settle_what_words_leave_open() -> None:
    answer = "The lodgings charge a monthly amount, payable early on the third day."
    words_only = check(answer, [LEASE], question="")
    near = Vectors("lodgings", "monthly rent")
    settled = check(answer, [LEASE], question="", embed=near)
    far = check(answer, [LEASE], question="", embed=Vectors("nothing"))
    assert (words_only.grounded, settled.grounded, far.grounded) == (False, True, False)
    assert len(near.history) == 1, "one call for all sentences"
    assert settled.citations[0].quote.startswith("The monthly rent")


@pytest.mark.parametrize("answer", ["The monthly rent is 980 euros.", "Pets are allowed.", "The rent is 940 euros."])
def test_vectors_are_not_asked_where_words_decide(answer: str) -> None:
    vectors = Vectors("")
    check(answer, [LEASE], question="What about the rent and pets?", embed=vectors)
    assert vectors.history == []


def test_marks_and_citation_numbers_of_the_model_change_nothing() -> None:
    checked = check("**The rent** is `940` euros [3].", [LEASE], question="How much is the rent?")
    assert checked.grounded
    assert terms(checked) == []
