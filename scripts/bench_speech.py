"""Transcription beside faster-whisper alone: time, word errors, and words heard where nothing is said.

    python -m scripts.bench_speech --weights FOLDER [--model whisper-base] [--minutes 5] [--rounds 3] [--quick]
    python -m scripts.bench_speech --weights FOLDER --speech talk.wav --text talk.txt

Without `--speech` espeak-ng (a program of the system's) reads a text aloud in several voices, with pauses. Ours is the
whole way of the product: the file decoded in its own process, windows, guards, windows kept on disk. Beside it:

    same settings    faster-whisper's batched pipeline with our beam, batch, detector, threads and number format
    its defaults     `WhisperModel(folder).transcribe(path)`: nothing is set
    defaults, int8   the same with our threads and number format, so that only the way of decoding differs

All of them in every round, one after the other, so that what else the machine does meets all; the fastest round counts.
CPU seconds include those of the decoding process. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.cpu_limits import affinity_cores, quota_cores, usable_cores
from models.speech import SAMPLE_RATE_HZ, SpeechModel
from models.speech_whisper import WhisperOptions, WhisperSpeech
from pipelines.foreground import Foreground
from pipelines.transcribe import SegmentHeard, Transcriber
from pipelines.transcripts import Transcripts
from rag.sound import SoundReader

MOST_OF_SAME_SETTINGS = 1.05
MOST_OF_DEFAULTS = 0.6
MOST_ERRORS_OF_DEFAULTS = 1.02
VOICES = ("en-gb", "en-us", "en-gb-scotland", "en-us+f3")
PAUSE_S = 2.5
TEXT = (
    "The harbour office opens in the morning and closes after lunch, except on Fridays. Boats that are longer than the"
    " pier must be announced a few days before they arrive.",
    "We spoke about the budget for the new boiler. The plumber asks for a lot of money, and the other offer was a"
    " little higher. Anna will call him tomorrow and ask about the pump.",
    "Remember to buy bread, milk and candles. The candles are for the birthday on Saturday, and there should be enough"
    " of them, in any colour but green.",
    "The train left in the evening, and it was already dark outside. Nobody in the carriage said a word until we had"
    " passed the bridge over the river.",
    "Water the tomatoes in the morning, not in the evening, and give them no more than they can drink. The beans need"
    " less, and the pumpkins need more than you would think.",
)
"""Without numbers: whether a recogniser writes them as words or as digits is no error of its."""


@dataclass(slots=True)
class Way:
    """One way to transcribe the file."""

    name: str
    run: Callable[[], str]
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    text: str = ""

    @property
    def best_s(self) -> float:
        return min(self.seconds)

    @property
    def best_cpu_s(self) -> float:
        return min(self.cpu_seconds)

    def time(self) -> None:
        began_s, began_cpu_s = time.perf_counter(), cpu_seconds()
        self.text = self.run()
        self.seconds.append(time.perf_counter() - began_s)
        self.cpu_seconds.append(cpu_seconds() - began_cpu_s)


def cpu_seconds() -> float:
    """Of this process and of those it started that have ended."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in spent)


def plain_words(text: str) -> list[str]:
    return re.sub(r"[^a-z0-9' ]+", " ", text.lower().replace("-", " ")).split()


def word_errors(said: str, heard: str) -> float:
    """Word error rate: the fewest words to change, add and leave out, for each word said."""
    from rapidfuzz.distance import Levenshtein

    reference = plain_words(said)
    return Levenshtein.distance(reference, plain_words(heard)) / max(1, len(reference))


def read_aloud(folder: Path, minutes: float) -> tuple[Path, str]:
    """A WAV file of about that length, and what is said in it."""
    if shutil.which("espeak-ng") is None:
        sys.exit("espeak-ng is not installed: name a recording with --speech and its words with --text")
    pieces: list[NDArray[np.int16]] = []
    said: list[str] = []
    length_s = 0.0
    turn = rate = 0
    while length_s < minutes * 60:
        text, voice = TEXT[turn % len(TEXT)], VOICES[turn % len(VOICES)]
        file = folder / "said.wav"
        subprocess.run(["espeak-ng", "-v", voice, "-s", "150", "-w", str(file), text], check=True, timeout=60)
        with wave.open(str(file)) as spoken:
            rate = spoken.getframerate()
            pieces.append(np.frombuffer(spoken.readframes(spoken.getnframes()), np.int16))
        pieces.append(np.zeros(int(PAUSE_S * rate), np.int16))
        length_s += len(pieces[-2]) / rate + PAUSE_S
        said.append(text)
        turn += 1
    path = folder / "speech.wav"
    _write(path, np.concatenate(pieces), rate)
    return path, " ".join(said)


