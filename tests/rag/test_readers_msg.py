from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from aspose.email_foss import msg as outlook

from rag.errors import DamagedFile, ReadError
from rag.readers.compressed_rtf import decompress_rtf
from rag.readers.contract import Reading, ReadLimits
from rag.readers.msg import read_msg
from rag.readers.registry import choose_reader
from tests.rag.conftest import Opened
from tests.rag.damaged import damaged

LIMITS = ReadLimits()
HELLO_RTF = bytes.fromhex(
    "2d0000002b0000004c5a4675f1c5c7a703000a00726370673132354232 0af32068656c090020627705b06c647d0a800fa0".replace(
        " ", ""
    )
)
"""The example of [MS-OXRTFCP], section 4.1.1."""


def message(subject: str = "Miete für März", body: str = "Hallo Bob,\r\ndie Miete ist 900 €.") -> outlook.MapiMessage:
    made = outlook.MapiMessage.create(subject, body)
    made.set_property(outlook.PropertyId.SENDER_NAME, "Anna Schmidt")
    made.set_property(outlook.PropertyId.SENDER_EMAIL_ADDRESS, "anna@x.org")
    made.set_property(outlook.PropertyId.MESSAGE_DELIVERY_TIME, datetime(2025, 3, 14, 10, 30, tzinfo=UTC))
    made.add_recipient("bob@y.org", display_name="Bob")
    return made


def texts(reading: Reading) -> list[str]:
    return [block.text for block in reading.blocks]


def members(reading: Reading) -> list[tuple[str, bytes]]:
    found = []
    for member in reading.members:
        with member.open() as stream:
            found.append((member.path, stream.read()))
    return found


def test_an_outlook_message_is_read_as_a_mail(opened: Opened, tmp_path: Path) -> None:
    reading = read_msg(opened(tmp_path / "a.msg", message().to_bytes()), LIMITS)
    head, body = reading.blocks
    assert head.text == (
        "From: Anna Schmidt <anna@x.org>\nTo: Bob <bob@y.org>\nDate: Fri, 14 Mar 2025 10:30:00 +0000\n"
        "Subject: Miete für März"
    )
    assert head.heading_path == body.heading_path == ("Miete für März", "Anna Schmidt, 2025-03-14")
    assert body.text == "Hallo Bob,\ndie Miete ist 900 €."
    assert (reading.title, reading.author, reading.written_at_s) == ("Miete für März", "Anna Schmidt", 1741948200)


def test_the_html_speaks_where_there_is_no_text(opened: Opened, tmp_path: Path) -> None:
    made = message(body="")
    made.body_html = "<p>Only <b>HTML</b> ü"
    assert texts(read_msg(opened(tmp_path / "a.msg", made.to_bytes()), LIMITS))[1:] == ["Only HTML ü"]


def test_formatted_text_speaks_where_there_is_nothing_else(opened: Opened, tmp_path: Path) -> None:
    made = message(body="")
    made.set_property(0x1009, 0x0102, HELLO_RTF)
    assert texts(read_msg(opened(tmp_path / "a.msg", made.to_bytes()), LIMITS))[1:] == ["hello world"]


def test_attachments_and_attached_messages_come_as_files(opened: Opened, tmp_path: Path) -> None:
    made = message()
    made.add_attachment("..\\..\\Ä.txt", b"words" * 1000, mime_type="text/plain")
    inner = message("innen/drin", "inner words")
    inner.add_attachment("deep.bin", b"\x00\x01")
    inner.add_embedded_message_attachment(message("deepest", "deepest words"))
    made.add_embedded_message_attachment(inner)
    content = made.to_bytes()
    found = members(read_msg(opened(tmp_path / "a.msg", content), LIMITS))
    assert [path for path, _ in found] == ["Ä.txt", "innen-drin.eml"]
    assert found[0][1] == b"words" * 1000
    assert found == members(read_msg(opened(tmp_path / "b.msg", content), LIMITS))  # the same bytes every time

    reader, _ = choose_reader(opened(tmp_path / "inner.eml", found[1][1]))
    reading = reader(opened(tmp_path / "inner.eml", found[1][1]), LIMITS)
    assert texts(reading)[1:] == ["inner words"]
    inside = members(reading)
    assert [path for path, _ in inside] == ["deep.bin", "deepest.eml"]
    assert inside[0][1] == b"\x00\x01"


def test_a_file_is_an_outlook_message_by_its_bytes(opened: Opened, tmp_path: Path) -> None:
    assert choose_reader(opened(tmp_path / "a", message().to_bytes()))[1].startswith("msg/")
    with pytest.raises(DamagedFile, match=r"a\.msg is not an Outlook message"):
        choose_reader(opened(tmp_path / "a.msg", b"some text"))


def test_damaged_messages_are_read_as_far_as_they_go(opened: Opened, tmp_path: Path) -> None:
    made = message()
    made.body_html = "<p>Hallo Bob, die Miete"
    made.add_attachment("a.bin", bytes(range(256)) * 40)
    made.add_embedded_message_attachment(message("inner"))
    for number, content in enumerate(damaged(made.to_bytes(), 120)):
        try:
            reading = read_msg(opened(tmp_path / f"{number}.msg", content or b"x"), LIMITS)
            texts(reading)
            members(reading)
        except ReadError:
            continue


def test_compressed_rtf_is_that_of_the_specification() -> None:
    assert decompress_rtf(HELLO_RTF, 1000) == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"


def test_compressed_rtf_never_gives_more_than_it_may() -> None:
    repeated = bytes.fromhex("ffffffff ffffffff 4c5a4675 00000000".replace(" ", "")) + b"\xff" + b"\x00\x0f" * 8
    assert len(decompress_rtf(repeated * 1, 50)) == 50
    for content in damaged(HELLO_RTF, 200):
        try:
            assert len(decompress_rtf(content, 500)) <= 500
        except ValueError:
            continue
