"""Write a mixed library: documents, pictures with and without text, spoken notes, and questions with their answers.

Everything is about the same things (a boiler, a lease, a choir, …), and each fact about a thing stands in one file of
one kind, while files of the other kinds tell other facts about it: whoever looks for one kind only, or lets one kind
drown the others, finds the wrong file. Names of files say nothing. The same number gives the same library, with the
same fonts and the same voice. Knows nothing of homebody but its drawn scenes.
"""

from __future__ import annotations

import random
import subprocess
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageFont

from scripts.scenes import FONT, draw, held_out_scenes

SEED = 77
THINGS = (
    "boiler", "lease", "bicycle", "piano", "garden shed", "washing machine", "tax return", "kitchen", "heat pump",
    "wedding", "choir", "football club", "solar panels", "chimney", "fridge", "sofa", "tent", "camera", "printer",
    "budget", "website", "newsletter", "workshop", "warehouse", "insurance", "passport", "dentist", "school trip",
    "holiday", "car", "library card", "telephone contract", "roof", "dog", "bathroom", "balcony", "cellar", "bakery",
    "ferry", "museum",
)  # fmt: skip
PEOPLE = ("Miller", "Baker", "Cooper", "Taylor", "Fisher", "Carter", "Walker", "Hunter", "Mason", "Porter", "Turner",
          "Parker")  # fmt: skip
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November")


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that can be asked about any of THINGS, as it is asked and as it is told."""

    asked: str
    told: tuple[str, str, str]
    """In a document, on a picture, by a voice: each in its own words."""


FACTS = (
    Fact(
        "who repaired the {thing}",
        (
            "After two weeks {person} came and put the {thing} in order again; nobody else was called.",
            "{thing}: fixed by {person}",
            "By the way, it was {person} who mended the {thing} in the end.",
        ),
    ),
    Fact(
        "how much did the {thing} cost",
        (
            "Altogether the price of the {thing} came to {amount} euros, with all extras included.",
            "{thing} ... {amount}.00\nTOTAL {amount}.00 EUR",
            "So we paid {amount} euros for the {thing}, that was the whole price.",
        ),
    ),
    Fact(
        "when is the appointment about the {thing}",
        (
            "The date for the {thing} has been fixed: {day} {month}, at nine in the morning.",
            "APPOINTMENT {day} {month}\nsubject: {thing}",
            "Please remember the appointment about the {thing}, it is on {month} {day}.",
        ),
    ),
    Fact(
        "where are the papers of the {thing} kept",
        (
            "All papers that belong to the {thing} lie in the {place}, in the blue folder.",
            "papers {thing}\n-> {place}",
            "And the papers for the {thing} are in the {place}, I have put them there.",
        ),
    ),
    Fact(
        "what was decided about the {thing}",
        (
            "As to the {thing}, the meeting decided to {deed} and to come back to it in {month}.",
            "DECISION: {deed}\n({thing}, {month})",
            "About the {thing} we have decided to {deed}, everybody agreed.",
        ),
    ),
    Fact(
        "what is wrong with the {thing}",
        (
            "There is a fault that keeps coming back with the {thing}: {fault}.",
            "WARNING {thing}\n{fault}",
            "I have noticed a problem with the {thing}, {fault}.",
        ),
    ),
    Fact(
        "whom do I have to call because of the {thing}",
        (
            "Questions about the {thing} are answered by {person}, extension {amount}.",
            "{thing}\ncall {person}\nextension {amount}",
            "If there is anything with the {thing}, ring {person} at extension {amount}.",
        ),
    ),
    Fact(
        "how old is the {thing}",
        (
            "The {thing} goes back to {year}, so it has served for a good while.",
            "{thing}\nsince {year}",
            "The {thing} is from {year}, older than I thought.",
        ),
    ),
)
PLACES = ("cellar cupboard", "left drawer of the desk", "attic", "hall cabinet", "safe of the office", "green box")
DEEDS = ("wait until spring", "ask for a second offer", "sell it", "start again from scratch", "pay in two parts",
         "keep everything as it is", "find somebody younger", "share it with the neighbours")  # fmt: skip
FAULTS = (
    "it makes a humming noise at night", "water drips on the floor", "the left side is loose",
    "nobody answers the mails", "the numbers do not add up", "it smells of smoke", "a page is missing",
)  # fmt: skip
FILLERS = (
    "The {thing} was talked about again last week, without much coming of it.",
    "Some people think that there is too much talk about the {thing} in this house.",
    "Whoever wants to know more about the {thing} may ask at the next meeting.",
    "A photograph of the {thing} would have been useful here.",
    "It rained for three days, and the {thing} had to wait.",
    "There was a time when nobody would have cared about a {thing}.",
    "I add this note to what was written about the {thing} before.",
    "The neighbours have a {thing} of their own, and other worries.",
    "We should not forget that the {thing} takes time and patience.",
    "As always the {thing} comes last on the list, behind the shopping.",
    "More on the {thing} follows when everybody is back from the holidays.",
    "This page about the {thing} replaces the one from last year.",
)
SPOKEN_FILLERS = (
    "Okay, this is a note to myself.",
    "I am walking home right now, so it may be a bit noisy.",
    "What else did I want to say?",
    "I will listen to this again tomorrow.",
    "The weather is not too bad today.",
    "That is all for the moment.",
)
SHOPS = ("HARDWARE STORE", "BOOK SHOP", "GARDEN CENTRE", "PHARMACY", "ELECTRICAL GOODS", "SECOND HAND SHOP")
GOODS = ("screws", "paint", "tape", "light bulb", "batteries", "brush", "paper", "gloves", "rope", "glue")

DOCUMENT, PICTURE, SOUND = "text", "image", "audio"
SAYS_KIND = {
    PICTURE: (
        "picture that says {}",
        "the screenshot about {}",
        "I took a photograph of a paper: {}",
        "receipt or sign, {}",
        "it is on a crumpled slip somewhere, {}",
    ),
    SOUND: (
        "voice note where she said {}",
        "where did he mention {}",
        "the recording about {}",
        "listen to {}",
        "I dictated it on the way home, {}",
    ),
}
"""How people say what kind of thing they look for; of each the last one says it in words that few programs know."""


@dataclass(frozen=True, slots=True)
class Question:
    kind: str
    """Of the file that is meant."""
    text: str
    file: str
    """Its name, which no other file has."""
    names_kind: bool = False
    """It says what it looks for (`the receipt`, `where did she say`)."""


@dataclass(frozen=True, slots=True)
class Size:
    things: int
    documents: int
    pictures: int
    notes: int
    questions: int
    """Of each kind."""


FULL = Size(40, 200, 200, 20, 20)
QUICK = Size(12, 72, 30, 6, 6)


@dataclass(slots=True)
class _Told:
    """A fact that a file of one kind tells."""

    thing: str
    fact: Fact
    kind: str
    values: dict[str, str]
    file: str = ""

    def sentence(self) -> str:
        told = self.fact.told[(DOCUMENT, PICTURE, SOUND).index(self.kind)]
        return told.format(thing=self.thing, **self.values)

    def question(self) -> str:
        return self.fact.asked.format(thing=self.thing)


def write_library(folder: Path, size: Size, *, seed: int = SEED) -> list[Question]:
    """Write it, and give the questions: by kind, in an order that leaves both halves alike.

    Needs `espeak-ng`. Raises FileNotFoundError where it is not installed.
    """
    dice = random.Random(seed)
    told = _dealt_out(dice, size)
    _write_documents(folder, [each for each in told if each.kind == DOCUMENT], size, dice)
    scenes = _write_pictures(folder, [each for each in told if each.kind == PICTURE], size, dice)
    _write_notes(folder, [each for each in told if each.kind == SOUND], size, dice)
    questions = []
    for kind in (DOCUMENT, PICTURE, SOUND):
        asked = [each for each in told if each.kind == kind]
        dice.shuffle(asked)
        of_scenes = scenes[: size.questions // 3] if kind == PICTURE else []
        some = [_asked(each, number) for number, each in enumerate(asked[: size.questions - len(of_scenes)])]
        questions += [*some, *of_scenes]
    return questions


def _dealt_out(dice: random.Random, size: Size) -> list[_Told]:
    """Facts about each thing, each told in one kind only; every thing has some in every kind, as far as they go."""
    told: list[_Told] = []
    things = list(THINGS[: size.things])
    in_notes = things[:: max(1, size.things // size.notes)][: size.notes]
    with_text = size.pictures - _scene_count(size)
    for number, thing in enumerate(things):
        facts = list(FACTS)
        dice.shuffle(facts)
        spoken = 2 if thing in in_notes else 0
        shown = min(3, -(-(with_text - sum(each.kind == PICTURE for each in told)) // (size.things - number)))
        kinds = [SOUND] * spoken + [PICTURE] * shown + [DOCUMENT] * (len(facts) - spoken - shown)
        told += [_Told(thing, fact, kind, _values(dice)) for fact, kind in zip(facts, kinds, strict=True)]
    return told


def _values(dice: random.Random) -> dict[str, str]:
    return {
        "person": dice.choice(PEOPLE),
        "amount": str(dice.randint(21, 980)),
        "day": str(dice.randint(1, 28)),
        "month": dice.choice(MONTHS),
        "place": dice.choice(PLACES),
        "deed": dice.choice(DEEDS),
        "fault": dice.choice(FAULTS),
        "year": str(dice.randint(1961, 2022)),
    }


def _asked(told: _Told, number: int) -> Question:
    """Every second one about pictures and notes says what kind of thing it looks for, as people do."""
    question = told.question()
    if number % 2 == 0 or told.kind == DOCUMENT:
        return Question(told.kind, question, told.file)
    wordings = SAYS_KIND[told.kind]
    return Question(told.kind, wordings[number // 2 % len(wordings)].format(question), told.file, True)


# ---------------------------------------------------------------------- documents


def _write_documents(folder: Path, told: Sequence[_Told], size: Size, dice: random.Random) -> None:
    """A fact a document, amid sentences about the same thing; the rest of them tell no fact at all."""
    writers: tuple[tuple[str, Callable[[Path, str, str], None]], ...] = (
        ("txt", _write_text), ("md", _write_markdown), ("html", _write_html), ("eml", _write_mail),
    )  # fmt: skip
    told_or_not = [*told, *[None] * (size.documents - len(told))]
    for number, each in enumerate(told_or_not):
        thing = each.thing if each is not None else dice.choice(THINGS[: size.things])
        sentences = [line.format(thing=thing) for line in dice.sample(FILLERS, dice.randint(3, 8))]
        suffix, write = writers[number % len(writers)]
        name = f"doc-{number:03}.{suffix}"
        if each is not None:
            each.file = name
            sentences.insert(dice.randrange(len(sentences) + 1), each.sentence())
        write(folder / name, f"About the {thing}", " ".join(sentences))


def _write_text(file: Path, _title: str, text: str) -> None:
    file.write_text(f"{text}\n", encoding="utf-8")


def _write_markdown(file: Path, title: str, text: str) -> None:
    file.write_text(f"# {title}\n\n{text}\n", encoding="utf-8")


def _write_html(file: Path, title: str, text: str) -> None:
    file.write_text(f"<html><head><title>{title}</title></head><body><p>{text}</p></body></html>", encoding="utf-8")


def _write_mail(file: Path, title: str, text: str) -> None:
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = title, "ann@example.org", "ben@example.org"
    mail["Date"] = "Mon, 02 Mar 2026 09:00:00 +0000"
    mail.set_content(text)
    file.write_bytes(mail.as_bytes())


# ---------------------------------------------------------------------- pictures


def _scene_count(size: Size) -> int:
    return size.pictures * 2 // 5


def _write_pictures(folder: Path, told: Sequence[_Told], size: Size, dice: random.Random) -> list[Question]:
    """Pictures that say something, and drawn scenes, of which the questions are given. Some lie in an archive."""
    drawers = (_receipt, _sign, _screenshot, _scan)
    with zipfile.ZipFile(folder / "phone.zip", "w") as phone:
        for number, each in enumerate(told):
            each.file = f"img-{number:04}.{'png' if number % 4 == 2 else 'jpg'}"
            picture = drawers[number % len(drawers)](each.sentence(), dice)
            picture.save(folder / each.file)
            if number % 8 == 7:
                phone.write(folder / each.file, f"DCIM/{each.file}")
                (folder / each.file).unlink()
    questions = []
    for number, scene in enumerate(held_out_scenes(_scene_count(size), dice.randrange(1 << 30))):
        name = f"pic-{number:04}.png"
        draw(scene, dice).save(folder / name)
        questions.append(Question(PICTURE, f"photo of {scene.caption}", name, True))
    return questions


def _font(size_px: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(FONT, size_px)


def _receipt(text: str, dice: random.Random) -> Image.Image:
    lines = [dice.choice(SHOPS), "Market Street 12", ""]
    lines += [f"{goods:<16} {dice.randint(1, 19)}.{dice.randint(10, 99)}" for goods in dice.sample(GOODS, 3)]
    lines += ["", *text.split("\n"), "", "thank you for your visit"]
    return _page(lines, dice, width=520, letter_px=24, paper=(250, 249, 244))


def _sign(text: str, dice: random.Random) -> Image.Image:
    ground = dice.choice(((20, 60, 130), (150, 20, 24), (20, 100, 50), (245, 205, 24)))
    ink = (16, 16, 16) if sum(ground) > 400 else (255, 255, 255)
    return _page(text.split("\n"), dice, width=900, letter_px=56, paper=ground, ink=ink)


def _screenshot(text: str, dice: random.Random) -> Image.Image:
    picture = Image.new("RGB", (1100, 620), (236, 238, 242))
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, 0, 1100, 44), fill=(52, 58, 70))
    pen.text((18, 10), f"Messages - {dice.choice(PEOPLE)}", fill=(255, 255, 255), font=_font(22))
    y = 80
    for number, line in enumerate(("hello, are you there?", text, "ok, thank you")):
        lines = line.split("\n")
        x = 40 if number % 2 == 0 else 360
        pen.rounded_rectangle((x, y, x + 680, y + 30 + 34 * len(lines)), 16, fill=(255, 255, 255))
        for at, part in enumerate(lines):
            pen.text((x + 20, y + 14 + 34 * at), part, fill=(20, 20, 20), font=_font(24))
        y += 60 + 34 * len(lines)
    return picture


def _scan(text: str, dice: random.Random) -> Image.Image:
    lines = ["To whom it may concern", "", *text.split("\n"), "", "With kind regards", dice.choice(PEOPLE)]
    page = _page(lines, dice, width=1000, letter_px=30, paper=(244, 243, 238))
    turned = page.rotate(dice.uniform(-1.0, 1.0), Image.Resampling.BICUBIC, fillcolor=(244, 243, 238))
    return turned.filter(ImageFilter.GaussianBlur(0.6))


def _page(
    lines: Sequence[str],
    dice: random.Random,
    *,
    width: int,
    letter_px: int,
    paper: tuple[int, int, int],
    ink: tuple[int, int, int] = (24, 24, 24),
) -> Image.Image:
    font, step = _font(letter_px), round(1.6 * letter_px)
    widest = max(font.getlength(line) for line in lines)
    margin = 40 + dice.randint(0, 30)
    picture = Image.new("RGB", (max(width, round(widest) + 2 * margin), 2 * margin + step * len(lines)), paper)
    pen = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        pen.text((margin, margin + number * step), line, fill=ink, font=font)
    return picture


# ---------------------------------------------------------------------- spoken notes


def _write_notes(folder: Path, told: Sequence[_Told], size: Size, dice: random.Random) -> None:
    """Two facts a note, of two things, and what people say around them."""
    shuffled = list(told)
    dice.shuffle(shuffled)
    for number in range(size.notes):
        name = f"memo-{number:03}.wav"
        said = shuffled[number :: size.notes]
        sentences = list(dice.sample(SPOKEN_FILLERS, 4))
        for each in said:
            each.file = name
            sentences.insert(dice.randrange(len(sentences) + 1), each.sentence())
        voice = dice.choice(("en-us", "en-gb", "en-us+f3"))
        _speak(" ".join(sentences), folder / name, voice)


def _speak(text: str, file: Path, voice: str) -> None:
    subprocess.run(["espeak-ng", "-v", voice, "-s", "150", "-w", str(file), text], check=True)
