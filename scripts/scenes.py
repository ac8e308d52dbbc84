"""Draw small scenes that a caption describes fully: shapes, digits and emoji with colour, count, size and place.

What `train_tiny_clip.py` learns from, and what benches of mixed libraries look for. The same number gives the same
scene, whatever the machine, with the same font. Knows nothing of models.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

SIDE_PX = 64
OVERSAMPLING = 3
"""Drawn so much larger and then reduced, for smooth edges."""
FONT = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")
"""DejaVu Sans: free to use and to embed (Bitstream Vera licence); it has digits and one-colour emoji."""

COLOURS = {
    "red": (214, 30, 36),
    "green": (36, 150, 60),
    "blue": (34, 84, 206),
    "yellow": (245, 205, 24),
    "orange": (244, 128, 20),
    "purple": (128, 40, 164),
    "black": (16, 16, 16),
    "brown": (122, 72, 32),
}
BACKGROUNDS = ((255, 255, 255), (236, 236, 232), (222, 232, 240), (240, 228, 214), (206, 206, 206))
SHAPES = ("circle", "square", "triangle", "ring", "cross")
EMOJI = {
    "heart": "♥",
    "sun": "☀",
    "umbrella": "☂",
    "telephone": "☎",
    "airplane": "✈",
    "snowman": "☃",
    "note": "♫",
    "star": "★",
    "skull": "☠",
    "flower": "✿",
}
DIGITS = tuple("0123456789")
NUMBERS = ("one", "two", "three", "four")
PLACES = {
    "at the top left": (0.26, 0.26),
    "at the top right": (0.74, 0.26),
    "at the bottom left": (0.26, 0.74),
    "at the bottom right": (0.74, 0.74),
    "in the middle": (0.5, 0.5),
}
PLURALS = {"cross": "crosses"}
_HELD_OUT_SHARE = 8
"""One description in so many is never trained on."""


@dataclass(frozen=True, slots=True)
class Thing:
    """What is drawn: one colour, one form, some of them."""

    form: str
    """Of SHAPES, EMOJI or DIGITS."""
    colour: str
    count: int = 1
    place: str = ""
    """Of PLACES, for a single one; empty: anywhere, and not told."""

    @property
    def words(self) -> str:
        name = f"digit {self.form}" if self.form in DIGITS else self.form
        if self.count == 1:
            article = "an" if self.colour[0] in "aeiou" else "a"
            return " ".join(filter(None, (f"{article} {self.colour} {name}", self.place)))
        return f"{NUMBERS[self.count - 1]} {self.colour} {PLURALS.get(name, name + 's')}"


@dataclass(frozen=True, slots=True)
class Scene:
    """One thing, or one above another or left of another."""

    things: tuple[Thing, ...]
    relation: str = ""
    """`above` or `to the left of`, between two things."""

    @property
    def caption(self) -> str:
        return f" {self.relation} ".join(thing.words for thing in self.things)

    @property
    def is_held_out(self) -> bool:
        """Decided by what is described, so that training never sees the same words with another picture."""
        return hashlib.sha256(self.caption.encode()).digest()[0] % _HELD_OUT_SHARE == 0


def random_scene(dice: random.Random) -> Scene:
    """Any scene; a third of them have a place, a third a count, a third two things."""
    first = _random_thing(dice)
    match dice.randrange(3):
        case 0:
            return Scene((Thing(first.form, first.colour, place=dice.choice(list(PLACES))),))
        case 1:
            form = dice.choice((*SHAPES, *EMOJI))
            return Scene((Thing(form, first.colour, dice.randint(1, len(NUMBERS))),))
        case _:
            return Scene((first, _random_thing(dice)), dice.choice(("above", "to the left of")))


def held_out_scenes(count: int, seed: int) -> list[Scene]:
    """So many scenes with captions of their own that training never sees."""
    dice, found = random.Random(seed), dict[str, Scene]()
    while len(found) < count:
        scene = random_scene(dice)
        if scene.is_held_out:
            found.setdefault(scene.caption, scene)
    return list(found.values())


def training_scenes(seed: int) -> Iterator[Scene]:
    """Without end; none that is held out."""
    dice = random.Random(seed)
    while True:
        scene = random_scene(dice)
        if not scene.is_held_out:
            yield scene


def draw(scene: Scene, dice: random.Random, *, side_px: int = SIDE_PX, font: Path = FONT) -> Image.Image:
    """The scene as a picture, RGB and square. `dice` decides what the caption leaves open. OSError without font."""
    side = side_px * OVERSAMPLING
    picture = Image.new("RGB", (side, side), dice.choice(BACKGROUNDS))
    pen = ImageDraw.Draw(picture)
    for thing, centre, size in _layout(scene, dice):
        x, y = (side * (each + dice.uniform(-0.03, 0.03)) for each in centre)
        _draw_form(pen, thing, x, y, side * size * dice.uniform(0.88, 1.08), font)
    return picture.resize((side_px, side_px), Image.Resampling.LANCZOS)


def _random_thing(dice: random.Random) -> Thing:
    form = dice.choice(dice.choice((SHAPES, tuple(EMOJI), DIGITS)))
    return Thing(form, dice.choice(list(COLOURS)))


def _layout(scene: Scene, dice: random.Random) -> Iterator[tuple[Thing, tuple[float, float], float]]:
    """Each form with its centre and its size, in parts of the side."""
    if scene.relation:
        first, second = scene.things
        across = dice.uniform(0.35, 0.65)
        centres = ((across, 0.27), (across, 0.73)) if scene.relation == "above" else ((0.27, across), (0.73, across))
        yield first, centres[0], 0.4
        yield second, centres[1], 0.4
        return
    (thing,) = scene.things
    if thing.place:
        yield thing, PLACES[thing.place], 0.42
    elif thing.count == 1:
        yield thing, (dice.uniform(0.4, 0.6), dice.uniform(0.4, 0.6)), dice.uniform(0.5, 0.75)
    else:
        for centre in dice.sample([(0.27, 0.27), (0.73, 0.27), (0.27, 0.73), (0.73, 0.73)], thing.count):
            yield thing, centre, 0.36


def _draw_form(pen: ImageDraw.ImageDraw, thing: Thing, x: float, y: float, size: float, font: Path) -> None:
    colour, half = COLOURS[thing.colour], size / 2
    box = (x - half, y - half, x + half, y + half)
    match thing.form:
        case "circle":
            pen.ellipse(box, fill=colour)
        case "square":
            pen.rectangle(box, fill=colour)
        case "triangle":
            pen.polygon([(x, y - half), (x + half, y + half), (x - half, y + half)], fill=colour)
        case "ring":
            pen.ellipse(box, outline=colour, width=max(1, round(size / 6)))
        case "cross":
            arm = size / 6
            pen.rectangle((x - arm, y - half, x + arm, y + half), fill=colour)
            pen.rectangle((x - half, y - arm, x + half, y + arm), fill=colour)
        case form:
            glyph = EMOJI.get(form, form)
            pen.text((x, y), glyph, fill=colour, font=_font(font, round(size * 1.25)), anchor="mm")


@cache
def _font(file: Path, size_px: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(file, size_px)
