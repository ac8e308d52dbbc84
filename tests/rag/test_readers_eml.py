from __future__ import annotations

from email.message import EmailMessage
from pathlib import Path

import pytest

from rag.errors import EmptyFile, ReadError
from rag.readers.contract import Reading, ReadLimits
from rag.readers.eml import read_eml
from tests.rag.conftest import Opened
from tests.rag.damaged import damaged

LIMITS = ReadLimits()
HEAD = b"From: Anna Schmidt <anna@x.org>\nTo: bob@y.org\nDate: Fri, 14 Mar 2025 00:30:00 +0100\nSubject: The rent\n"


def mail() -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Cc"] = "Anna Schmidt <anna@x.org>", "bob@y.org", "Carl <carl@z.org>"
    made["Date"], made["Subject"] = "Fri, 14 Mar 2025 00:30:00 +0100", "Miete für März"
    made.set_content("Hallo Bob,\n\ndie Miete ist 900 Euro.\n\nAm 3.3.2025 schrieb Bob:\n> Wie hoch ist sie?\n")
    return made


def read(opened: Opened, path: Path, content: bytes) -> tuple[Reading, list[tuple[tuple[str, ...], str]]]:
    reading = read_eml(opened(path, content), LIMITS)
    return reading, [(block.heading_path, block.text) for block in reading.blocks]


def members(reading: Reading) -> list[tuple[str, bytes]]:
    found = []
    for member in reading.members:
        with member.open() as stream:
            found.append((member.path, stream.read()))
    return found


def test_a_mail_is_its_headers_its_words_and_apart_what_it_quotes(opened: Opened, tmp_path: Path) -> None:
    reading, blocks = read(opened, tmp_path / "a.eml", mail().as_bytes())
    top = ("Miete für März", "Anna Schmidt, 2025-03-14")
    assert blocks == [
        (
            top,
            "From: Anna Schmidt <anna@x.org>\nTo: bob@y.org\nCc: Carl <carl@z.org>\n"
            "Date: Fri, 14 Mar 2025 00:30:00 +0100\nSubject: Miete für März",
        ),
        (top, "Hallo Bob,\n\ndie Miete ist 900 Euro."),
        (("Miete für März", "Quoted: Am 3.3.2025 schrieb Bob"), "Wie hoch ist sie?"),
    ]
    assert (reading.title, reading.author, reading.written_at_s) == ("Miete für März", "Anna Schmidt", 1741908600)


def test_the_html_speaks_where_the_text_is_a_stub(opened: Opened, tmp_path: Path) -> None:
    made = mail()
    made.set_content("Please open this mail in a browser.")
    made.add_alternative("<p>Your order: 2 chairs, 150 euros</p><blockquote>old</blockquote>", subtype="html")
    _, blocks = read(opened, tmp_path / "a.eml", made.as_bytes())
    assert [text for _, text in blocks[1:]] == ["Your order: 2 chairs, 150 euros", "old"]


def test_what_is_attached_comes_as_files(opened: Opened, tmp_path: Path) -> None:
    made = mail()
    made.add_attachment(b"%PDF" * 5000, maintype="application", subtype="pdf", filename="../../Ä bill.pdf")
    made.add_attachment("a,b\n", subtype="csv", filename="t.csv")
    inner = EmailMessage()
    inner["Subject"] = "Re: a/b"
    inner.set_content("inside")
    made.add_attachment(inner)
    made.add_attachment(b"x", maintype="application", subtype="zip")
    made.add_attachment("BEGIN:VCALENDAR", subtype="calendar")
    reading, blocks = read(opened, tmp_path / "a.eml", made.as_bytes())
    found = members(reading)
    assert [path for path, _ in found] == ["Ä bill.pdf", "t.csv", "Re: a-b.eml", "part 4.zip", "part 5.ics"]
    assert found[0][1] == b"%PDF" * 5000
    assert found[1][1] == b"a,b\n"
    assert b"inside" in found[2][1]
    assert blocks[0][1].endswith("\nAttachments: Ä bill.pdf, t.csv")


