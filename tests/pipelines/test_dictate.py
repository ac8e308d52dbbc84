"""Dictation: a scripted microphone, a scripted recogniser, and once the real one."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.errors import DeviceUnavailable, WeightsMissing
from models.microphone import Resampling
from models.speech import SAMPLE_RATE_HZ, SpeechModel
from models.speech_whisper import WhisperSpeech
from pipelines.dictate import SILENCE_ENDS_S, Dictated, Dictation, DictationDone, DictationEvent, Listening
from pipelines.foreground import Foreground
from rag.sound import SoundReader
from tests.conftest import PROJECT_ROOT
from tests.pipelines.speaking import FakeRecogniser
from tests.rag.made_sound import tone

PIECE = SAMPLE_RATE_HZ // 10


class FakeMicrophone:
    """Gives out what it was given, piece by piece; `between` is called before each, as time would pass."""

    def __init__(self, sound: NDArray[np.float32], *, error: Exception | None = None) -> None:
        self.sound = sound
        self.error = error
        self.is_open = False
        self.given_out = 0

    @contextmanager
    def open(self) -> Generator[Iterator[NDArray[np.float32]]]:
        if self.error is not None:
            raise self.error
        self.is_open = True
        try:
            yield self._pieces()
        finally:
            self.is_open = False

    def _pieces(self) -> Iterator[NDArray[np.float32]]:
        for start in range(0, len(self.sound), PIECE):
            self.given_out += 1
            yield self.sound[start : start + PIECE]
        while True:  # a microphone never ends
            yield np.zeros(PIECE, np.float32)


def dictation(microphone: FakeMicrophone, model: SpeechModel, foreground: Foreground | None = None) -> Dictation:
    @contextmanager
    def borrow() -> Generator[SpeechModel]:
        yield model

    return Dictation(microphone, borrow, foreground or Foreground())


def text_of(events: list[DictationEvent]) -> DictationDone:
    assert isinstance(events[-1], DictationDone)
    return events[-1]


def test_the_level_moves_and_silence_ends_it_with_the_last_look() -> None:
    microphone = FakeMicrophone(tone(2.0))
    recogniser = FakeRecogniser()
    for _ in range(20):
        recogniser.enqueue("Buy candles.")
    foreground = Foreground()
    events = []
    for event in dictation(microphone, recogniser, foreground).listen(threading.Event()):
        assert foreground.is_busy or isinstance(event, DictationDone)
        events.append(event)
    assert not foreground.is_busy
    assert not microphone.is_open
    assert text_of(events) == DictationDone("Buy candles.", "silence")
    heard = [event for event in events if isinstance(event, Listening)]
    assert heard[0].level > 0.5 > heard[-1].level
    assert heard[-1].seconds == pytest.approx(2.0 + SILENCE_ENDS_S, abs=0.11)


def test_a_stop_gives_the_final_text_of_all_that_was_heard() -> None:
    stop = threading.Event()
    recogniser = FakeRecogniser()
    for _ in range(20):
        recogniser.enqueue("So far.")
    events: list[DictationEvent] = []
    for event in dictation(FakeMicrophone(tone(60.0)), recogniser).listen(stop):
        events.append(event)
        if isinstance(event, Listening) and event.seconds >= 3.0:
            stop.set()
    assert text_of(events) == DictationDone("So far.", "stop")
    assert recogniser.history[-1].seconds == pytest.approx(3.0)


def test_what_is_long_is_settled_at_a_pause_and_said_once() -> None:
    sound = np.concatenate([tone(18.0), np.zeros(SAMPLE_RATE_HZ, np.float32), tone(9.0)])
    stop = threading.Event()
    recogniser = FakeRecogniser()
    events = []
    listening = dictation(FakeMicrophone(sound), recogniser).listen(stop)
    for event in listening:
        events.append(event)
        if isinstance(event, Listening) and event.seconds >= 27.9:
            stop.set()
            break
    done_with = len(recogniser.history)
    recogniser.enqueue("The first part.")
    recogniser.enqueue("The second.")
    events += list(listening)
    assert len(recogniser.history) >= done_with
    assert all(each.seconds <= 28.1 for each in recogniser.history)
    assert recogniser.history[-1].seconds == pytest.approx(9.2, abs=0.4)


def test_nothing_said_is_nothing_written() -> None:
    recogniser = FakeRecogniser()
    events = list(dictation(FakeMicrophone(np.zeros(0, np.float32)), recogniser).listen(threading.Event()))
    assert text_of(events) == DictationDone("", "silence")
    assert not any(isinstance(event, Dictated) for event in events)


@pytest.mark.parametrize("error", [DeviceUnavailable("there is no microphone", hint="plug one in")])
def test_no_microphone_is_said(error: Exception) -> None:
    with pytest.raises(DeviceUnavailable, match="no microphone"):
        list(dictation(FakeMicrophone(tone(1.0), error=error), FakeRecogniser()).listen(threading.Event()))


def test_a_recogniser_that_is_missing_is_said_and_the_microphone_closed() -> None:
    microphone = FakeMicrophone(tone(3.0))

    @contextmanager
    def borrow() -> Generator[SpeechModel]:
        raise WeightsMissing("no speech model is installed", hint="pull one")
        yield FakeRecogniser()

    with pytest.raises(WeightsMissing):
        list(Dictation(microphone, borrow, Foreground()).listen(threading.Event()))
    assert not microphone.is_open


def test_a_device_with_a_rate_of_its_own_is_heard_at_16_khz() -> None:
    resampling = Resampling(48_000)
    times = np.arange(48_000) / 48_000
    sound = np.sin(2 * np.pi * 440 * times).astype(np.float32)
    made = np.concatenate([resampling(sound[start : start + 4800]) for start in range(0, 48_000, 4800)])
    assert 15_000 < len(made) <= 16_000
    spectrum = np.abs(np.fft.rfft(made[:15_000]))
    assert int(np.argmax(spectrum)) * SAMPLE_RATE_HZ / 15_000 == pytest.approx(440, abs=2)


@pytest.mark.weights
def test_kennedy_dictates(weights_dir: Path) -> None:
    folder = weights_dir / "whisper-tiny.en"
    if not folder.is_dir():
        pytest.skip("whisper-tiny.en is not there; `make test` fetches it (76 MB)")
    with SoundReader().open(PROJECT_ROOT / "tests" / "data" / "kennedy.opus") as sound:
        speech = np.concatenate(list(sound.pieces()))
    model = WhisperSpeech(model_id="whisper-tiny.en", folder=folder, threads=2)
    try:
        events = list(dictation(FakeMicrophone(speech), model).listen(threading.Event()))
    finally:
        model.close()
    text = text_of(events).text.lower()
    assert "ask not what your country can do for you" in text
    assert "ask what you can do for your country" in text
