"""Whisper itself, on the small English weights: words and their seconds, and nothing where nothing is said."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.errors import EngineFailed, WeightsDamaged
from models.speech import SAMPLE_RATE_HZ, LanguageFound, SpeechSegment, Word
from models.speech_whisper import WhisperOptions, WhisperSpeech, supported_compute_types
from models.whisper_decoding import Decoded, Encoded, WhisperDecoder
from rag.sound import SoundReader
from tests.conftest import PROJECT_ROOT

SAID = "and so my fellow americans ask not what your country can do for you ask what you can do for your country"
MODEL_ID = "whisper-tiny.en"


@pytest.fixture(scope="module")
def folder(weights_dir: Path) -> Path:
    folder = weights_dir / MODEL_ID
    if not folder.is_dir():
        pytest.skip(f"{MODEL_ID} is not there; `make test` fetches it (76 MB)")
    return folder


@pytest.fixture(scope="module")
def whisper(folder: Path) -> Iterator[WhisperSpeech]:
    model = WhisperSpeech(model_id=MODEL_ID, folder=folder, threads=2)
    yield model
    model.close()


@pytest.fixture(scope="module")
def speech() -> NDArray[np.float32]:
    """Eleven seconds of Kennedy."""
    with SoundReader().open(PROJECT_ROOT / "tests" / "data" / "kennedy.opus") as sound:
        return np.concatenate(list(sound.pieces()))


def hear(model: WhisperSpeech, samples: NDArray[np.floating[Any]], *, is_whole: bool = True) -> list[SpeechSegment]:
    told = model.transcribe(samples.astype(np.float32), is_whole=is_whole, stop=threading.Event())
    return [each for each in told if isinstance(each, SpeechSegment)]


def plain(segments: list[SpeechSegment]) -> str:
    words = " ".join(each.text for each in segments).lower()
    return " ".join("".join(letter for letter in words if letter.isalpha() or letter == " ").split())


@pytest.mark.weights
def test_words_come_in_order_with_their_seconds(whisper: WhisperSpeech, speech: NDArray[np.float32]) -> None:
    segments = hear(whisper, speech)
    assert plain(segments) == SAID
    words = [word for each in segments for word in each.words]
    assert len(words) == len(SAID.split())
    times = [second for word in words for second in (word.start_s, word.end_s)]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= len(speech) / SAMPLE_RATE_HZ
    assert all(each.words[0].start_s == each.start_s and each.words[-1].end_s == each.end_s for each in segments)


@pytest.mark.weights
def test_silence_between_speech_is_left_out_and_the_seconds_stay_right(
    whisper: WhisperSpeech, speech: NDArray[np.float32]
) -> None:
    gap_s = 25
    noise = np.random.default_rng(0).normal(0, 0.001, gap_s * SAMPLE_RATE_HZ).astype(np.float32)
    segments = hear(whisper, np.concatenate([speech, noise, speech]))
    assert plain(segments) == f"{SAID} {SAID}"
    second = [each for each in segments if each.start_s > len(speech) / SAMPLE_RATE_HZ]
    offset_s = len(speech) / SAMPLE_RATE_HZ + gap_s
    assert second[0].start_s == pytest.approx(offset_s + segments[0].start_s, abs=0.7)


@pytest.mark.weights
@pytest.mark.parametrize("kind", ["zeros", "noise", "hum", "clicks", "breath"])
@pytest.mark.parametrize("seconds", [5, 60])
def test_nothing_is_said_in_silence_noise_and_hum(whisper: WhisperSpeech, kind: str, seconds: int) -> None:
    count = seconds * SAMPLE_RATE_HZ
    dice = np.random.default_rng(3)
    times = np.arange(count) / SAMPLE_RATE_HZ
    match kind:
        case "zeros":
            made = np.zeros(count)
        case "noise":
            made = dice.normal(0, 0.1, count)
        case "hum":
            made = 0.3 * np.sin(2 * np.pi * 50 * times) + 0.1 * np.sin(2 * np.pi * 150 * times)
        case "clicks":
            made = np.where(dice.random(count) < 0.0005, 0.9, 0.0)
        case _:
            made = dice.normal(0, 0.05, count) * np.clip(np.sin(times), 0, 1)
    assert hear(whisper, made) == []


@pytest.mark.weights
def test_a_short_one_in_which_no_voice_was_detected_is_tried_again(folder: Path, speech: NDArray[np.float32]) -> None:
    deaf = WhisperSpeech(model_id=MODEL_ID, folder=folder, threads=2, options=WhisperOptions(voice_threshold=0.9999999))
    try:
        assert plain(hear(deaf, speech)) == SAID
        assert hear(deaf, speech, is_whole=False) == []
        assert hear(deaf, np.random.default_rng(0).normal(0, 0.1, 5 * SAMPLE_RATE_HZ)) == []
    finally:
        deaf.close()


@pytest.mark.weights
def test_a_repeated_phrase_does_not_become_a_loop(whisper: WhisperSpeech, speech: NDArray[np.float32]) -> None:
    """A short stretch, over and over, is what makes Whisper repeat itself without end."""
    syllable = speech[int(0.6 * SAMPLE_RATE_HZ) : int(0.9 * SAMPLE_RATE_HZ)]
    words = [word for each in hear(whisper, np.tile(syllable, 20)) for word in each.words]
    assert len(words) < 100


@pytest.mark.weights
@pytest.mark.parametrize(("loops_from_s", "said"), [(20, f"{SAID} {SAID}"), (0, "")])
def test_the_words_around_a_laugh_are_not_lost_with_it(
    whisper: WhisperSpeech,
    speech: NDArray[np.float32],
    monkeypatch: pytest.MonkeyPatch,
    loops_from_s: float,
    said: str,
) -> None:
    """A chunk that loops is decoded in halves; what loops however it is parted says nothing."""
    decode = WhisperDecoder.decode

    def laughing(self: WhisperDecoder, encoded: Encoded, language: str, **options: Any) -> list[Decoded]:
        whole = Decoded((Word(0.0, 1.0, "ha " * 200, 0.9),), None, -0.1, 0.1, 20.0)
        decoded = decode(self, encoded, language, **options)
        lengths_s = [samples / SAMPLE_RATE_HZ for samples in encoded.samples]
        return [whole if s >= loops_from_s else each for each, s in zip(decoded, lengths_s, strict=True)]

    monkeypatch.setattr(WhisperDecoder, "decode", laughing)
    pause = np.random.default_rng(0).normal(0, 0.001, SAMPLE_RATE_HZ // 2)
    assert plain(hear(whisper, np.concatenate([speech, pause, speech]))) == said


@pytest.mark.weights
@pytest.mark.parametrize("samples", [0, 1, 16, 1600])
def test_a_moment_of_sound_is_nothing(whisper: WhisperSpeech, samples: int) -> None:
    assert hear(whisper, np.full(samples, 0.5, np.float32)) == []


@pytest.mark.weights
def test_a_stop_ends_it_and_other_threads_say_the_same(whisper: WhisperSpeech, speech: NDArray[np.float32]) -> None:
    stop = threading.Event()
    stop.set()
    assert not [each for each in whisper.transcribe(speech, stop=stop) if not isinstance(each, LanguageFound)]
    whisper.set_threads(1)
    assert whisper.threads == 1
    assert plain(hear(whisper, speech)) == SAID


@pytest.mark.weights
def test_damaged_weights_are_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsDamaged, match=r"model\.bin"):
        WhisperSpeech(model_id=MODEL_ID, folder=tmp_path)
    for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "model.bin").write_bytes((folder / "model.bin").read_bytes()[:100_000])
    with pytest.raises(EngineFailed, match="cannot be loaded"):
        WhisperSpeech(model_id=MODEL_ID, folder=tmp_path)


def test_this_cpu_can_compute_in_something() -> None:
    assert "float32" in supported_compute_types("cpu")
    assert supported_compute_types("abacus") == frozenset()
