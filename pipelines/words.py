"""Words as they are compared: split, folded, stemmed; which of them carry meaning.

Knows English best (stems, irregular forms, function words); words of other languages are compared as they are
written, folded to lower case without accents.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from functools import lru_cache

WORD = re.compile("[^\\W_]+(?:['\u2019][^\\W\\d_]+)?")
"""A word with the short form that hangs on it: `don't`, `Mimi's`, `l'eau`."""

_STEMMER = threading.local()  # a Stemmer object must not be shared between threads


def fold(text: str) -> str:
    """Lower case, no accents, typographic apostrophes straightened. May change the text's length."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.replace("\u2019", "'").casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))


@lru_cache(maxsize=32_768)
def stem(word: str) -> str:
    """What a word has in common with its other forms: `payments` and `payment`, `bought` and `buy`."""
    folded = fold(word)
    for ending in ("'s", "s'", "n't"):
        folded = folded.removesuffix(ending)
    stemmer = getattr(_STEMMER, "english", None)
    if stemmer is None:
        import Stemmer

        stemmer = _STEMMER.english = Stemmer.Stemmer("english")
    stemmed: str = stemmer.stemWord(_BASE_FORMS.get(folded, folded))
    return stemmed


def content_stems(text: str) -> tuple[str, ...]:
    """The stems of the words that carry meaning, each once, in the order of their first use."""
    return tuple(dict.fromkeys(stem(word) for word in WORD.findall(text) if carries_meaning(word)))


@lru_cache(maxsize=32_768)
def carries_meaning(word: str) -> bool:
    """Whether a word is more than grammar: `rent` is, `the` is not."""
    folded = fold(word)
    return folded not in FUNCTION_WORDS and (len(folded) > 1 or folded.isdigit() or not folded.isascii())


def word_set(words: str) -> frozenset[str]:
    """The words of a text, for lists that are easier to read as one."""
    return frozenset(words.split())


NEGATIONS = word_set("""
not no never none nothing nobody neither nor without cannot cant isn't aren't wasn't weren't don't doesn't didn't won't
wouldn't shouldn't couldn't can't hasn't haven't hadn't mustn't needn't
""")

FUNCTION_WORDS = NEGATIONS | word_set("""
a about above after again against all also am an and any anyone anything are as at be because been before being below
between both but by can could did do does doing done down during each either else ever every few for from further get
gets getting give given go goes going got had has have having he her here hers herself him himself his how however i
i'd i'll i'm i've if in into is it it'd it'll it's its itself just kind let let's like many may maybe me might mine
more most much must my myself need of off on once one only onto or other our ours ourselves out over own per perhaps
please quite rather really say says said see shall she she's should show so some someone something still such tell
than that that's the their theirs them themselves then there there's these they they're thing things this those
through to too under until up upon us very via want was we we're well were what what's when where where's whether
which while who who's whom whose why will with within would yes yet you you'd you'll you're you've your yours yourself
""")


def _base_forms(table: str) -> dict[str, str]:
    return {form: base for base, *forms in (line.split() for line in table.strip().splitlines()) for form in forms}


# Forms that no stemmer brings together: first the base, then the forms.
_BASE_FORMS = _base_forms("""
arise arose arisen
bear bore borne
beat beaten
become became
begin began begun
bend bent
bite bit bitten
bleed bled
blow blew blown
break broke broken
bring brought
build built
buy bought
catch caught
child children
choose chose chosen
come came
deal dealt
die died dying dead
dig dug
draw drew drawn
drink drank drunk
drive drove driven
eat ate eaten
fall fell fallen
feed fed
feel felt
fight fought
find found
fly flew flown
foot feet
forbid forbade forbidden
forget forgot forgotten
freeze froze frozen
grow grew grown
half halves
hang hung
hear heard
hide hid hidden
hold held
keep kept
knife knives
know knew known
lay laid
lead led
leave left
lend lent
life lives
lose lost
make made
man men
mean meant
meet met
mouse mice
pay paid
person people persons
ride rode ridden
ring rang rung
rise rose risen
run ran
sell sold
send sent
shake shook shaken
shine shone
shoot shot
sing sang sung
sink sank sunk
sit sat
sleep slept
slide slid
sow sowed sown
speak spoke spoken
spend spent
stand stood
steal stole stolen
stick stuck
strike struck
swim swam swum
take took taken
teach taught
think thought
throw threw thrown
tooth teeth
understand understood
wake woke woken
wear wore worn
weigh weight
win won
wind wound
woman women
write wrote written
""")
