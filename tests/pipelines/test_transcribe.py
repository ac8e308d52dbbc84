"""Recordings to text: real decoding, a scripted recogniser; taken up after a stop, a crash, a cut-off line."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from models.errors import EngineFailed
from models.speech import HeardUpTo, LanguageFound, SpeechModel
from models.speech_sound import cut_windows
from pipelines.foreground import Foreground
from pipelines.transcribe import (
    RecordingOpened,
    SegmentHeard,
    TranscribeEvent,
    TranscribeProgress,
    Transcriber,
    TranscriptDone,
)
from pipelines.transcripts import PartOfTranscript, Transcripts
from rag.errors import DamagedFile
from rag.sound import SoundReader
from tests.pipelines.speaking import FakeRecogniser, sentence
from tests.rag.made_sound import RATE_HZ, tone, wav16

SECONDS = 200
"""Two windows: one of at most 30 s, then at most 120 s each."""


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tone with silence every ten seconds."""
    samples = tone(float(SECONDS))
    for second in range(9, SECONDS, 10):
        samples[second * RATE_HZ : (second + 1) * RATE_HZ] = 0
    path = tmp_path_factory.mktemp("sound") / "meeting.wav"
    path.write_bytes(wav16(samples))
    return path


@pytest.fixture
def recogniser() -> FakeRecogniser:
    return FakeRecogniser()


@pytest.fixture
def transcriber(tmp_path: Path, recogniser: FakeRecogniser) -> Transcriber:
    return made_transcriber(tmp_path, recogniser, Foreground())


def made_transcriber(folder: Path, recogniser: FakeRecogniser, foreground: Foreground) -> Transcriber:
    @contextmanager
    def borrow() -> Generator[SpeechModel]:
        yield recogniser

    return Transcriber(
        open_sound=SoundReader().open,
        borrow=borrow,
        model_id=lambda: recogniser.model_id,
        transcripts=Transcripts(folder / "transcripts"),
        foreground=foreground,
    )


def texts(events: list[TranscribeEvent]) -> list[str]:
    return [event.segment.text for event in events if isinstance(event, SegmentHeard)]


def done_of(events: list[TranscribeEvent]) -> TranscriptDone:
    assert isinstance(events[-1], TranscriptDone)
    return events[-1]


def test_sentences_come_with_the_seconds_at_which_they_are_said(
    transcriber: Transcriber, recogniser: FakeRecogniser, recording: Path
) -> None:
    recogniser.enqueue(LanguageFound("de", 0.9), "Guten Morgen.", "Wir fangen an.")
    recogniser.enqueue("Zum Haushalt.")
    recogniser.enqueue("Danke.")
    events = list(transcriber.transcribe(str(recording), threading.Event()))
    assert isinstance(events[0], RecordingOpened)
    assert texts(events) == ["Guten Morgen.", "Wir fangen an.", "Zum Haushalt.", "Danke."]
    starts = [event.segment.start_s for event in events if isinstance(event, SegmentHeard)]
    first, second = recogniser.history[0].seconds, recogniser.history[1].seconds
    assert starts == pytest.approx([1.0, 3.0, first + 1.0, first + second + 1.0])
    words = next(event.segment.words for event in reversed(events) if isinstance(event, SegmentHeard))
    assert words[0].start_s == pytest.approx(starts[-1])
    done = done_of(events)
    assert (done.language, done.segments, done.duration_s, done.stopped) == ("de", 4, SECONDS, False)
    assert done.real_time_factor > 0
    assert [each.language for each in recogniser.history] == ["", "de", "de"]
    assert not any(each.is_whole for each in recogniser.history)
    progress = [event for event in events if isinstance(event, TranscribeProgress)]
    assert progress[-1].done_s == progress[-1].total_s == SECONDS
    assert progress[-1].left_s == 0


def test_windows_are_cut_where_it_is_quiet() -> None:
    samples = tone(float(SECONDS))
    for second in range(9, SECONDS, 10):
        samples[second * RATE_HZ : (second + 1) * RATE_HZ] = 0
    pieces = [samples[start : start + 70_001] for start in range(0, len(samples), 70_001)]
    windows = list(cut_windows(pieces))
    assert np.array_equal(np.concatenate([window.samples for window in windows]), samples)
    for window in windows[:-1]:
        assert not samples[window.end_sample - 1600 : window.end_sample + 1600].any()
    assert [window.is_last for window in windows] == [False] * (len(windows) - 1) + [True]
    rest = samples[windows[0].end_sample :]
    again = list(cut_windows([rest], start_sample=windows[0].end_sample))
    assert [each.start_sample for each in again] == [each.start_sample for each in windows[1:]]


def test_what_was_stopped_is_taken_up_behind_the_last_finished_window(
    transcriber: Transcriber, recogniser: FakeRecogniser, recording: Path
) -> None:
    stop = threading.Event()
    recogniser.enqueue(LanguageFound("en", 0.95), "One.")
    recogniser.enqueue("Half of two.", stop, "Never heard.")
    events = list(transcriber.transcribe(str(recording), stop))
    assert texts(events) == ["One.", "Half of two."]
    assert done_of(events).stopped
    recogniser.enqueue("Two.")
    recogniser.enqueue("Three.")
    events = list(transcriber.transcribe(str(recording), threading.Event()))
    opened = events[0]
    assert isinstance(opened, RecordingOpened)
    assert opened.kept_s == pytest.approx(recogniser.history[0].seconds)
    assert texts(events) == ["One.", "Two.", "Three."]
    assert done_of(events).duration_s == SECONDS
    assert recogniser.history[2].language == "en"
    assert recogniser.history[2].seconds == recogniser.history[1].seconds