def without_words(folder: Path, minutes: float) -> dict[str, Path]:
    """Silence, two kinds of noise, hum and tones, each of that length."""
    count = int(minutes * 60 * SAMPLE_RATE_HZ)
    dice = np.random.default_rng(0)
    times = np.arange(count) / SAMPLE_RATE_HZ
    made = {
        "silence": np.zeros(count),
        "white noise": dice.normal(0, 0.05, count),
        "pink noise": pink_noise(dice, count),
        "tones": np.sin(2 * np.pi * 110 * 2 ** (np.floor(4 * times) * 7 % 24 / 12) * times) * 0.2,
        "hum": 0.2 * np.sin(2 * np.pi * 50 * times) + 0.1 * np.sin(2 * np.pi * 100 * times),
    }
    paths = {}
    for name, samples in made.items():
        paths[name] = folder / f"{name}.wav"
        _write(paths[name], (np.clip(samples, -1, 1) * 32767).astype(np.int16), SAMPLE_RATE_HZ)
    return paths


def pink_noise(dice: np.random.Generator, count: int) -> NDArray[np.float64]:
    """As much power in each octave: rain, a fan, a road."""
    spectrum = np.fft.rfft(dice.normal(size=count))
    made = np.asarray(np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), count), np.float64)
    return np.asarray(0.1 * made / made.std(), np.float64)


def _write(path: Path, samples: NDArray[np.int16], rate: int) -> None:
    with wave.open(str(path), "wb") as target:
        target.setnchannels(1)
        target.setsampwidth(2)
        target.setframerate(rate)
        target.writeframes(samples.tobytes())


class Ours:
    """The product's own way from a file to its words."""

    def __init__(self, model: WhisperSpeech, folder: Path) -> None:
        @contextmanager
        def borrow() -> Generator[SpeechModel]:
            yield model

        self._transcriber = Transcriber(
            open_sound=SoundReader().open,
            borrow=borrow,
            model_id=lambda: model.model_id,
            transcripts=Transcripts(folder / "transcripts"),
            foreground=Foreground(),
        )

    def words(self, path: Path) -> str:
        events = list(self._transcriber.transcribe(str(path), threading.Event()))
        self._transcriber.forget(events[-1].facts)  # type: ignore[union-attr]  # it ends with TranscriptDone
        return " ".join(event.segment.text for event in events if isinstance(event, SegmentHeard))


def faster_whisper_ways(path: Path, folder: Path, threads: int, options: WhisperOptions) -> Iterable[Way]:
    """The library alone. It is untyped here on purpose: only what the bench compares with uses so much of it."""
    import faster_whisper

    library: Any = faster_whisper
    ours = library.WhisperModel(
        str(folder), device="cpu", compute_type="int8", cpu_threads=threads, local_files_only=True
    )
    plain = library.WhisperModel(str(folder), local_files_only=True)
    batched = library.BatchedInferencePipeline(ours)

    def same_settings() -> str:
        segments, _ = batched.transcribe(
            str(path),
            batch_size=options.batch,
            beam_size=options.beam,
            temperature=0.0,
            without_timestamps=False,
            vad_filter=True,
            vad_parameters={
                "threshold": options.voice_threshold,
                "neg_threshold": options.silence_threshold,
                "min_silence_duration_ms": options.min_silence_ms,
                "speech_pad_ms": options.pad_ms,
            },
        )
        return " ".join(segment.text for segment in segments)

    def defaults(model: Any) -> str:
        segments, _ = model.transcribe(str(path))
        return " ".join(segment.text for segment in segments)

    yield Way("same settings", same_settings)
    yield Way("its defaults", lambda: defaults(plain))
    yield Way("defaults, int8", lambda: defaults(ours))


