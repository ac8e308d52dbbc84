"""Sound made to do harm, or hardly there: decoded in the real worker under tight limits, one clear line each."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rag.errors import DamagedFile, EmptyFile, ReadError, UnsupportedFile
from rag.readers.contract import MEGABYTE, ReadLimits
from rag.sound import SoundReader
from tests.rag.made_archives import tar_of, zip_of
from tests.rag.made_bombs import silent_flac
from tests.rag.made_sound import RATE_HZ, encoded, silent_film, tone, wav16, wav_bytes, write

LIMITS = replace(ReadLimits(), memory_bytes=256 * MEGABYTE, timeout_s=30.0, ratio_free_bytes=8 * MEGABYTE)


PNG = b"\x89PNG\r\n\x1a\n" + bytes(99)


def heard(path: str | Path) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """All samples, and the notes."""
    with SoundReader(LIMITS).open(path) as sound:
        return np.concatenate(list(sound.pieces())), sound.notes


def heard_or_said(path: str | Path) -> NDArray[np.float32] | ReadError:
    try:
        return heard(path)[0]
    except ReadError as error:
        return error


def test_ten_hours_of_silence_from_a_small_file_come_in_bounded_memory(tmp_path: Path) -> None:
    file = tmp_path / "night.flac"
    file.write_bytes(silent_flac(10))
    assert file.stat().st_size < MEGABYTE
    samples = 0
    with SoundReader(LIMITS).open(file) as sound:  # a worker over its limit ends as TooLarge
        assert sound.facts.claimed_s == pytest.approx(36_000, rel=0.01)
        for piece in sound.pieces():
            samples += len(piece)
            assert not piece.any()
    assert samples / RATE_HZ == pytest.approx(36_000, rel=0.01)


def test_ten_hours_that_are_a_hole_on_the_disk_end_when_nobody_wants_more(tmp_path: Path) -> None:
    data_bytes = 10 * 3600 * RATE_HZ * 2
    file = tmp_path / "hole.wav"
    file.write_bytes(wav_bytes(b"", format_tag=1, bits=16, claimed_bytes=data_bytes))
    with file.open("r+b") as opened:
        opened.truncate(44 + data_bytes)
    with SoundReader(replace(LIMITS, timeout_s=120.0)).open(file) as sound:
        first = next(sound.pieces())
    assert not first.any()


def test_one_millisecond_is_one_millisecond_and_no_byte_is_empty(tmp_path: Path) -> None:
    samples, _ = heard(write(tmp_path / "click.wav", wav16(tone(0.001))))
    assert len(samples) == 16
    with pytest.raises(EmptyFile, match=r"nothing\.wav is empty"):
        heard(write(tmp_path / "nothing.wav", b""))
    with pytest.raises(EmptyFile, match=r"header\.wav has no sound in it"):
        heard(write(tmp_path / "header.wav", wav16(tone(0))))
    with pytest.raises(UnsupportedFile, match=r"silent\.mp4 has no sound") as raised:
        heard(write(tmp_path / "silent.mp4", silent_film()))
    assert raised.value.counted_as == "without sound"  # films are a kind that is read


def test_opus_that_is_damaged_in_the_middle_costs_what_is_damaged(tmp_path: Path) -> None:
    whole = encoded(tone(8.0), "ogg", "libopus")
    third = len(whole) // 3
    dice = random.Random(5)
    noise = bytes(dice.randrange(256) for _ in range(third))
    samples, _ = heard(write(tmp_path / "noise.opus", whole[:third] + noise + whole[2 * third :]))
    assert RATE_HZ < len(samples) <= 8.1 * RATE_HZ
    samples, notes = heard(write(tmp_path / "cut.opus", whole[: 2 * third]))
    assert RATE_HZ < len(samples) < 8 * RATE_HZ
    assert np.abs(samples).max() > 0.3
    assert all(note.isprintable() for note in notes)
    for name, content in {"head.opus": whole[:60], "magic.opus": b"OggS" + bytes(400)}.items():
        with pytest.raises(DamagedFile, match=name.replace(".", r"\.")):
            heard(write(tmp_path / name, content))


def test_what_has_another_kinds_name_is_heard_all_the_same_or_said(tmp_path: Path) -> None:
    samples, _ = heard(write(tmp_path / "really-flac.mp3", encoded(tone(1.0), "flac", "flac")))
    assert len(samples) == pytest.approx(RATE_HZ, rel=0.1)
    for name, content in {"words.wav": b"just words " * 50, "picture.ogg": PNG}.items():
        found = heard_or_said(write(tmp_path / name, content))
        assert isinstance(found, ReadError)
        assert name in str(found)
        assert found.hint
    assert str(heard_or_said(tmp_path / "picture.ogg")) == "picture.ogg is no recording: it is a PNG picture"


def test_a_recording_deep_inside_is_the_same_recording(tmp_path: Path) -> None:
    voice = encoded(tone(2.0), "mp4", "aac")
    outer = tmp_path / "phone.zip"
    outer.write_bytes(zip_of({"words.txt": b"words", "backup.tar.gz": tar_of({"memo.m4a": voice}, mode="w:gz")}))
    alone, _ = heard(write(tmp_path / "memo.m4a", voice))
    inside, _ = heard(outer / "backup.tar.gz" / "memo.m4a")
    assert np.array_equal(alone, inside)


def test_bombs_around_a_recording_are_told_and_names_lead_nowhere_else(tmp_path: Path) -> None:
    bomb = zip_of({"long.wav": wav_bytes(bytes(20 * MEGABYTE), format_tag=1, bits=16)})
    (tmp_path / "bomb.zip").write_bytes(bomb)
    with pytest.raises(ReadError, match="unpacks to more than"):
        heard(tmp_path / "bomb.zip" / "long.wav")
    (tmp_path / "secret.wav").write_bytes(wav16(tone(1.0)))
    (tmp_path / "plain.zip").write_bytes(zip_of({"../secret.wav": b"x", "a.wav": wav16(tone(0.5))}))
    for inner in ("../secret.wav", "missing.wav", "a.wav/b.wav", "."):
        with pytest.raises(ReadError):
            heard(f"{tmp_path / 'plain.zip'}/{inner}")
    nested = wav16(tone(0.1))
    for level in range(8):
        nested = zip_of({f"{level}.zip" if level else "deep.wav": nested})
    (tmp_path / "deep.zip").write_bytes(nested)
    path = tmp_path / "deep.zip" / "/".join(f"{level}.zip" for level in range(7, 0, -1)) / "deep.wav"
    with pytest.raises(ReadError, match="files inside each other"):
        heard(path)
