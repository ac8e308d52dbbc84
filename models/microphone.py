"""The machine's microphone as a stream of sound, by sounddevice on PortAudio (the extra `homebody[voice]`).

Sound lives in memory only, and only as long as somebody listens. Knows no recogniser and no screen.
"""

from __future__ import annotations

import ctypes
import logging
import queue
import sys
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.errors import DeviceUnavailable
from models.extras import install_hint
from models.speech import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from sounddevice import InputStream

log = logging.getLogger(__name__)

PIECE_S = 0.1
"""Sound is given out this much at a time."""
LOST_AFTER_S = 3.0
"""Without a piece for so long the microphone is gone: unplugged, or taken by another program."""
MOST_WAITING_PIECES = 600
"""A minute that nobody took; what comes then is left out, so that memory stays bounded."""


class Microphone(Protocol):
    def open(self) -> AbstractContextManager[Iterator[NDArray[np.float32]]]:
        """Listen until the block is left: pieces of (samples,), 16 kHz, -1 to 1, some 0.1 s each, as they come.

        Raises DeviceUnavailable where there is no microphone, or it went away.
        """
        ...


class SystemMicrophone:
    """The one that the system's settings name. Satisfies `Microphone`."""

    @contextmanager
    def open(self) -> Generator[Iterator[NDArray[np.float32]]]:
        """See `Microphone`."""
        waiting: queue.Queue[NDArray[np.float32]] = queue.Queue(MOST_WAITING_PIECES)

        def take(sound: NDArray[np.float32], _frames: int, _time: object, _status: object) -> None:
            with suppress(queue.Full):  # PortAudio's own thread: it must never wait
                waiting.put_nowait(np.clip(np.nan_to_num(sound[:, 0]), -1.0, 1.0))

        stream, rate_hz = _opened(take)
        try:
            with stream:
                yield _pieces(waiting, rate_hz)
        except _portaudio_error() as error:
            raise _refused(error) from error


def _opened(take: Any) -> tuple[InputStream, int]:
    """A stream at 16 kHz, or at the rate that the device has. Raises DeviceUnavailable."""
    module = _sounddevice()
    wanted: list[int] = [SAMPLE_RATE_HZ]
    try:
        wanted.append(int(module.query_devices(kind="input")["default_samplerate"]))
    except (module.PortAudioError, ValueError) as error:
        raise DeviceUnavailable(
            "there is no microphone", hint="plug one in, and allow this terminal to use it"
        ) from error
    refused: Exception | None = None
    for rate_hz in wanted:
        try:
            return module.InputStream(
                samplerate=rate_hz, channels=1, dtype="float32", blocksize=int(rate_hz * PIECE_S), callback=take
            ), rate_hz
        except (module.PortAudioError, ValueError) as error:
            refused = error
    raise _refused(refused) from refused


def _pieces(waiting: queue.Queue[NDArray[np.float32]], rate_hz: int) -> Iterator[NDArray[np.float32]]:
    to_16_khz = Resampling(rate_hz)
    while True:
        try:
            piece = waiting.get(timeout=LOST_AFTER_S)
        except queue.Empty:
            raise DeviceUnavailable(
                "the microphone gives no sound any more",
                hint="look whether it is plugged in, or used by another program",
            ) from None
        yield to_16_khz(piece)


class Resampling:
    """Pieces of sound at a device's own rate to 16 kHz, by FFmpeg's resampler (PyAV)."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._resampler: Any = None

    def __call__(self, piece: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._rate_hz == SAMPLE_RATE_HZ:
            return piece
        from av.audio.frame import AudioFrame
        from av.audio.resampler import AudioResampler

        if self._resampler is None:
            self._resampler = AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ)
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(piece[None, :]), format="flt", layout="mono")
        frame.sample_rate = self._rate_hz
        made = [each.to_ndarray()[0] for each in self._resampler.resample(frame)]
        return np.concatenate(made).astype(np.float32) if made else np.zeros(0, np.float32)


def _sounddevice() -> Any:
    """The library. Raises DeviceUnavailable with what is missing: the extra, or PortAudio."""
    try:
        import sounddevice
    except ModuleNotFoundError as error:
        raise DeviceUnavailable("dictation is not installed", hint=install_hint("voice")) from error
    except OSError as error:  # it looks for the library when it is imported
        on_linux = "install PortAudio: apt install libportaudio2, dnf install portaudio, or pacman -S portaudio"
        hint = on_linux if sys.platform == "linux" else f"{install_hint('voice')} once more: it carries PortAudio"
        raise DeviceUnavailable("PortAudio, which listens to microphones, is not on this machine", hint=hint) from error
    _alsa_complaints_to_log()
    return sounddevice


@cache
def _alsa_complaints_to_log() -> Any:
    """ALSA writes what it does not find to standard error, which is the screen. Returns its handler, which must live
    as long as the process."""
    signature = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p)

    def log_it(_file: bytes, _line: int, function: bytes, _code: int, what: bytes) -> None:
        # The format's own values cannot be reached from here.
        log.debug(
            "ALSA: %s: %s", (function or b"").decode("utf-8", "replace"), (what or b"").decode("utf-8", "replace")
        )

    handler = signature(log_it)
    if sys.platform == "linux":
        try:
            ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler(handler)
        except (OSError, AttributeError):
            log.debug("ALSA's complaints cannot be caught")
    return handler


def _portaudio_error() -> type[Exception]:
    error: type[Exception] = _sounddevice().PortAudioError
    return error


def _refused(error: Exception | None) -> DeviceUnavailable:
    said = str(error.args[0]) if error is not None and error.args else "no reason was given"
    return DeviceUnavailable(
        f"the microphone cannot be used ({said})",
        hint="allow this terminal to use it in the system's settings, and close what uses it",
    )


__all__ = ["PIECE_S", "Microphone", "SystemMicrophone"]
