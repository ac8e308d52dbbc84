"""A made collection of passages that only their letters tell apart, and the queries that must find them.

Each target has neighbours which share its words, its vector or most of its letters: the invoice with the next
number, the function with another verb, the person with the same surname, the account with another last group.
Queries spell the target as people do: with other separators, without accents, with a slip of the finger, in part.
Always the same for the same seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExactCase:
    """One query and the passage that it must find."""

    category: str
    query: str
    passage: int
    """Index into the passages."""


@dataclass(frozen=True, slots=True)
class ExactCorpus:
    passages: tuple[str, ...]
    cases: tuple[ExactCase, ...]


Spellings = Sequence[tuple[str, str]]
"""(how a passage has it, how a query has it)."""

_VERBS = [
    "get",
    "set",
    "load",
    "save",
    "send",
    "parse",
    "merge",
    "split",
    "fetch",
    "store",
    "check",
    "build",
    "clear",
    "close",
    "count",
]
_NOUNS = [
    "user",
    "order",
    "invoice",
    "session",
    "report",
    "account",
    "token",
    "batch",
    "folder",
    "window",
    "buffer",
    "channel",
    "record",
    "filter",
]
_PARTS = ["name", "list", "count", "state", "index", "owner", "limit", "total", "cache", "label", "range", "scope"]
_FIRST = [
    "Anna",
    "Bram",
    "Chiara",
    "Dmitri",
    "Elif",
    "Farid",
    "Greta",
    "Hanna",
    "Ivo",
    "Jelena",
    "Katarzyna",
    "Lars",
    "Milan",
    "Noor",
    "Oskar",
    "Petra",
]
_LAST = [
    "Wojciechowska",
    "Lindqvist",
    "Brennan",
    "Achterberg",
    "Okonkwo",
    "Villanueva",
    "Tanaka",
    "Rosenthal",
    "Kuznetsova",
    "Delacroix",
    "Marchetti",
    "Hofstadter",
    "Bjarnason",
    "Szymanski",
    "Papadakis",
    "Nakamura",
]
_UMLAUTS = [
    "Müller",
    "Schröder",
    "Jäger",
    "Groß",
    "Königsmann",
    "Fröhlich",
    "Bäumler",
    "Weißenfels",
    "Höß",
    "Grünwald",
    "Köhler",
    "Strößner",
]
_COMPOUNDS = (
    ("Haftpflicht", "versicherung"),
    ("Kündigungs", "frist"),
    ("Grundsteuer", "bescheid"),
    ("Heizkosten", "abrechnung"),
    ("Mietvertrags", "verlängerung"),
    ("Donaudampfschiff", "gesellschaft"),
    ("Krankenkassen", "beitrag"),
    ("Sonnenblumen", "kerne"),
    ("Feuerwehr", "leiter"),
    ("Wasserschaden", "meldung"),
)
_RARE_WORDS = [
    "accommodation",
    "bougainvillea",
    "cinnamon",
    "desalination",
    "embroidery",
    "fermentation",
    "galvanised",
    "hydrangea",
    "isotherm",
    "juxtaposition",
    "kaleidoscope",
    "limestone",
    "mezzanine",
    "nasturtium",
    "oscilloscope",
    "parchment",
    "quarantine",
    "rhododendron",
    "stalactite",
    "taxidermy",
    "upholstery",
    "ventilation",
    "watercolour",
    "xylophone",
    "yachting",
    "zeppelin",
]
_UNSPACED = (
    ("東京タワー", "昨日は{}に行って、夜景を見ました。天気はとても良かったです。"),
    ("大阪城", "週末に{}を訪れて、たくさんの写真を撮りました。"),
    ("京都駅", "明日の朝九時に{}で待ち合わせをしましょう。"),
    ("契約書", "弊社の{}は来月末までに更新する必要があります。"),
    ("請求書", "先月の{}はまだ支払われていないようです。"),
    ("身份证", "办理手续时请带好您的{}和两张照片。"),
    ("火车票", "我昨天在网上买了两张去上海的{}。"),
    ("图书馆", "学校旁边的新{}下个月才开放。"),
    ("人工智能", "很多公司正在研究{}的新用途。"),
    ("租赁合同", "房东要求我们在周五之前签好{}。"),
    ("โรงพยาบาล", "แม่ของฉันทำงานที่{}ใกล้บ้านมาหลายปีแล้ว"),
    ("สนามบิน", "เราต้องออกไป{}ตอนตีห้าพรุ่งนี้"),
    ("대학교", "여동생은 서울에 있는 {}에서 공부합니다."),
    ("지하철역", "우리 집은 {}에서 걸어서 오 분 걸립니다."),
)
_CONTEXTS = (
    "The log of the night shift mentions {} twice, and nobody has looked into it since.",
    "Please see {} before the meeting; the rest of the folder can wait until next week.",
    "We talked about {} on the telephone and agreed to come back to it in the spring.",
    "{} was copied from the old system when the office moved to the second floor.",
    "There is a note on the wall next to the printer that says {} in red letters.",
    "As far as I can tell {} has not changed since the auditors were here last year.",
)
_FILLER = (
    "The garden needs water in the evening when the sun is behind the house.",
    "Somebody left the window of the store room open and the rain came in.",
    "The bakery at the corner opens at six, and the first bread is gone by seven.",
    "Our neighbours have built a shed for their bicycles and painted it green.",
    "The train was late again, so the second half of the meeting was short.",
    "A letter from the town hall says that the street will be closed in May.",
    "The children found a box of old photographs under the stairs.",
    "It is said that the mill by the river was built before the church.",
)


def make_exact_corpus(targets_a_category: int, *, seed: int = 7) -> ExactCorpus:
    """Some six passages and one or two queries for each target; twenty categories."""
    return _Maker(targets_a_category, random.Random(seed)).corpus()


class _Maker:
    def __init__(self, targets: int, chance: random.Random) -> None:
        self._targets = targets
        self._chance = chance
        self._passages: list[str] = []
        self._cases: list[ExactCase] = []

    def corpus(self) -> ExactCorpus:
        categories: dict[str, Callable[[int], tuple[Spellings, Sequence[str]]]] = {
            "error code": self._error_code,
            "version": self._version,
            "snake case": self._snake_case,
            "camel case": self._camel_case,
            "path": self._path,
            "hash": self._hash,
            "e-mail address": self._email,
            "telephone": self._telephone,
            "IBAN": self._iban,
            "invoice number": self._invoice,
            "amount": self._amount,
            "decimal": self._decimal,
            "date": self._date,
            "name": self._name,
            "phrase": self._phrase,
            "typo": self._typo,
            "umlaut": self._umlaut,
            "compound": self._compound,
        }
        for category, make in categories.items():
            for n in range(self._targets):
                spellings, neighbours = make(n)
                self._add(category, spellings, neighbours)
        for name, sentence in _UNSPACED:
            self._cases.append(ExactCase("no spaces", name, len(self._passages)))
            self._passages.append(sentence.format(name))
        order = list(range(len(self._passages)))
        self._chance.shuffle(order)
        place = {old: new for new, old in enumerate(order)}
        return ExactCorpus(
            tuple(self._passages[old] for old in order),
            tuple(ExactCase(case.category, case.query, place[case.passage]) for case in self._cases),
        )

    def _add(self, category: str, spellings: Spellings, neighbours: Sequence[str]) -> None:
        """One passage a pair of spellings, found by its query, and one a neighbour."""
        contexts = list(_CONTEXTS)
        self._chance.shuffle(contexts)
        written = dict.fromkeys(has for has, _ in spellings)
        for has in written:
            for other_has, query in spellings:
                if other_has == has:
                    self._cases.append(ExactCase(category, query, len(self._passages)))
            self._passages.append(self._passage(contexts[0].format(has)))
        for at, neighbour in enumerate(neighbours):
            # The first neighbours stand in the very sentence of the target.
            self._passages.append(self._passage(contexts[0 if at < 2 else at % len(contexts)].format(neighbour)))

    def _passage(self, sentence: str) -> str:
        around = self._chance.sample(_FILLER, 2)
        around.insert(self._chance.randrange(3), sentence)
        return " ".join(around)

    def _numbers(self, n: int, width: int) -> tuple[str, list[str]]:
        """A number of its own for each target, and four that are near it."""
        number = 10 ** (width - 1) + 37 * n + self._chance.randrange(30)
        near = [number + 1, number - 1, number + 10, int(str(number)[::-1])]
        return str(number), [str(each) for each in near if each != number]

    def _error_code(self, n: int) -> tuple[Spellings, Sequence[str]]:
        area = _NOUNS[n % len(_NOUNS)].upper()
        number, near = self._numbers(n, 4)
        code = f"ERR_{area}_{number}"
        queries = [code, f"what does {code} mean?", f"err {area.lower()} {number}"]
        return [(code, self._chance.choice(queries))], [f"ERR_{area}_{each}" for each in near]

    def _version(self, n: int) -> tuple[Spellings, Sequence[str]]:
        major, minor, patch = 1 + n % 4, 10 + n, self._chance.randrange(10)
        version = f"v{major}.{minor}.{patch}"
        queries = [version, version[1:], f"what changed in version {version[1:]}?"]
        near = [f"v{major}.{minor}.{(patch + 3) % 10}", f"v{major + 5}.{minor}.{patch}", f"v{minor}.{major}.{patch}"]
        return [(version, self._chance.choice(queries))], near

    def _identifier(self, n: int) -> tuple[list[str], list[list[str]]]:
        verb, noun, part = _VERBS[n % 15], _NOUNS[(n // 3) % 14], _PARTS[(n * 5) % 12]
        other = [[_VERBS[(n + 4) % 15], noun, part], [verb, _NOUNS[(n // 3 + 3) % 14], part], [noun, verb, part]]
        return [verb, noun, part], other

    def _snake_case(self, n: int) -> tuple[Spellings, Sequence[str]]:
        words, near = self._identifier(n)
        return [("_".join(words), "_".join(words))], ["_".join(each) for each in near]

    def _camel_case(self, n: int) -> tuple[Spellings, Sequence[str]]:
        words, near = self._identifier(n)
        words, near = [*words, "Async"], [[*each, "Async"] for each in near]

        def camel(parts: Sequence[str]) -> str:
            return parts[0] + "".join(part.capitalize() for part in parts[1:])

        query = self._chance.choice([camel(words), "_".join(words).lower(), " ".join(words).lower()])
        return [(camel(words), query)], [camel(each) for each in near]

    def _path(self, n: int) -> tuple[Spellings, Sequence[str]]:
        noun = _NOUNS[n % 14]
        path = f"/srv/{noun}/site-{n}/conf.d/{_PARTS[n % 12]}.yaml"
        near = [f"/srv/{noun}/site-{n + 100}/conf.d/{_PARTS[n % 12]}.yaml", f"/srv/{noun}/site-{n}/conf.d/main.yaml"]
        return [(path, path)], near

    def _hash(self, n: int) -> tuple[Spellings, Sequence[str]]:
        digest = f"{self._chance.getrandbits(160):040x}"
        return [(digest, digest)], [digest[:-1] + ("0" if digest[-1] != "0" else "1"), digest[:7], f"commit {n:040x}"]

    def _email(self, n: int) -> tuple[Spellings, Sequence[str]]:
        first, last = _FIRST[n % 16].lower(), _LAST[(n * 3) % 16].lower()
        address = f"{first}.{last}{n}@example.org"
        near = [f"{first}.{last}{n + 1}@example.org", f"{last}.{first}{n}@example.org", f"{first}.{last}{n}@mail.test"]
        return [(address, self._chance.choice([address, f"who is {address}?"]))], near

    def _telephone(self, n: int) -> tuple[Spellings, Sequence[str]]:
        end = 1_234_567 + 1_013 * n
        groups = f"{end // 10_000} {end % 10_000:04}"
        written = [f"+49 (0)30 {groups}", f"030/{end}", f"+49 30 {groups.replace(' ', '-')}"]
        asked = [f"+4930{end}", f"030 {groups}", f"{end}"]
        has = written[n % 3]
        return [(has, asked[(n // 3) % 3])], [
            has.replace(str(end % 10_000).zfill(4), "0007"),
            f"0{n % 90 + 10}/{end + 9}",
        ]

    def _iban(self, n: int) -> tuple[Spellings, Sequence[str]]:
        groups = ["DE89", "3704", "0044", f"{532 + n:04}", f"{130 + 7 * n:04}", "00"]
        close, joined = " ".join(groups), "".join(groups)
        near = [" ".join([*groups[:4], f"{131 + 7 * n:04}", "00"]), " ".join([*groups[:3], "0999", *groups[4:]])]
        return [(close, joined) if n % 2 else (joined, close)], near

    def _invoice(self, n: int) -> tuple[Spellings, Sequence[str]]:
        number, near = self._numbers(n, 4)
        year = 2020 + n % 6
        has = f"INV-{year}-{number}"
        queries = [has, has.replace("-", ""), has.lower(), f"INV {year} {number}", f"invoice {year}/{number}"]
        return [(has, self._chance.choice(queries))], [f"INV-{year}-{each}" for each in near]

    def _amount(self, n: int) -> tuple[Spellings, Sequence[str]]:
        amount = 1_250 + 1_111 * n
        written = [
            f"{amount:,}.00 EUR",
            f"{amount:,}".replace(",", ".") + ",00 EUR",
            f"{amount} EUR",
            f"{amount:,} EUR",
        ]
        asked = [f"{amount}", f"{amount:,}.00", f"{amount:,}", f"{amount:,}".replace(",", ".") + ",00"]
        near = [f"{amount + 1:,}.00 EUR", f"{amount // 10} EUR", f"{amount + 1000:,} EUR"]
        return [(written[n % 4], asked[(n // 4 + n) % 4])], near

    def _decimal(self, n: int) -> tuple[Spellings, Sequence[str]]:
        whole, part = 12 + n, 11 + 7 * n % 80
        written = [f"{whole}.{part:02}", f"{whole},{part:02}"]
        near = [f"{whole}.{(part + 30) % 100:02}", f"{part}.{whole:02}", f"{whole}{part:02}"]
        return [(written[n % 2], written[(n // 2) % 2])], near

    def _date(self, n: int) -> tuple[Spellings, Sequence[str]]:
        year, month, day = 1990 + n, 1 + n % 12, 1 + (7 * n) % 28
        written = f"{year}-{month:02}-{day:02}"
        near = [
            f"{year}-{month % 12 + 1:02}-{day:02}",
            f"{year + 40}-{month:02}-{day:02}",
            f"{year}-{month:02}-{day % 28 + 1:02}",
        ]
        return [
            (written, self._chance.choice([written, written.replace("-", "/"), f"what happened on {written}?"]))
        ], near

    def _name(self, n: int) -> tuple[Spellings, Sequence[str]]:
        first, last = _FIRST[n % 16], _LAST[(n // 16 * 5 + n) % 16]
        middle = chr(ord("A") + n % 26)
        name = f"{first} {middle}. {last}-{_LAST[(n + 7) % 16]}"
        queries = [name, name.lower(), f"what did {name} say?"]
        near = [f"{first} {last}", f"{_FIRST[(n + 5) % 16]} {last}", f"{first} {_LAST[(n + 7) % 16]}"]
        return [(name, self._chance.choice(queries))], near

    def _phrase(self, n: int) -> tuple[Spellings, Sequence[str]]:
        one, other, third = _PARTS[n % 12], _NOUNS[(n * 3) % 14], _VERBS[(n * 7) % 15]
        phrase = f"the {one} of the {other} will {third} the {_NOUNS[(n * 5 + 1) % 14]}"
        near = [
            f"the {other} of the {one} will {third} the {_NOUNS[(n * 5 + 1) % 14]}",
            f"the {_NOUNS[(n * 5 + 1) % 14]} of the {one} will {third} the {other}",
            f"the {one} will {third} the {other} of the {_NOUNS[(n * 5 + 1) % 14]}",
        ]
        return [(phrase, f'"{phrase}"')], near

    def _typo(self, n: int) -> tuple[Spellings, Sequence[str]]:
        word = _RARE_WORDS[n % len(_RARE_WORDS)]
        with_number = f"the {word} number {n // len(_RARE_WORDS) + 1}" if n >= len(_RARE_WORDS) else f"the {word}"
        at = self._chance.randrange(1, len(word) - 2)
        slips = [
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
        ]
        slip = next((each for each in slips[n % 3 :] + slips if each != word), word)
        return [(with_number, slip)], []

    def _umlaut(self, n: int) -> tuple[Spellings, Sequence[str]]:
        first, name = _FIRST[(n * 3) % 16], _UMLAUTS[n % len(_UMLAUTS)]
        has = f"{first} {name}{'er' * (n // len(_UMLAUTS))}"
        plain = str.maketrans({"ä": "a", "ö": "o", "ü": "u", "ß": "ss"})
        german = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
        asked = [has.translate(german), has.translate(plain), has.upper()]
        written = has.translate(german) if n % 4 == 3 else has
        query = has if n % 4 == 3 else asked[n % 3]
        return [(written, query)], [f"{_FIRST[(n * 3 + 1) % 16]} Mahler", f"{first} Moll"]

    def _compound(self, n: int) -> tuple[Spellings, Sequence[str]]:
        first, second = _COMPOUNDS[n % len(_COMPOUNDS)]
        number = f" {n // len(_COMPOUNDS)}" if n >= len(_COMPOUNDS) else ""
        compound = first + second
        bare = first.removesuffix("s") if first in ("Kündigungs", "Mietvertrags") else first
        plural = compound + ("n" if compound.endswith(("e", "er")) else "en")
        asked = [compound + number, f"{bare} {second}{number}", plural + number]
        return [(compound + number, asked[(n // 2) % 3])], [f"{bare}plan", f"Ober{second}"]


def by_category(cases: Sequence[ExactCase]) -> Iterator[tuple[str, list[ExactCase]]]:
    for category in dict.fromkeys(case.category for case in cases):
        yield category, [case for case in cases if case.category == category]
