from __future__ import annotations

from pathlib import Path

import pytest

from rag.errors import DamagedFile, EmptyFile, ReadError
from rag.readers.contract import ReadLimits
from rag.readers.mhtml import read_mhtml
from tests.rag.conftest import Opened
from tests.rag.damaged import damaged

LIMITS = ReadLimits()
SAVED = b"""From: <Saved by Blink>
Snapshot-Content-Location: https://example.org/
Subject: =?utf-8?Q?Caf=C3=A9?=
Date: Fri, 14 Mar 2025 10:00:00 -0000
MIME-Version: 1.0
Content-Type: multipart/related; type="text/html"; boundary="b"; start="<page@x>"

--b
Content-Type: text/html
Content-ID: <frame@x>

<p>An advertisement
--b
Content-Type: text/html; charset=utf-8
Content-ID: <page@x>
Content-Transfer-Encoding: quoted-printable

<h1>Caf=C3=A9</h1><p>The =
words</p>
--b
Content-Type: image/png
Content-Transfer-Encoding: base64

AAAA
--b--
"""


def test_a_saved_page_is_its_page(opened: Opened, tmp_path: Path) -> None:
    reading = read_mhtml(opened(tmp_path / "a.mhtml", SAVED), LIMITS)
    assert [(block.heading_path, block.text, block.locator.line) for block in reading.blocks] == [
        (("Café",), "The words", None)
    ]
    assert (reading.title, reading.written_at_s) == ("Café", 1741946400)
    assert list(reading.members) == []


def test_a_page_that_is_not_there_is_told(opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(DamagedFile, match=r"a\.mht holds no web page"):
        read_mhtml(opened(tmp_path / "a.mht", SAVED.replace(b"text/html", b"text/css")), LIMITS)
    with pytest.raises(EmptyFile, match=r"b\.mht"):
        read_mhtml(opened(tmp_path / "b.mht", b"Content-Type: text/html\n\n<img src=x>"), LIMITS)


def test_damaged_pages_are_read_as_far_as_they_go(opened: Opened, tmp_path: Path) -> None:
    for number, content in enumerate(damaged(SAVED, 120)):
        try:
            list(read_mhtml(opened(tmp_path / f"{number}.mht", content or b"\n"), LIMITS).blocks)
        except ReadError:
            continue
