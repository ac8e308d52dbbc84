"""Transcribe a recording and say each sentence on a line; run as a process that a test kills.

    python -m tests.pipelines.transcribing_process RECORDING TRANSCRIPTS_FOLDER [WINDOW]

In the middle of that window (of this run, from 1 on) it stays until it is killed.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.speech import LanguageFound, SpeechModel
from pipelines.foreground import Foreground
from pipelines.transcribe import RecordingOpened, SegmentHeard, Transcriber, TranscriptDone, segment_to_json
from pipelines.transcripts import Transcripts
from rag.sound import SoundReader
from tests.pipelines.speaking import FakeRecogniser, Said


class Stay(threading.Event):
    """Whoever sets it comes no further."""

    def set(self) -> None:
        threading.Event().wait()


class LoudnessTold(FakeRecogniser):
    """Its words follow from the sound, so that other windows have other words."""

    def __init__(self, stays_in: int) -> None:
        super().__init__()
        self._stays_in = stays_in

    def said_of(self, samples: NDArray[np.float32], language: str) -> list[Said]:
        stays = [Stay()] if len(self.history) == self._stays_in else []
        loudness = float(np.abs(samples).sum(dtype=np.float64))
        self.enqueue(LanguageFound(language or "en", 0.9), f"{len(samples)} samples.", *stays, f"{loudness:.3f} loud.")
        return super().said_of(samples, language)


def main() -> None:
    model = LoudnessTold(int(sys.argv[3]) if len(sys.argv) > 3 else 0)

    @contextmanager
    def borrow() -> Generator[SpeechModel]:
        yield model

    transcriber = Transcriber(
        open_sound=SoundReader().open,
        borrow=borrow,
        model_id=lambda: model.model_id,
        transcripts=Transcripts(Path(sys.argv[2])),
        foreground=Foreground(),
    )
    for event in transcriber.transcribe(sys.argv[1], threading.Event()):
        match event:
            case RecordingOpened(kept_s=kept_s):
                print(json.dumps({"kept_s": round(kept_s, 2)}), flush=True)
            case SegmentHeard(segment=segment):
                print(json.dumps(segment_to_json(segment)), flush=True)
            case TranscriptDone(language=language, duration_s=duration_s):
                print(json.dumps({"language": language, "duration_s": duration_s}), flush=True)


if __name__ == "__main__":
    main()
