"""What was recognised of recordings whose transcription is not finished, so that a crash costs one window of it.

One file a recording and model in the data folder: a JSON line a finished window, appended and synced. It goes when the
transcription is done and what came of it is where it belongs; what nobody came back for goes after some weeks. A line
that a crash cut off is not there. Knows no engine and no sound.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from models.speech import SpeechSegment, Word

KEPT_FOR_S = 30 * 24 * 3600.0
_VERSION = 1


@dataclass(slots=True)
class PartOfTranscript:
    """What is known of one recording so far."""

    end_sample: int = 0
    """Everything before it was recognised."""
    language: str = ""
    language_probability: float = 0.0
    segments: list[SpeechSegment] = field(default_factory=list)


class Transcripts:
    """One process at a time works on a recording; two would only do the same work twice."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock

    def load(self, sha256: bytes, model_id: str) -> PartOfTranscript:
        """What earlier runs of this model finished of these bytes."""
        part = PartOfTranscript()
        try:
            lines = self._file(sha256, model_id).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return part
        for line in lines:
            try:
                _take(part, json.loads(line))
            except (ValueError, KeyError, TypeError):
                break  # cut off, or of another version: what comes behind it is recognised again
        return part

    def add(self, sha256: bytes, model_id: str, part: PartOfTranscript, new: Sequence[SpeechSegment]) -> None:
        """A window is finished: `part` says where it ended, `new` is what was said in it. Raises OSError."""
        line = json.dumps(
            {
                "version": _VERSION,
                "end_sample": part.end_sample,
                "language": part.language,
                "language_probability": part.language_probability,
                "segments": [_to_json(each) for each in new],
            },
            ensure_ascii=False,
        )
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._file(sha256, model_id).open("a+b") as file:
            file.seek(0, os.SEEK_END)
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # a line that a crash cut off must not swallow this one
                    kept = self._whole_lines(sha256, model_id)
                    file.truncate(kept)
                    file.seek(0, os.SEEK_END)
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def forget(self, sha256: bytes, model_id: str) -> None:
        """The transcription is done. What others left behind long ago goes as well."""
        self._file(sha256, model_id).unlink(missing_ok=True)
        if not self._folder.is_dir():
            return
        for file in self._folder.glob("*.jsonl"):
            if self._clock() - file.stat().st_mtime > KEPT_FOR_S:
                file.unlink(missing_ok=True)

    def _file(self, sha256: bytes, model_id: str) -> Path:
        return self._folder / f"{sha256.hex()}-{model_id}.jsonl"

    def _whole_lines(self, sha256: bytes, model_id: str) -> int:
        """How many bytes of the file are whole lines."""
        return self._file(sha256, model_id).read_bytes().rfind(b"\n") + 1


def _take(part: PartOfTranscript, window: dict[str, object]) -> None:
    if window["version"] != _VERSION:
        raise ValueError("another version")
    end_sample, told = window["end_sample"], window["segments"]
    if not isinstance(end_sample, int) or end_sample <= part.end_sample or not isinstance(told, list):
        raise ValueError("no window")
    segments = [_from_json(each) for each in told]
    part.end_sample = end_sample
    part.language = str(window["language"])
    part.language_probability = float(str(window["language_probability"]))
    part.segments += segments


def _to_json(segment: SpeechSegment) -> list[object]:
    words = [[word.start_s, word.end_s, word.text, word.probability] for word in segment.words]
    return [segment.start_s, segment.end_s, segment.text, words]


def _from_json(stored: list[object]) -> SpeechSegment:
    start_s, end_s, text, words = stored
    if not isinstance(start_s, int | float) or not isinstance(end_s, int | float) or not isinstance(words, list):
        raise ValueError("no segment")
    return SpeechSegment(start_s, end_s, str(text), tuple(Word(*each) for each in words))
