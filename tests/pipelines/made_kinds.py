"""A folder of every kind of file, as people have them: some are copies, some hold others, some cannot be read."""

from __future__ import annotations

import io
import json
import random
import tempfile
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

from PIL import Image, ImageDraw

from tests.pipelines.killing import WORDS
from tests.rag.made_archives import tar_of, zip_of, zip_with_encrypted
from tests.rag.made_files import docx_of, paragraph, pdf_bytes
from tests.rag.made_sound import tone, wav16


def make_kinds(folder: Path, count: int, seed: int) -> None:
    """So many files, kind after kind, in a few folders."""
    chance = random.Random(seed)
    made: list[Path] = []
    makers = tuple(MAKERS.items())
    for number in range(count):
        here = folder / f"{number % 5}"
        here.mkdir(parents=True, exist_ok=True)
        suffix, make = makers[number % len(makers)]
        file = here / f"{number}{suffix}"
        if number % 11 == 10:
            file = here / f"copy {number}{made[-1].suffix}"
            file.write_bytes(made[-1].read_bytes())
        else:
            file.write_bytes(make(chance))
        made.append(file)


def words(chance: random.Random, count: int) -> str:
    return " ".join(chance.choices(WORDS, k=count)) + f" {chance.randrange(10**6)}."


def text(chance: random.Random) -> bytes:
    return "\n\n".join(words(chance, 30) for _ in range(chance.randint(1, 6))).encode()


def markdown(chance: random.Random) -> bytes:
    return f"# {words(chance, 3)}\n\n{words(chance, 30)}\n\n## {words(chance, 2)}\n\n{words(chance, 40)}\n".encode()


def page(chance: random.Random) -> bytes:
    return f"<html><title>{words(chance, 2)}</title><body><h1>{words(chance, 3)}</h1><p>{words(chance, 40)}".encode()


def table(chance: random.Random) -> bytes:
    rows = "".join(f"{each},{chance.choice(WORDS)},{chance.randrange(999)}\n" for each in range(60))
    return f"number,name,amount\n{rows}".encode()


def records(chance: random.Random) -> bytes:
    return "".join(json.dumps({"id": each, "said": words(chance, 9)}) + "\n" for each in range(30)).encode()


def letter(chance: random.Random) -> bytes:
    body = "".join(paragraph(words(chance, 30)) for _ in range(4))
    with tempfile.TemporaryDirectory() as folder:
        return docx_of(Path(folder, "made"), body).read_bytes()


def pages(chance: random.Random) -> bytes:
    return pdf_bytes([[words(chance, 9) for _ in range(12)] for _ in range(3)])


def picture(chance: random.Random) -> bytes:
    """Large letters on a plain ground."""
    made = io.BytesIO()
    sheet = Image.new("RGB", (320, 120), (255, 255, 250 - chance.randrange(60)))
    ImageDraw.Draw(sheet).text((20, 40), words(chance, 2), fill=(0, 0, 0), font_size=24)
    sheet.save(made, "PNG")
    return made.getvalue()


def scan(chance: random.Random) -> bytes:
    """A PDF of pictures: its words are read by OCR."""
    made = io.BytesIO()
    sheets = [Image.open(io.BytesIO(picture(chance))) for _ in range(2)]
    sheets[0].save(made, "PDF", save_all=True, append_images=sheets[1:], resolution=72)
    return made.getvalue()


def recording(chance: random.Random) -> bytes:
    return wav16(tone(chance.uniform(1.0, 4.0), hz=chance.uniform(200, 900), level=chance.uniform(0.1, 0.9)))


def mail(chance: random.Random) -> bytes:
    """With a table, a picture and an archive attached."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "ann@example.org", "ben@example.org", words(chance, 3)
    message["Date"] = "Mon, 06 May 2024 07:08:10 +0000"
    message.set_content(words(chance, 60))
    message.add_attachment(table(chance), maintype="text", subtype="csv", filename="table.csv")
    message.add_attachment(picture(chance), maintype="image", subtype="png", filename="picture.png")
    message.add_attachment(archive(chance), maintype="application", subtype="zip", filename="files.zip")
    message.set_boundary(f"boundary-{chance.randrange(10**9)}")
    return message.as_bytes()


def mailbox(chance: random.Random) -> bytes:
    return b"".join(
        f"From ann@example.org Mon May  6 07:08:{each:02} 2024\nFrom: ann@example.org\nSubject: {words(chance, 3)}\n"
        f"Date: Mon, 06 May 2024 07:08:{each:02} +0000\n\n{words(chance, 50)}\n\n".encode()
        for each in range(6)
    )


def archive(chance: random.Random) -> bytes:
    inner = zip_of({f"deep {each}.txt": text(chance) for each in range(2)})
    contents: dict[str, bytes | str] = {f"own {each}.txt": text(chance) for each in range(3)}
    return zip_with_encrypted("secret.txt", {**contents, "inner.zip": inner, "drawing.psd": b"8BPS"})


def tarball(chance: random.Random) -> bytes:
    return tar_of({"letter.eml": mail(chance), "note.wav": recording(chance), "page.html": page(chance)})


def broken(chance: random.Random) -> bytes:
    return letter(chance)[: chance.randint(100, 400)]


MAKERS: dict[str, Callable[[random.Random], bytes]] = {
    ".txt": text,
    ".md": markdown,
    ".html": page,
    ".csv": table,
    ".jsonl": records,
    ".docx": letter,
    ".pdf": pages,
    ".png": picture,
    ".eml": mail,
    ".mbox": mailbox,
    ".zip": archive,
    ".tar": tarball,
    " scanned.pdf": scan,
    ".wav": recording,
    " broken.docx": broken,
    ".psd": lambda _: b"8BPS",
    " empty.txt": lambda _: b"",
}
