"""Files inside others as files of their own: whole, for their owner only, bounded, nothing that a desktop runs."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from rag.errors import ReadError, UnsupportedFile
from rag.member_copies import MemberCopies
from rag.readers.contract import MEGABYTE, ReadLimits
from tests.rag.made_archives import tar_of, zip_of
from tests.rag.made_sound import tone, wav16

VOICE = wav16(tone(0.5))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    file = tmp_path / "phone.zip"
    contents = {
        "b.wav": b"second" * 100,
        "run.sh": b"#!/bin/sh",
        "page.html": b"<script>",
        "bomb.wav": bytes(20 * MEGABYTE),
    }
    file.write_bytes(zip_of({"backup.tar": tar_of({"notes/memo.wav": VOICE}), **contents}))
    return file


@pytest.fixture
def copies(tmp_path: Path) -> MemberCopies:
    return MemberCopies(tmp_path / "cache" / "inside", replace(ReadLimits(), ratio_free_bytes=8 * MEGABYTE))


def test_a_file_inside_is_copied_once_under_its_name(copies: MemberCopies, archive: Path) -> None:
    inside = str(archive / "backup.tar" / "notes" / "memo.wav")
    copy = Path(copies.on_disk(inside))
    assert (copy.name, copy.read_bytes()) == ("memo.wav", VOICE)
    assert stat.S_IMODE(copy.parent.parent.stat().st_mode) == 0o700
    assert not copy.stat().st_mode & 0o111
    made_at = copy.stat().st_mtime_ns
    assert copies.on_disk(inside) == str(copy)
    assert copy.stat().st_mtime_ns == made_at
    assert copies.on_disk(str(archive)) == str(archive)


@pytest.mark.parametrize("name", ["run.sh", "page.html"])
def test_what_a_desktop_would_run_is_not_copied(copies: MemberCopies, archive: Path, name: str) -> None:
    with pytest.raises(UnsupportedFile, match=name):
        copies.on_disk(str(archive / name))


def test_bombs_and_what_is_not_there_leave_nothing_behind(copies: MemberCopies, archive: Path, tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="unpacks to more than"):
        copies.on_disk(str(archive / "bomb.wav"))
    with pytest.raises(ReadError, match=r"gone\.wav is not in phone\.zip"):
        copies.on_disk(str(archive / "gone.wav"))
    assert list((tmp_path / "cache" / "inside").iterdir()) == []


def test_what_was_used_longest_ago_makes_room(tmp_path: Path, archive: Path) -> None:
    copies = MemberCopies(tmp_path / "inside", ReadLimits(), max_bytes=len(VOICE) + 100)
    first = Path(copies.on_disk(str(archive / "backup.tar" / "notes" / "memo.wav")))
    second = Path(copies.on_disk(str(archive / "b.wav")))
    assert second.exists()
    assert not first.exists()