def test_a_logo_is_no_attachment_and_a_photo_is(opened: Opened, tmp_path: Path) -> None:
    made = mail()
    made.add_alternative("<p>die Miete ist 900 Euro<img src=cid:logo><img src=cid:photo>", subtype="html")
    html = made.get_payload()[1]  # type: ignore[index]  # a list, in a multipart
    assert isinstance(html, EmailMessage)
    html.add_related(b"l" * 500, maintype="image", subtype="png", cid="<logo>")
    html.add_related(b"p" * 50_000, maintype="image", subtype="jpeg", cid="<photo>", filename="house.jpg")
    reading, _ = read(opened, tmp_path / "a.eml", made.as_bytes())
    assert [path for path, _ in members(reading)] == ["house.jpg"]


@pytest.mark.parametrize(
    ("body", "remark", "kept"),
    [
        (
            b'Content-Type: multipart/signed; protocol="application/pgp-signature"; boundary=b\n\n--b\n\nsigned words\n'
            b"--b\nContent-Type: application/pgp-signature\n\nxyz\n--b--",
            "Signed (OpenPGP, not checked)",
            "signed words",
        ),
        (
            b'Content-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary=b\n\n--b\n'
            b"Content-Type: application/pgp-encrypted\n\nVersion: 1\n--b\nContent-Type: application/octet-stream\n\nx\n"
            b"--b--",
            "Encrypted (OpenPGP): only its headers can be read",
            None,
        ),
        (
            b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data\n\nAAAA",
            "Encrypted (S/MIME): only its headers can be read",
            None,
        ),
        (
            b"Content-Type: application/pkcs7-mime; smime-type=signed-data\n\nAAAA",
            "Signed (S/MIME, not checked); its text is inside the signature and not read",
            None,
        ),
        (
            b"\n-----BEGIN PGP MESSAGE-----\n\nhQEMA\n-----END PGP MESSAGE-----",
            "Encrypted (OpenPGP): only its headers can be read",
            None,
        ),
        (
            b"\n-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nclear words\n-----BEGIN PGP SIGNATURE-----\n\niQ\n"
            b"-----END PGP SIGNATURE-----",
            "Signed (OpenPGP, not checked)",
            "clear words",
        ),
    ],
    ids=["pgp signed", "pgp encrypted", "smime encrypted", "smime signed", "inline encrypted", "inline signed"],
)
def test_signed_and_encrypted_mails_say_so(
    opened: Opened, tmp_path: Path, body: bytes, remark: str, kept: str | None
) -> None:
    reading, blocks = read(opened, tmp_path / "a.eml", HEAD + body)
    assert blocks[0][1].endswith(f"Subject: The rent\n{remark}")
    assert [text for _, text in blocks[1:]] == ([kept] if kept else [])
    assert bool(reading.notes) == (kept is None)
    assert members(reading) == []


def test_apple_mails_files_are_read_as_far_as_they_say(opened: Opened, tmp_path: Path) -> None:
    message = HEAD + b"\nThe body.\n"
    _, blocks = read(opened, tmp_path / "1.emlx", b"%d      \n%s<?xml version=1.0?><plist>" % (len(message), message))
    assert blocks[1][1] == "The body."


def test_a_mail_without_date_and_subject_is_read(opened: Opened, tmp_path: Path) -> None:
    reading, blocks = read(opened, tmp_path / "a.eml", b"Received: by x; Fri, 14 Mar 2025 00:30:00 +0100\n\nwords")
    assert blocks == [(("2025-03-14",), "words")]
    assert (reading.title, reading.author, reading.written_at_s) == ("", "", 1741908600)


def test_parts_that_are_nested_too_deep_are_told(opened: Opened, tmp_path: Path) -> None:
    levels = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(1000))
    reading, blocks = read(opened, tmp_path / "a.eml", HEAD + levels + b"\ndeep")
    assert reading.notes == ["its parts are nested too deep; the innermost were not read"]
    assert len(blocks) == 1


def test_a_mail_that_says_nothing_is_empty(opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(EmptyFile, match=r"a\.eml"):
        read(opened, tmp_path / "a.eml", b"MIME-Version: 1.0\n\n \n")


def test_damaged_mails_are_read_as_far_as_they_go(opened: Opened, tmp_path: Path) -> None:
    made = mail()
    made.add_alternative("<p>die Miete ist <b>900</b> Euro", subtype="html")
    made.add_attachment(bytes(range(256)) * 20, maintype="application", subtype="pdf", filename="Ä.pdf")
    for number, content in enumerate(damaged(HEAD + made.as_bytes(), 200)):
        try:
            reading, blocks = read(opened, tmp_path / f"{number}.eml", content or b"\n")
            members(reading)
        except ReadError:
            continue
        assert all(text.strip() for _, text in blocks)
