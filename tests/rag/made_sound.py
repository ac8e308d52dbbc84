"""Sound files made for tests: tones in any container and codec that PyAV writes, and WAV files written by hand."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.video.stream import VideoStream

RATE_HZ = 16_000


def tone(seconds: float, *, hz: float = 440.0, level: float = 0.5, rate_hz: int = RATE_HZ) -> NDArray[np.float32]:
    times = np.arange(int(seconds * rate_hz)) / rate_hz
    return (level * np.sin(2 * np.pi * hz * times)).astype(np.float32)


def wav_bytes(
    data: bytes, *, format_tag: int, bits: int, channels: int = 1, rate_hz: int = RATE_HZ, claimed_bytes: int = -1
) -> bytes:
    """A WAV file as its header says; `claimed_bytes` is what the header says of the data, where that is to be wrong."""
    claimed = len(data) if claimed_bytes < 0 else claimed_bytes
    frame_bytes = channels * bits // 8
    layout = struct.pack("<HHIIHH", format_tag, channels, rate_hz, rate_hz * frame_bytes, frame_bytes, bits)
    body = b"WAVE" + b"fmt " + struct.pack("<I", len(layout)) + layout + b"data" + struct.pack("<I", claimed) + data
    return b"RIFF" + struct.pack("<I", min(4 + len(body), 0xFFFFFFFF)) + body


def wav16(samples: NDArray[np.float32], *, rate_hz: int = RATE_HZ) -> bytes:
    return wav_bytes((samples * 32767).astype("<i2").tobytes(), format_tag=1, bits=16, rate_hz=rate_hz)


def encoded(
    samples: NDArray[np.float32], container: str, codec: str, *, rate_hz: int = 48_000, picture: bool = False
) -> bytes:
    """The samples (16 kHz) in a container such as `mp3`, `flac`, `ogg`, `mp4`; with a moving picture beside them."""
    import av

    target = io.BytesIO()
    with av.open(target, "w", format=container) as output:
        film = _film_stream(output) if picture else None
        stream = cast("AudioStream", output.add_stream(codec, rate=rate_hz))
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(samples[None, :], format="fltp", layout="mono")
        frame.sample_rate = RATE_HZ
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=rate_hz, frame_size=stream.frame_size)
        for each in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(each))
        output.mux(stream.encode(None))
        if film is not None:
            _draw(output, film)
    return target.getvalue()


def silent_film() -> bytes:
    import av

    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as output:
        _draw(output, _film_stream(output))
    return target.getvalue()


def _film_stream(output: OutputContainer) -> VideoStream:
    stream = output.add_stream("mpeg4", rate=10)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    return stream


def _draw(output: OutputContainer, stream: VideoStream) -> None:
    import av

    for _ in range(10):
        output.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
    output.mux(stream.encode(None))


def write(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)
