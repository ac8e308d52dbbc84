"""Names in a text: words that their capital, and not their place, makes stand out. Pure.

At the beginning of a sentence a capital says nothing, so there a word counts as a name unless it looks like an
ordinary word: by what follows it, by its ending, or because a list of common openings has it. That errs towards
calling a word a name; whoever asks compares it with the sources, where an ordinary word is mostly found.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipelines.quantities import MONTHS, WEEKDAYS
from pipelines.words import FUNCTION_WORDS, WORD, fold, word_set


@dataclass(frozen=True, slots=True)
class Name:
    text: str
    """One capitalised word, or several that stand together."""
    words: tuple[str, ...]
    """Folded, without a possessive ending."""
    start: int
    end: int
    certain: bool = True
    """False at the beginning of a sentence, where the capital may be the sentence's."""


_GERMAN = word_set(
    "der die das den dem des und ist sind nicht ein eine einen einem mit von zu auf für im am wird wurde"
)
MIN_GERMAN_SHARE = 0.15
"""A text with more of these among its words is German, whose nouns all have capitals: one says nothing there."""

_OPENING = re.compile(r"(?:^|[.!?:;…]|[\n|*_>(\"\u201c\u2018\u00ab-])[\s\"'(*_\u201c\u2018\u00ab\[#>|-]*$")
_ORDINARY_ENDINGS = re.compile(
    r"(?:ly|tion|tions|sion|sions|ment|ments|ness|ing|ings|ity|ities|ance|ence|ism|ers|ors|ants|ents|ages|ables|ures"
    r"|ions|ships?|ed|ful|less|able|ible|ous|ives?|als|ists|ware|body|thing|where|ever|ward|wards)$"
)
_VERBS_AFTER = word_set("""
is was are were has had have did does do will would can could should may might must said says paid pays signed wrote
writes asked bought sold made came went took got gave moved works worked lives lived proposed objected opposed called
sent met joined left agreed brought told
""")

ORDINARY_OPENINGS = word_set("""
additionally although alternatively another answer anyway apparently based besides both certainly clearly completely
consequently currently depending despite details during each either entry error errors example except finally first
firstly following for furthermore generally given good great hello hence hi however ideally if important in include
includes including initially instead it item items last lastly later let likewise meanwhile moreover most near
nevertheless next no none note nothing notably now occasionally of often ok okay on once only open optionally or other
otherwise overall passage passages per perhaps please possibly press previously probably question rather reason
regarding remember result results same second secondly see set several similarly simply since so some sometimes source
sources specifically step steps still such summary sure table take thank thanks that the then there therefore these
they third this though thus tip today together tomorrow total two typically under unfortunately unless until use used
usually what when where whereas whether while with within without yes yesterday you your sorry date time place name
price cost amount number page file files document text section according people someone everyone everything anyone
money water food house home room day week month year morning evening night keep make put add turn check clean remove
replace wait call ask bring find go run start stop switch close restart reset pets dogs cats children guests users
customers tenants members payments documents photos pictures letters rules changes repairs costs prices orders
meetings plants tools parts
""")
"""Words that open sentences often and are no names."""

_NO_NAMES = word_set("i ok am pm tv pdf faq url id ids eur usd gbp chf note warning")


def find_names(text: str) -> list[Name]:
    """Names in order of place. Months and weekdays standing alone count as names; numbers never do."""
    words = list(WORD.finditer(text))
    german = sum(fold(w[0]) in _GERMAN for w in words) > MIN_GERMAN_SHARE * len(words)
    names: list[Name] = []
    index = 0
    while index < len(words):
        group = _group_at(text, words, index)
        index += max(1, len(group))
        if not group:
            continue
        first = group[0]
        opens = _opens_sentence(text, first.start())
        group = group[1:] if opens and len(group) > 1 and _is_ordinary(first[0]) else group
        opens = opens and group[0] is first
        if len(group) == 1 and opens and not _looks_like_name(text, group[0]):
            continue
        if german and len(group) == 1 and not (group[0][0].isupper() and len(group[0][0]) > 1):
            continue
        start, end = group[0].start(), group[-1].end()
        folded = tuple(_without_possessive(fold(w[0])) for w in group)
        names.append(
            Name(_without_possessive(text[start:end]), folded, start, end, certain=not opens or len(group) > 1)
        )
    return names


def _group_at(text: str, words: list[re.Match[str]], index: int) -> list[re.Match[str]]:
    """Capitalised words that follow each other with nothing but a space, a hyphen or an ampersand between."""
    group: list[re.Match[str]] = []
    for word in words[index:]:
        if not _is_capitalised(word[0]):
            break
        if group and text[group[-1].end() : word.start()] not in (" ", "-", " & ", ". "):
            break
        if group and text[group[-1].end() : word.start()] == ". " and len(group[-1][0]) > 2:
            break  # the end of a sentence, not `J. Smith` or `Dr. Smith`
        group.append(word)
    return group


def _is_capitalised(word: str) -> bool:
    return word[0].isupper() and not any(c.isdigit() for c in word) and fold(word) not in _NO_NAMES


def _opens_sentence(text: str, start: int) -> bool:
    return bool(_OPENING.search(text, max(0, start - 12), start)) or not text[:start].strip()


def _is_ordinary(word: str) -> bool:
    folded = fold(word)
    return folded in FUNCTION_WORDS or folded in ORDINARY_OPENINGS


def _looks_like_name(text: str, word: re.Match[str]) -> bool:
    folded = _without_possessive(fold(word[0]))
    if word[0].isupper() and len(word[0]) > 1:
        return folded not in FUNCTION_WORDS
    if _is_ordinary(word[0]) or len(folded) < 2:
        return False
    if folded in MONTHS or folded in WEEKDAYS or folded != fold(word[0]):
        return True
    following = WORD.search(text, word.end())
    if following and fold(following[0]) in _VERBS_AFTER and text[word.end() : following.start()] == " ":
        return not _ORDINARY_ENDINGS.search(folded)
    return not _ORDINARY_ENDINGS.search(folded) and not (following and text[word.end() : following.start()] == ": ")


def _without_possessive(text: str) -> str:
    return re.sub(r"['\u2019]s?$", "", text)
