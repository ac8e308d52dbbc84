"""Sound decoded in its own process: every container and number format, files that lie, and files that mean harm."""

from __future__ import annotations

import io
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rag.errors import DamagedFile, EmptyFile, ReadError, UnsupportedFile
from rag.reading import ReadStopped
from rag.sound import SoundReader, read_sound_frame
from rag.sound_decoding import PIECE_SAMPLES
from tests.rag.made_sound import RATE_HZ, encoded, silent_film, tone, wav16, wav_bytes, write


def heard(path: str, *, skip_samples: int = 0) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """All samples, and the notes."""
    with SoundReader().open(path) as sound:
        pieces = list(sound.pieces(skip_samples=skip_samples))
        assert all(len(piece) <= PIECE_SAMPLES for piece in pieces)
        return (np.concatenate(pieces) if pieces else np.zeros(0, np.float32)), sound.notes


@pytest.mark.parametrize(
    ("name", "container", "codec"),
    [
        ("a.mp3", "mp3", "libmp3lame"),
        ("a.flac", "flac", "flac"),
        ("a.m4a", "mp4", "aac"),
        ("a.opus", "ogg", "libopus"),
        ("a.mka", "matroska", "libopus"),
    ],
)
def test_a_tone_is_the_same_tone_out_of_every_container(tmp_path: Path, name: str, container: str, codec: str) -> None:
    samples, notes = heard(write(tmp_path / name, encoded(tone(2.0), container, codec)))
    assert len(samples) == pytest.approx(2 * RATE_HZ, rel=0.05)
    middle = samples[RATE_HZ // 2 : RATE_HZ // 2 + RATE_HZ]
    assert np.argmax(np.abs(np.fft.rfft(middle))) == pytest.approx(440, abs=2)
    assert np.abs(middle).max() == pytest.approx(0.5, abs=0.1)
    assert notes == ()


def test_the_sound_of_a_film_is_heard_and_a_film_without_sound_is_said(tmp_path: Path) -> None:
    film = encoded(tone(1.0), "mp4", "aac", picture=True)
    samples, _ = heard(write(tmp_path / "film.mp4", film))
    assert np.abs(samples).max() > 0.3
    with pytest.raises(UnsupportedFile, match=r"silent\.mp4 has no sound"):
        heard(write(tmp_path / "silent.mp4", silent_film()))


def in_numbers(samples: NDArray[np.float32], format_tag: int, bits: int) -> bytes:
    if format_tag == 3:
        return samples.astype(f"<f{bits // 8}").tobytes()
    if bits == 8:
        return ((samples + 1) * 127.5).astype(np.uint8).tobytes()
    return b"".join(struct.pack("<i", int(each * (2 ** (bits - 1) - 1)))[: bits // 8] for each in samples.tolist())


@pytest.mark.parametrize(("format_tag", "bits"), [(1, 8), (1, 24), (1, 32), (3, 32), (3, 64)])
def test_every_number_format_of_wav(tmp_path: Path, format_tag: int, bits: int) -> None:
    data = in_numbers(tone(1.0), format_tag, bits)
    samples, _ = heard(write(tmp_path / "a.wav", wav_bytes(data, format_tag=format_tag, bits=bits)))
    assert samples.shape == (RATE_HZ,)
    assert np.abs(samples - tone(1.0)).max() < 0.02


@pytest.mark.parametrize("rate_hz", [8_000, 192_000])
def test_every_rate_comes_out_at_16_khz(tmp_path: Path, rate_hz: int) -> None:
    samples, _ = heard(write(tmp_path / "a.wav", wav16(tone(1.0, rate_hz=rate_hz), rate_hz=rate_hz)))
    assert len(samples) == pytest.approx(RATE_HZ, rel=0.01)


def test_what_is_no_number_is_silence_and_too_loud_is_one(tmp_path: Path) -> None:
    data = np.array([np.nan, np.inf, -np.inf, 1e30, 0.25] * 1000, "<f4")
    samples, _ = heard(write(tmp_path / "a.wav", wav_bytes(data.tobytes(), format_tag=3, bits=32)))
    assert samples[:5].tolist() == [0.0, 1.0, -1.0, 1.0, 0.25]


def test_no_sample_is_empty_and_one_sample_is_one(tmp_path: Path) -> None:
    with pytest.raises(EmptyFile, match=r"none\.wav has no sound in it") as raised:
        heard(write(tmp_path / "none.wav", wav16(np.zeros(0, np.float32))))
    assert "record it again" in raised.value.hint
    samples, _ = heard(write(tmp_path / "one.wav", wav16(np.ones(1, np.float32))))
    assert samples.shape == (1,)


def test_a_header_that_claims_twelve_hours_is_not_believed(tmp_path: Path) -> None:
    data = (tone(1.0) * 32767).astype("<i2").tobytes()
    lying = wav_bytes(data, format_tag=1, bits=16, claimed_bytes=12 * 3600 * RATE_HZ * 2)
    samples, notes = heard(write(tmp_path / "long.wav", lying))
    assert samples.shape == (RATE_HZ,)
    assert notes == () or "cut off" in notes[0]


def test_a_file_that_was_cut_off_gives_what_is_there_and_says_so(tmp_path: Path) -> None:
    whole = encoded(tone(20.0), "flac", "flac")
    samples, notes = heard(write(tmp_path / "cut.flac", whole[: len(whole) // 2]))
    assert 5 * RATE_HZ < len(samples) < 15 * RATE_HZ
    assert any("cut off" in note for note in notes)


@pytest.mark.parametrize("seed", range(4))
def test_flipped_bits_cost_a_stretch_or_the_file_and_nothing_else(tmp_path: Path, seed: int) -> None:
    damaged = bytearray(encoded(tone(3.0), *(("mp3", "libmp3lame"), ("ogg", "libopus"), ("mp4", "aac"))[seed % 3]))
    dice = np.random.default_rng(seed)
    for position in dice.integers(0, len(damaged), 40):
        damaged[position] ^= 1 << int(dice.integers(8))
    path = write(tmp_path / ("a.mp3", "a.ogg", "a.m4a")[seed % 3], bytes(damaged))
    said = ""
    samples = np.zeros(1, np.float32)
    try:
        samples, _ = heard(path)
    except ReadError as error:
        said = str(error)
    assert not said or Path(path).name in said
    assert len(samples)
    assert np.isfinite(samples).all()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.mp3", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{secret}\n#EXT-X-ENDLIST\n"),
        ("list.wav", "ffconcat version 1.0\nfile '{secret}'\n"),
        ("list.m4a", "#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1:9/a.mp3\n"),
        ("text.ogg", "Only words, and no sound at all. " * 50),
        ("start.wav", "RIFF"),
    ],
)
def test_playlists_open_no_other_file_and_what_is_no_sound_is_said(tmp_path: Path, name: str, content: str) -> None:
    secret = write(tmp_path / "secret.wav", wav16(tone(1.0)))
    with pytest.raises(DamagedFile, match=name):
        heard(write(tmp_path / name, content.format(secret=secret).encode()))


def test_going_on_in_the_middle_gives_the_very_same_samples(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.mp3", encoded(tone(25.0) * np.linspace(0, 1, 25 * RATE_HZ, dtype=np.float32), "mp3", "libmp3lame")
    )
    whole, _ = heard(path)
    later, _ = heard(path, skip_samples=12 * RATE_HZ + 7)
    assert np.array_equal(whole[12 * RATE_HZ + 7 :], later)
    assert len(heard(path, skip_samples=len(whole))[0]) == 0


def test_what_a_file_says_of_itself_is_cleaned(tmp_path: Path) -> None:
    import av

    target = io.BytesIO()
    with av.open(target, "w", format="flac") as output:
        output.metadata.update({"title": "Budget \x1b[31m2026", "artist": "Maud"})
        stream = output.add_stream("flac", rate=RATE_HZ)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray((tone(0.5) * 32767).astype(np.int16)[None, :], format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with SoundReader().open(write(tmp_path / "a.flac", target.getvalue())) as sound:
        assert "\x1b" not in sound.facts.title
        assert sound.facts.title.startswith("Budget")
        assert sound.facts.artist == "Maud"
        assert sound.facts.claimed_s == pytest.approx(0.5, abs=0.05)


def test_a_stop_ends_it_soon_and_what_is_not_there_is_said(tmp_path: Path) -> None:
    stop = threading.Event()
    path = write(tmp_path / "a.wav", wav16(np.zeros(120 * RATE_HZ, np.float32)))
    with SoundReader().open(path, stop) as sound:
        pieces = sound.pieces()
        assert len(next(pieces))
        stop.set()
        with pytest.raises(ReadStopped):
            list(pieces)
    with pytest.raises(ReadError, match="not there"):
        heard(str(tmp_path / "gone.wav"))


@pytest.mark.parametrize(
    "frame",
    [
        b"\x00\x00\x00\x04S" + struct.pack("<f", float("nan")),
        b"\x00\x00\x00\x03Sabc",
        b"\xff\xff\xff\xffS",
        b"\x00\x00\x00\x02X{}",
        b"\x00\x00\x00\x02J{,",
    ],
)
def test_frames_that_are_none_are_refused(frame: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # json's own is one too
        read_sound_frame(io.BytesIO(frame), 1 << 20)
