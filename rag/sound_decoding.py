"""Decode what is heard in a sound or video file: 16 kHz, one channel, floats, piece by piece.

PyAV (FFmpeg) does it, on an open file and nothing else: only demuxers of files are let in, never a playlist, and no
protocol, so that a file cannot make it open another one or an address. Runs in the worker process
(`rag.sound_worker`); memory does not grow with the length, and a length that a header claims is only told, not
believed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from rag.errors import DamagedFile, EmptyFile, UnsupportedFile
from rag.readers.contract import OpenedFile
from rag.readers.sniff import refuse_silent_kinds

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer

SAMPLE_RATE_HZ = 16_000
"""What speech recognisers are trained on."""
PIECE_SAMPLES = 10 * SAMPLE_RATE_HZ
"""Given out at once: 640 kB."""
MAX_GAP_S = 600.0
"""A longer hole in the timestamps is taken for a wrong timestamp, and nothing is put in its place."""
MIN_GAP_S = 0.2
CUT_OFF_SHARE = 0.98
"""A recording with less than this share of the length that its header claims was cut off, and is said to be."""
MAX_HEADER_S = 30 * 24 * 3600.0
"""A claimed length beyond this is no length."""
MAX_TAG_CHARS = 500

_DEMUXERS = (
    "wav w64 mp3 flac ogg mov mp4 m4a 3gp 3g2 mj2 matroska webm avi asf aac aiff amr amrnb amrwb ape caf flv mpeg"
    " mpegts"
)
_OPEN_OPTIONS = {"format_whitelist": ",".join(_DEMUXERS.split()), "protocol_whitelist": "none"}


@dataclass(slots=True)
class Sound:
    """The sound of one file. Everything but `claimed_s` and the tags is complete when `pieces` is exhausted."""

    pieces: Iterator[NDArray[np.float32]]
    """(samples,), -1 to 1, at most PIECE_SAMPLES each."""
    claimed_s: float | None = None
    """How long it is, as its header says; not to be trusted."""
    title: str = ""
    artist: str = ""
    samples: int = 0
    """Given out so far."""
    damaged_packets: int = 0
    notes: list[str] = field(default_factory=list)


def open_sound(file: OpenedFile) -> Sound:
    """Open the first audio stream of a file. The caller closes the file's stream, after the last piece.

    Raises DamagedFile for what is no sound or video file, UnsupportedFile for a video without sound; `pieces` raises
    DamagedFile where nothing can be decoded and EmptyFile where there is not one sample.
    """
    import av
    from av.error import FFmpegError
    from av.stream import Discard

    refuse_silent_kinds(file)
    av.logging.set_level(None)
    # The stubs know neither `io_open` as a refusing function nor None; a file inside a playlist would come this way.
    options: dict[str, Any] = {"container_options": _OPEN_OPTIONS, "io_open": _refuse, "metadata_errors": "replace"}
    try:
        container: InputContainer = av.open(file.stream, mode="r", **options)
    except (FFmpegError, PermissionError, ValueError) as error:
        raise DamagedFile(
            f"{file.name} is no recording that can be read ({_reason(error)})",
            hint="get it again from where it came, or convert it to MP3, FLAC or WAV",
        ) from error
    if not container.streams.audio:
        container.close()
        raise UnsupportedFile(
            f"{file.name} has no sound", hint="there is nothing in it to hear", counted_as="without sound"
        )
    stream = container.streams.audio[0]
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all
    tags = {**container.metadata, **stream.metadata}
    by_name = {name.lower(): value for name, value in tags.items()}
    sound = Sound(iter(()), _claimed_s(container), _tag(by_name, "title"), _tag(by_name, "artist"))
    sound.pieces = _pieces(file, container, stream, sound)
    return sound


def _refuse(_url: str, _flags: int, _options: dict[str, str]) -> NoReturn:
    raise PermissionError("a recording opens no other file")


def _pieces(
    file: OpenedFile, container: InputContainer, stream: AudioStream, sound: Sound
) -> Iterator[NDArray[np.float32]]:
    """Of at most PIECE_SAMPLES. Ends quietly where the file does, however early that is, and says so in the notes."""
    held: list[NDArray[np.float32]] = []
    held_samples = 0
    with container:
        for samples in _decoded(container, stream, sound):
            held.append(samples)
            held_samples += len(samples)
            while held_samples >= PIECE_SAMPLES:
                joined = np.concatenate(held)
                held, held_samples = [joined[PIECE_SAMPLES:]], held_samples - PIECE_SAMPLES
                sound.samples += PIECE_SAMPLES
                yield joined[:PIECE_SAMPLES]
    if held_samples:
        sound.samples += held_samples
        yield np.concatenate(held)
    if not sound.samples:
        if sound.damaged_packets:
            raise DamagedFile(f"{file.name}: its sound cannot be decoded", hint="get it again from where it came")
        raise EmptyFile(f"{file.name} has no sound in it", hint="record it again, or get it again from where it came")
    heard_s = sound.samples / SAMPLE_RATE_HZ
    if sound.damaged_packets:
        sound.notes.append(f"{sound.damaged_packets:,} damaged stretches were left out")
    if sound.claimed_s is not None and heard_s < CUT_OFF_SHARE * sound.claimed_s - 1.0:
        sound.notes.append(f"only {heard_s:,.0f} of {sound.claimed_s:,.0f} seconds are there: it may have been cut off")


def _decoded(container: InputContainer, stream: AudioStream, sound: Sound) -> Iterator[NDArray[np.float32]]:
    """What is decoded, with silence where the timestamps leave a hole, so that times stay those of a player."""
    from av.audio.resampler import AudioResampler
    from av.error import FFmpegError

    resampler = AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ)
    layout: tuple[object, ...] = ()
    start_s = (container.start_time or 0) / 1_000_000
    given_out = 0
    for frame in _frames(container, stream, sound):
        found = (frame.sample_rate, frame.format.name, frame.layout.name)
        if layout and found != layout:  # a stream may change in the middle
            resampler = AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ)
        layout = found
        if frame.time is not None:
            hole_s = frame.time - start_s - given_out / SAMPLE_RATE_HZ
            if MIN_GAP_S < hole_s <= MAX_GAP_S:
                silence = np.zeros(int(hole_s * SAMPLE_RATE_HZ), np.float32)
                given_out += len(silence)
                yield silence
        frame.pts = None  # holes are filled here; the resampler must not stretch anything
        try:
            resampled = resampler.resample(frame)
        except (FFmpegError, ValueError):
            sound.damaged_packets += 1
            resampler = AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ)
            continue
        for each in resampled:
            samples = _samples(each)
            given_out += len(samples)
            yield samples
    for each in resampler.resample(None) if layout else ():
        yield _samples(each)


def _frames(container: InputContainer, stream: AudioStream, sound: Sound) -> Iterator[AudioFrame]:
    """A packet that cannot be decoded costs itself; where the file cannot be followed any more, it ends."""
    from av.error import EOFError as EndOfFile
    from av.error import FFmpegError

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, EndOfFile):
            return
        except (FFmpegError, ValueError):
            sound.damaged_packets += 1
            return
        try:
            yield from packet.decode()
        except EndOfFile:
            return
        except (FFmpegError, ValueError):
            sound.damaged_packets += 1


def _samples(frame: AudioFrame) -> NDArray[np.float32]:
    """(samples,); a float file may hold anything: what is no number is silence, what is louder than 1 is 1."""
    samples = np.array(frame.to_ndarray()[0], np.float32)
    return np.clip(np.nan_to_num(samples, copy=False, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0)


def _claimed_s(container: InputContainer) -> float | None:
    seconds = (container.duration or 0) / 1_000_000
    return seconds if 0 < seconds <= MAX_HEADER_S else None


def _tag(tags: dict[str, str], name: str) -> str:
    return tags.get(name, "")[:MAX_TAG_CHARS].strip()


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", "") or str(error) or type(error).__name__).lower()
