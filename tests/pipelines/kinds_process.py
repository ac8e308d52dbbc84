"""The process that the kill tests of every kind of file kill: a home as users have it, with engines made of arithmetic.

python -m tests.pipelines.kinds_process HOME FOLDER [real]

What an engine says depends on what it is shown and on nothing else, as it must for two runs to be compared. With
`real` the OCR that homebody carries reads the pictures.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.labels import Label
from models.ocr import TextLine
from models.speech import SAMPLE_RATE_HZ, LanguageFound, SpeechSegment
from pipelines.events import IndexProgress
from pipelines.factory import open_home
from pipelines.home import Home
from pipelines.paths import HomePaths
from pipelines.settings import Settings
from tests.pipelines.canonical_library import SociableEmbedder
from tests.pipelines.speaking import sentence


class CountingOcr:
    """Reads how light a picture is."""

    model_id = "counting-ocr"

    def read(self, rgb: NDArray[np.uint8], between: Callable[[], None] = lambda: None) -> list[TextLine]:
        between()
        text = f"lightness {rgb.mean():.3f} of {rgb.shape[0]}"
        return [TextLine(text, ((1, 1), (90, 1), (90, 9), (1, 9)), 0.9)]

    def close(self) -> None:
        """Nothing to give back."""


class CountingLabeller:
    model_id = "counting-labels"

    def labels(self, rgb: NDArray[np.uint8]) -> list[Label]:
        return [Label(f"shade {int(rgb.mean()) // 10}", 0.8, ("shade",))]

    def close(self) -> None:
        """Nothing to give back."""


class CountingRecogniser:
    """Hears how long and how loud a recording is."""

    model_id = "counting-speech"

    def transcribe(
        self,
        samples: NDArray[np.float32],
        *,
        language: str = "",  # noqa: ARG002
        is_whole: bool = True,  # noqa: ARG002
        is_last: bool = True,  # noqa: ARG002
        exact_words: bool = False,  # noqa: ARG002
        stop: threading.Event,  # noqa: ARG002
    ) -> Iterator[LanguageFound | SpeechSegment]:
        yield LanguageFound("en", 0.9)
        loudness = float(np.sqrt(np.mean(samples**2)))
        yield sentence(f"A tone of {len(samples) / SAMPLE_RATE_HZ:.2f} seconds and loudness {loudness:.3f}.", 0.1)

    def close(self) -> None:
        """Nothing to give back."""


class CountingEncoder:
    model_id, sha256, dimension, logit_scale = "counting-clip", "00" * 32, 8, 100.0

    def encode_image(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        vector = np.histogram(rgb, self.dimension)[0].astype(np.float32) + 1.0
        return np.asarray(vector / np.linalg.norm(vector), np.float32)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.full((len(texts), self.dimension), self.dimension**-0.5, np.float32)

    def close(self) -> None:
        """Nothing to give back."""


def open_counting_home(home_dir: Path, *, real_ocr: bool = False) -> Home:
    return open_home(
        HomePaths(home_dir),
        Settings(),
        embedder=SociableEmbedder(),
        ocr=None if real_ocr else CountingOcr(),
        labeller=CountingLabeller(),
        recogniser=CountingRecogniser(),
        image_encoder=CountingEncoder(),
    )


def main(home_dir: str, folder: str, real: str = "") -> None:
    home = open_counting_home(Path(home_dir), real_ocr=bool(real))
    assert home.read_only_because == "", "the one before is dead: its lock died with it"
    print("begun", flush=True)
    for event in home.index([Path(folder)], threading.Event()):
        print(event.phase if isinstance(event, IndexProgress) else type(event).__name__, flush=True)
    home.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
