"""Sound as numbers: how loud it is, and where it can be cut without cutting a word.

Pure numpy; knows no recogniser.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.speech import SAMPLE_RATE_HZ

FRAME_SAMPLES = SAMPLE_RATE_HZ // 50
"""20 ms."""
PAUSE_FRAMES = 20
"""A cut is made in the middle of the quietest 0.4 s."""
FIRST_WINDOW_S = 30.0
"""So that the first words are there soon."""
WINDOW_S = 150.0
"""Four chunks of Whisper's, and what waits for the next window."""
CUT_WITHIN_S = 20.0
"""The cut is looked for in the last part of a window."""
SILENCE_LEVEL = 1e-3
"""-60 dB: no frame of 20 ms is louder where there is nothing but the noise of a microphone."""
VOICE_LEVEL = 10 ** (-45 / 20)
"""Somebody who is to be understood is louder than this in some frames."""
VOICE_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Window:
    """Some minutes of a recording, cut at quiet moments."""

    start_sample: int
    samples: NDArray[np.float32]
    is_last: bool

    @property
    def start_s(self) -> float:
        return self.start_sample / SAMPLE_RATE_HZ

    @property
    def end_sample(self) -> int:
        return self.start_sample + len(self.samples)


def cut_windows(
    pieces: Iterable[NDArray[np.float32]], *, start_sample: int = 0, window_s: float = WINDOW_S
) -> Generator[Window, int | None]:
    """Cut a stream of sound into windows of at most `window_s` (the first one shorter), at quiet moments.

    The next window begins where one ends, or at the sample of the recording that is sent: what is behind it comes
    again. The same sound gives the same windows, and going on where one began gives those that follow. Holds one
    window and one piece at a time. A stream without samples gives no window.
    """
    held: list[NDArray[np.float32]] = []
    held_samples = 0
    start = start_sample
    for piece in pieces:
        held.append(piece)
        held_samples += len(piece)
        # One sample more than a window: so what is cut off is never the last of the recording.
        while held_samples > (wanted := _wanted_samples(start, window_s)):
            joined = np.concatenate(held)
            cut = pause_in(joined[:wanted])
            go_on_at = yield Window(start, joined[:cut], is_last=False)
            if go_on_at is not None:
                cut = go_on_at - start
            start += cut
            held, held_samples = [joined[cut:]], held_samples - cut
    if held_samples:
        yield Window(start, np.concatenate(held), is_last=True)


def is_silent(samples: NDArray[np.float32]) -> bool:
    """No frame of it is louder than the noise of a microphone."""
    return not len(samples) or float(_frame_levels(samples).max()) < SILENCE_LEVEL


def may_be_voice(samples: NDArray[np.float32]) -> bool:
    """As loud as a voice for at least a part of the time. Noise may be, too."""
    levels = _frame_levels(samples)
    return float(np.mean(levels > VOICE_LEVEL)) >= VOICE_SHARE


def loudness(samples: NDArray[np.float32]) -> float:
    """In decibels; 0 is a full-scale square wave, nothing is below -120."""
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    return 10 * float(np.log10(max(power, 1e-12)))


def _wanted_samples(start: int, window_s: float) -> int:
    return int((window_s if start else min(window_s, FIRST_WINDOW_S)) * SAMPLE_RATE_HZ)


def pause_in(samples: NDArray[np.float32]) -> int:
    """Where to cut: the sample in the middle of the quietest pause in the last CUT_WITHIN_S."""
    first = max(0, len(samples) - int(CUT_WITHIN_S * SAMPLE_RATE_HZ))
    powers = _frame_levels(samples[first:]) ** 2
    if len(powers) <= PAUSE_FRAMES:
        return len(samples)
    sums = np.convolve(powers, np.ones(PAUSE_FRAMES), "valid")
    # The last of equally quiet ones: longer windows are the cheaper ones.
    quietest = len(sums) - 1 - int(np.argmin(sums[::-1]))
    return first + (quietest + PAUSE_FRAMES // 2) * FRAME_SAMPLES


def _frame_levels(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Root mean square of each frame of 20 ms; one frame for anything shorter."""
    whole = len(samples) // FRAME_SAMPLES * FRAME_SAMPLES
    if not whole:
        return np.array([np.sqrt(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0])
    frames = samples[:whole].reshape(-1, FRAME_SAMPLES)
    levels: NDArray[np.float64] = np.sqrt(np.mean(np.square(frames, dtype=np.float64), axis=1))
    return levels