def test_what_a_recogniser_leaves_comes_again_with_what_follows(
    transcriber: Transcriber, recogniser: FakeRecogniser, recording: Path
) -> None:
    recogniser.enqueue("One.", HeardUpTo(20 * RATE_HZ))
    recogniser.enqueue("Two.", HeardUpTo(100 * RATE_HZ))
    recogniser.enqueue("Three.")
    events = list(transcriber.transcribe(str(recording), threading.Event()))
    starts = [event.segment.start_s for event in events if isinstance(event, SegmentHeard)]
    assert starts == pytest.approx([1.0, 21.0, 121.0])
    assert [each.is_last for each in recogniser.history] == [False, False, True]
    assert recogniser.history[2].seconds == SECONDS - 120
    assert [event.done_s for event in events if isinstance(event, TranscribeProgress)] == [20, 120, SECONDS]


def test_exact_times_of_words_are_kept_apart_from_shared_out_ones(
    transcriber: Transcriber, recogniser: FakeRecogniser, recording: Path
) -> None:
    recogniser.enqueue("One.")
    recogniser.enqueue(EngineFailed("no memory"))
    with pytest.raises(EngineFailed):
        list(transcriber.transcribe(str(recording), threading.Event()))
    events = list(transcriber.transcribe(str(recording), threading.Event(), exact_words=True))
    opened = events[0]
    assert isinstance(opened, RecordingOpened)
    assert opened.kept_s == 0
    assert all(each.exact_words for each in recogniser.history[2:])


def test_an_engine_that_fails_costs_one_window(
    transcriber: Transcriber, recogniser: FakeRecogniser, recording: Path
) -> None:
    recogniser.enqueue("One.")
    recogniser.enqueue(EngineFailed("no memory", hint="close something"))
    with pytest.raises(EngineFailed):
        list(transcriber.transcribe(str(recording), threading.Event()))
    events = list(transcriber.transcribe(str(recording), threading.Event()))
    assert texts(events) == ["One."]
    assert len(recogniser.history) == 2 + 2


def test_a_finished_one_is_not_kept_once_it_is_safe(
    transcriber: Transcriber, recogniser: FakeRecogniser, recording: Path, tmp_path: Path
) -> None:
    recogniser.enqueue("One.")
    done = done_of(list(transcriber.transcribe(str(recording), threading.Event())))
    assert list((tmp_path / "transcripts").iterdir())
    transcriber.forget(done.facts)
    assert not list((tmp_path / "transcripts").iterdir())


def test_in_the_background_it_waits_while_somebody_is_answered(
    tmp_path: Path, recogniser: FakeRecogniser, recording: Path
) -> None:
    foreground = Foreground()
    transcriber = made_transcriber(tmp_path, recogniser, foreground)
    stop = threading.Event()
    heard = transcriber.transcribe(str(recording), stop, in_background=True)
    assert isinstance(next(heard), RecordingOpened)
    went_on = threading.Event()
    rest: list[TranscribeEvent] = []

    def go_on(events: Iterator[TranscribeEvent]) -> None:
        rest.extend(events)
        went_on.set()

    with foreground.busy():
        worker = threading.Thread(target=go_on, args=(heard,))
        worker.start()
        assert not went_on.wait(0.3)
        assert recogniser.history == []
    worker.join(60)
    assert went_on.is_set()
    assert len(recogniser.history) >= 4
    assert all(each.seconds <= 60 for each in recogniser.history)


def test_a_line_that_a_crash_cut_off_is_recognised_again(tmp_path: Path) -> None:
    transcripts = Transcripts(tmp_path)
    sha = b"\x01" * 32
    transcripts.add(sha, "m", PartOfTranscript(100, "en", 0.9), [sentence("One.", 0)])
    transcripts.add(sha, "m", PartOfTranscript(200, "en", 0.9), [sentence("Two.", 5)])
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-10])
    part = transcripts.load(sha, "m")
    assert (part.end_sample, [each.text for each in part.segments]) == (100, ["One."])
    transcripts.add(sha, "m", PartOfTranscript(200, "en", 0.9), [sentence("Two.", 5)])
    assert file.read_bytes() == whole
    assert transcripts.load(sha, "m").segments == [sentence("One.", 0), sentence("Two.", 5)]
    assert transcripts.load(sha, "other").segments == []


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[]\n", b'{"version":1}\n', b'{"version":9,"end_sample":5}\n'])
def test_what_is_no_transcript_is_nothing(tmp_path: Path, content: bytes) -> None:
    transcripts = Transcripts(tmp_path)
    (tmp_path / f"{'01' * 32}-m.jsonl").write_bytes(content)
    assert transcripts.load(b"\x01" * 32, "m") == PartOfTranscript()


def test_what_nobody_came_back_for_goes(tmp_path: Path) -> None:
    now = [1e9]
    transcripts = Transcripts(tmp_path, clock=lambda: now[0])
    transcripts.add(b"\x01" * 32, "m", PartOfTranscript(1), [])
    now[0] = (tmp_path / f"{'01' * 32}-m.jsonl").stat().st_mtime + 40 * 24 * 3600
    transcripts.forget(b"\x02" * 32, "m")
    assert not list(tmp_path.iterdir())


def test_what_is_no_recording_is_said(transcriber: Transcriber, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("only words")
    with pytest.raises(DamagedFile, match=r"a\.wav"):
        list(transcriber.transcribe(str(tmp_path / "a.wav"), threading.Event()))
