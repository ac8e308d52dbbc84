"""What counts as a name."""

from __future__ import annotations

import pytest

from pipelines.names import find_names


def names(text: str) -> list[str]:
    return [each.text for each in find_names(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The bike came from Radhaus Lindner in May.", ["Radhaus Lindner", "May"]),
        ("Peter signed the contract.", ["Peter"]),
        ("Maria's cat is ill.", ["Maria"]),
        ("It was J. Smith, not Dr. Brandt.", ["J. Smith", "Dr. Brandt"]),
        ("We met on Monday in Berlin.", ["Monday", "Berlin"]),
        ("The NAS sends it to IBM.", ["NAS", "IBM"]),
        ("Unfortunately, the rent is due. Payments are late.", []),
        ("Members pay less. Tenants pay more. Cleaning is extra.", []),
        ("- Rent: high\n- Unlimited use", []),
        ("I think that I am fine.", []),
        ("The rent is 940 euros.", []),
        ("Die Miete wird am Anfang des Monats mit der Kaution gezahlt, und das ist nicht viel.", ["Die Miete"]),
    ],
)
def test_names(text: str, found: list[str]) -> None:
    assert names(text) == found


def test_a_name_knows_its_place_and_its_words() -> None:
    (name,) = find_names("It was Ruth Okafor's idea.")
    assert (name.words, name.certain) == (("ruth", "okafor"), True)
    assert "It was Ruth Okafor's idea."[name.start : name.end] == "Ruth Okafor's"