def main() -> int:
    parser = argparse.ArgumentParser(description="Transcription beside faster-whisper alone.")
    parser.add_argument("--weights", type=Path, required=True, help="the folder of weights")
    parser.add_argument("--model", default="whisper-base")
    parser.add_argument("--minutes", type=float, default=5.0, help="of speech")
    parser.add_argument("--empty-minutes", type=float, default=10.0, help="of silence, noise and hum, each")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--beam", type=int, default=WhisperOptions().beam)
    parser.add_argument("--batch", type=int, default=WhisperOptions().batch)
    parser.add_argument("--threads", type=int, default=usable_cores(affinity_cores(), quota_cores()))
    parser.add_argument("--speech", type=Path, help="a recording instead of what espeak-ng reads aloud")
    parser.add_argument("--text", type=Path, help="what is said in it")
    parser.add_argument("--quick", action="store_true", help="one minute, one round")
    asked = parser.parse_args()
    if asked.quick:
        asked.minutes, asked.empty_minutes, asked.rounds = 1.0, 1.0, 1
    options = WhisperOptions(beam=asked.beam, batch=asked.batch)
    folder = asked.weights / asked.model
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        if asked.speech is not None:
            if asked.text is None:
                parser.error("--speech needs --text")
            path, said = asked.speech.absolute(), asked.text.read_text(encoding="utf-8")
        else:
            path, said = read_aloud(scratch, asked.minutes)
        model = WhisperSpeech(model_id=asked.model, folder=folder, threads=asked.threads, options=options)
        ours = Ours(model, scratch)
        ways = [Way("homebody", lambda: ours.words(path)), *faster_whisper_ways(path, folder, asked.threads, options)]
        for _ in range(asked.rounds):
            for way in ways:
                way.time()
        empty = {
            name: len(ours.words(path).split()) for name, path in without_words(scratch, asked.empty_minutes).items()
        }
        with SoundReader().open(path) as sound:
            length_s = sum(len(piece) for piece in sound.pieces()) / SAMPLE_RATE_HZ
        model.close()
    _report(ways, said, length_s, empty, asked)
    return 0


def _report(ways: list[Way], said: str, length_s: float, empty: dict[str, int], asked: argparse.Namespace) -> None:
    mine, same, defaults, int8 = ways
    errors = {way.name: word_errors(said, way.text) for way in ways}
    print(
        f"{asked.model}, {length_s:.0f} s of speech, {asked.threads} threads, beam {asked.beam}, batch {asked.batch}\n"
    )
    print(f"{'':16}{'seconds':>9}{'CPU s':>9}{'x real time':>13}{'word errors':>13}{'homebody takes':>16}{'CPU':>8}")
    for way in ways:
        print(
            f"{way.name:16}{way.best_s:9.2f}{way.best_cpu_s:9.2f}{way.best_s / length_s:13.3f}{errors[way.name]:12.2%} "
            f"{mine.best_s / way.best_s:15.2f}x{mine.best_cpu_s / way.best_cpu_s:7.2f}x"
        )
    counts = ", ".join(f"{name}: {count}" for name, count in empty.items())
    print(f"\nwords in {asked.empty_minutes:g} minutes of {counts}")
    allowed = MOST_ERRORS_OF_DEFAULTS * errors[defaults.name]
    record = {
        "bench": "speech",
        "model": asked.model,
        "seconds_of_speech": round(length_s, 1),
        "threads": asked.threads,
        "beam": asked.beam,
        "batch": asked.batch,
        "real_time_factor": round(mine.best_s / length_s, 4),
        "of_same_settings": round(mine.best_s / same.best_s, 3),
        "of_defaults": round(mine.best_s / defaults.best_s, 3),
        "of_defaults_int8": round(mine.best_s / int8.best_s, 3),
        "cpu_of_same_settings": round(mine.best_cpu_s / same.best_cpu_s, 3),
        "cpu_of_defaults": round(mine.best_cpu_s / defaults.best_cpu_s, 3),
        "cpu_of_defaults_int8": round(mine.best_cpu_s / int8.best_cpu_s, 3),
        "word_error_rate": round(errors[mine.name], 4),
        "word_error_rate_same_settings": round(errors[same.name], 4),
        "word_error_rate_defaults": round(errors[defaults.name], 4),
        "word_error_rate_defaults_int8": round(errors[int8.name], 4),
        "words_in_nothing": empty,
        "goals_met": bool(
            mine.best_s <= MOST_OF_SAME_SETTINGS * same.best_s
            and mine.best_s <= MOST_OF_DEFAULTS * defaults.best_s
            and errors[mine.name] <= allowed
            and not any(empty.values())
        ),
    }
    print(json.dumps(record))


if __name__ == "__main__":
    sys.exit(main())
