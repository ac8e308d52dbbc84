"""Two ways of writing a number, a date, a time or a code are one."""

from __future__ import annotations

import pytest

from pipelines.quantities import Quantity, find_quantities


def only(text: str) -> Quantity:
    (found,) = find_quantities(text)
    return found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1,250.00", "1250"),
        ("1.250,00", "1250"),
        ("1.250", "1250"),
        ("1.250", "1.25"),
        ("12 000", "12000"),
        ("12\u202f000", "12000"),
        ("1.5 million", "1,500,000"),
        ("12k", "12000"),
        ("€940", "940 euros"),
        ("EUR 940", "940 €"),
        ("15%", "15 percent"),
        ("15 per cent", "15 %"),
        ("250g", "250 grams"),
        ("twenty-five", "25"),
        ("two hundred and fifty", "250"),
        ("a dozen", "12"),
        ("third", "3rd"),
        ("3 March 2024", "2024-03-03"),
        ("March 3rd, 2024", "3.3.2024"),
        ("03/04/2024", "3 April 2024"),
        ("03/04/2024", "4 March 2024"),
        ("3. März 2024", "2024-03-03"),
        ("14:30", "2:30 pm"),
        ("02:30", "2:30 am"),
        ("2 p.m.", "14:00"),
        ("INV-2024-113", "inv-2024_113"),
    ],
)
def test_the_same_is_the_same(one: str, other: str) -> None:
    assert only(one).says_same(only(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1,250", "1.25"),
        ("0.125", "125"),
        ("940 euros", "940 dollars"),
        ("3 hours", "3 days"),
        ("15%", "15 kg"),
        ("1.5 million", "1.5 billion"),
        ("3 March 2024", "2024-03-04"),
        ("3 March 2024", "March 2024"),
        ("14:30", "2:30 am"),
        ("E17", "E18"),
        ("2.4.1", "2.4.2"),
    ],
)
def test_what_differs_differs(one: str, other: str) -> None:
    assert not only(one).says_same(only(other))


def test_a_part_of_a_date_is_in_the_whole_date() -> None:
    whole = only("2024-03-03")
    assert only("March 2024").says_same(whole)
    assert only("3 March").says_same(whole)
    assert only("2024").says_same(whole)
    assert not only("2023").says_same(whole)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("one of them may come in march", []),
        ("I paid 12 euros on 3 May at 5 pm.", ["12", "3 May", "5 pm"]),
        ("call +49 30 1234567 or a.b@c.de", ["49", "30", "1234567", "a.b@c.de"]),
        ("see https://example.org/a1, please", ["https://example.org/a1"]),
        ("from 10-12 eggs to 1/2", ["10", "12", "1", "2"]),
        ("host 192.168.1.10, list 1,2,3", ["192.168.1.10", "1,2,3"]),
        ("It runs at 3 am. Then it stops.", ["3 am"]),
    ],
)
def test_what_is_found(text: str, found: list[str]) -> None:
    assert [each.text for each in find_quantities(text)] == found


@pytest.mark.parametrize("text", ["a" * 20_000, "a." * 10_000, "a-" * 10_000 + "1", "1," * 10_000, "five " * 4_000])
def test_hostile_text_is_read_to_its_end(text: str) -> None:
    """With a pattern that backtracks these would not come back before the suite's time limit."""
    last = find_quantities(f"{text} and then 42 litres")[-1]
    assert (last.text, last.unit) == ("42", "litre")


@pytest.mark.parametrize(
    ("mine", "source"),
    [
        ("two years", "24 months"),
        ("85 cents", "0.85 euros"),
        ("1.2 kg", "1,200 g"),
        ("2.5 hours", "two and a half hours"),
        ("90 minutes", "1.5 hours"),
        ("from September 16 to 20, 2024", "16 to 20 September 2024"),
        ("16-20 September", "from 16 to 20 September 2024"),
        ("5.1 million", "from 5.1 to 4.4 million euros"),
        ("until 1 August", "paid by 1 August."),
    ],
)
def test_the_same_in_other_words_or_units(mine: str, source: str) -> None:
    theirs = find_quantities(source)
    assert find_quantities(mine)
    assert all(any(each.says_same(other) for other in theirs) for each in find_quantities(mine))


@pytest.mark.parametrize(
    ("mine", "source"),
    [("400 g", "400 mg"), ("46 billion", "46 million"), ("$46", "46 euros"), ("two weeks", "2 months")],
)
def test_another_unit_is_another_quantity(mine: str, source: str) -> None:
    assert not any(a.says_same(b) for a in find_quantities(mine) for b in find_quantities(source))


def test_may_without_a_capital_is_no_month() -> None:
    assert [each.text for each in find_quantities("Children under 12 may take it.")] == ["12"]
