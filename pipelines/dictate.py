"""Dictation: what is said into the microphone as text, again and again as more of it is heard, until it is final.

The sound is in memory while somebody speaks and nowhere else. What was said some time ago is settled at a pause, so
that only the last half minute is recognised again; the recogniser works in a thread of its own, so that the level goes
on moving. Knows no screen.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.microphone import Microphone
from models.speech import SAMPLE_RATE_HZ, LanguageFound, SpeechModel, SpeechSegment
from models.speech_sound import loudness, pause_in
from pipelines.foreground import Foreground

NEW_SOUND_S = 0.7
"""More to hear is worth another look."""
SETTLE_AFTER_S = 24.0
"""A recogniser takes 30 s at once; what is longer is settled at its quietest moment."""
SILENCE_ENDS_S = 8.0
"""Nothing to hear for so long: the user is gone, or done."""
LONGEST_S = 600.0
SURE_LANGUAGE = 0.5
QUIET_DB, LOUD_DB = -60.0, -10.0
"""The ends of the level that is shown."""
VOICE_LEVEL_SHARE = 0.3
"""Of that range (-45 dB): somebody speaks."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Some more was heard."""

    level: float
    """How loud, 0 to 1."""
    seconds: float
    """Since it began."""


@dataclass(frozen=True, slots=True)
class Dictated:
    """All that was said so far, as far as it is understood; replaces what was told before."""

    text: str


@dataclass(frozen=True, slots=True)
class DictationDone:
    """The last one: the final text, empty where nothing was said."""

    text: str
    ended_by: Literal["stop", "silence", "length"]


DictationEvent = Listening | Dictated | DictationDone


class Dictation:
    """One user at a time speaks into a microphone."""

    def __init__(
        self,
        microphone: Microphone,
        borrow: Callable[[], AbstractContextManager[SpeechModel]],
        foreground: Foreground,
    ) -> None:
        self._microphone = microphone
        self._borrow = borrow
        self._foreground = foreground

    def listen(self, stop: threading.Event) -> Generator[DictationEvent]:
        """Listen until `stop` is set or nothing more is said; ends with DictationDone, which takes one more look.

        Raises DeviceUnavailable where there is no microphone; WeightsMissing and the other ModelErrors.
        """
        run = _Run(self._borrow)
        with self._foreground.busy(), ThreadPoolExecutor(1, "dictation") as thread:
            with self._microphone.open() as pieces:
                looking: Future[str] | None = thread.submit(run.warm_up)
                ended_by: Literal["stop", "silence", "length"] = "length"
                for piece in pieces:
                    level = run.add(piece)
                    yield Listening(level, run.seconds)
                    if looking is not None and looking.done():
                        yield from _told(run, looking)
                        looking = None
                    if stop.is_set():
                        ended_by = "stop"
                        break
                    if run.silent_s >= SILENCE_ENDS_S:
                        ended_by = "silence"
                        break
                    if run.seconds >= LONGEST_S:
                        break
                    if looking is None and run.has_news:
                        looking = thread.submit(run.look)
            if looking is not None:
                yield from _told(run, looking)
            text = thread.submit(run.last_look).result()
        yield DictationDone(text, ended_by)


def _told(run: _Run, looking: Future[str]) -> Iterator[Dictated]:
    text = looking.result()
    if text != run.told:
        run.told = text
        yield Dictated(text)


class _Run:
    """What was heard and understood. `add` is called by the listener, the looks by the recogniser's thread; a look
    works on what was heard before it began."""

    def __init__(self, borrow: Callable[[], AbstractContextManager[SpeechModel]]) -> None:
        self._borrow = borrow
        self._lock = threading.Lock()
        self._held: list[NDArray[np.float32]] = []
        self._held_samples = 0
        self._looked_at_samples = 0
        self._has_voice = False
        self._settled = ""
        self._language = LanguageFound("", 0.0)
        self._never = threading.Event()
        self.told = ""
        self.seconds = 0.0
        self.silent_s = 0.0

    def add(self, piece: NDArray[np.float32]) -> float:
        """Returns its level, 0 to 1."""
        level = min(1.0, max(0.0, (loudness(piece) - QUIET_DB) / (LOUD_DB - QUIET_DB)))
        seconds = len(piece) / SAMPLE_RATE_HZ
        speaks = level >= VOICE_LEVEL_SHARE
        self.seconds += seconds
        self.silent_s = 0.0 if speaks else self.silent_s + seconds
        with self._lock:
            self._has_voice |= speaks
            self._held.append(piece)
            self._held_samples += len(piece)
        return level

    @property
    def has_news(self) -> bool:
        """Enough new sound, and a voice in it."""
        with self._lock:
            news = self._held_samples - self._looked_at_samples
            return self._has_voice and news >= NEW_SOUND_S * SAMPLE_RATE_HZ

    def warm_up(self) -> str:
        """Load the recogniser while the first words are said."""
        with self._borrow():
            return self.told

    def look(self) -> str:
        """All that was said so far; settles what is too long to be looked at again."""
        sound = self._sound()
        if len(sound) > SETTLE_AFTER_S * SAMPLE_RATE_HZ:
            cut = pause_in(sound)
            self._settled = _joined(self._settled, self._recognised(sound[:cut]))
            self._leave_out(cut)
            sound = sound[cut:]
        return _joined(self._settled, self._recognised(sound))

    def last_look(self) -> str:
        with self._lock:
            is_known = not self._has_voice and self._held_samples == 0
        if is_known:
            return self._settled
        text = self.look()
        with self._lock:
            self._held.clear()
            self._held_samples = 0
        return text

    def _sound(self) -> NDArray[np.float32]:
        with self._lock:
            if not self._held:
                return np.zeros(0, np.float32)
            sound = np.concatenate(self._held)
            self._held = [sound]
            self._looked_at_samples = len(sound)
            self._has_voice = False
            return sound

    def _leave_out(self, samples: int) -> None:
        with self._lock:
            self._held = [np.concatenate(self._held)[samples:]]
            self._held_samples -= samples
            self._looked_at_samples -= samples

    def _recognised(self, sound: NDArray[np.float32]) -> str:
        known = self._language.language if self._language.probability >= SURE_LANGUAGE else ""
        said: list[str] = []
        with self._borrow() as model:
            for event in model.transcribe(sound, language=known, is_whole=True, stop=self._never):
                match event:
                    case LanguageFound():
                        self._language = max(self._language, event, key=lambda found: found.probability)
                    case SpeechSegment():
                        said.append(" ".join(event.text.split()))
                    case _:
                        pass
        return " ".join(said)


def _joined(before: str, behind: str) -> str:
    return f"{before} {behind}".strip()
