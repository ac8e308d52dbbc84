"""OCR through RapidOCR: PP-OCRv6 finds lines and reads them.

The ONNX files come with the rapidocr package; they are given to it as sessions that `onnx_session.py` built, on
the device of our placement, so that it neither looks for models nor fetches any. Of RapidOCR the steps around the
networks are used: scaling, cutting lines out, decoding. Its third network, which tells lines that stand on their head,
is left out: it turns long upright lines too (7 to 18 % of the characters of clean pages were lost to that). A picture
whose lines read badly is read once more the other way up instead. Its log goes to `logging`, not to the terminal.
Needs OpenCV, through RapidOCR. Knows nothing of files of pictures.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.checksum import unchanged_sha256_of
from models.errors import EngineFailed, WeightsMissing
from models.ocr import MODEL_ID, TextLine
from models.onnx_session import CPU, OnnxPlacement, OnnxSession, SessionReport, open_model

NEEDED_BYTES = 400 << 20
"""Measured: 32 MB of weights, and what a page of 2,000 pixels takes on its way through the networks."""
MIN_SIDE_PX = 4
"""A picture with a shorter side holds no text."""
MIN_SCORE = 0.5
"""Lines of which the engine is less sure are left out: they are mostly texture taken for letters."""
FEW_LETTERS = 5
MIN_SCORE_OF_FEW = 0.75
"""For lines of so few letters: a temple's roof was read as AAA with a score of 0.62, signs of a word have above 0.9."""

LINES_AT_ONCE = 1
"""Lines read in one run. More cost as much time a line and more memory (one 360 MB in all, six 520 MB)."""
UPRIGHT_SCORE = 0.8
"""A picture whose lines are read less surely, on average over their letters, is tried upside down. Measured: pages
upright 0.99, the same on their head 0.68."""

_FILES = {
    "Det": "PP-OCRv6_det_small.onnx",
    "Rec": "PP-OCRv6_rec_small.onnx",
}
"""By RapidOCR's name for the step."""


class RapidOcr:
    """The engine, loaded. Not thread-safe: `models.resident` gives it to one caller at a time.

    Raises WeightsMissing or WeightsDamaged when it is made, EngineFailed when it works.
    """

    def __init__(self, *, placement: OnnxPlacement = CPU, threads: int = 1, cache_dir: Path | None = None) -> None:
        """`cache_dir` keeps the optimised graphs."""
        self.model_id = MODEL_ID
        self._between: Callable[[], None] = _go_on
        self._steps: Any = None
        files = {step: _model_file(name) for step, name in _FILES.items()}
        sessions = {
            step: open_model(
                file,
                sha256=unchanged_sha256_of(file),
                placement=placement,
                threads=threads,
                keeps_memory=False,
                cache_dir=cache_dir,
            )
            for step, file in files.items()
        }
        self._reports = tuple(session.report for session in sessions.values())
        self._steps = self._joined(files, sessions)

    @property
    def report(self) -> SessionReport:
        """The device asked for and the one that runs: of its sessions, one that fell back, if any did."""
        return next((each for each in self._reports if each.fallback_reason), self._reports[0])

    def read(self, rgb: NDArray[np.uint8], between: Callable[[], None] = lambda: None) -> list[TextLine]:
        """As `models.ocr.OcrEngine.read`."""
        if self._steps is None:
            raise EngineFailed(f"{self.model_id} is closed")
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
            raise ValueError(f"a picture of shape (height, width, 3) in bytes, not {rgb.shape} of {rgb.dtype}")
        if min(rgb.shape[:2]) < MIN_SIDE_PX:
            return []
        self._between = between
        try:
            lines = self._lines(rgb)
            if lines and _sureness(lines) < UPRIGHT_SCORE:
                height, width = rgb.shape[:2]
                turned = self._lines(np.ascontiguousarray(rgb[::-1, ::-1]))
                if _sureness(turned) > _sureness(lines):
                    lines = [_turned(line, width, height) for line in reversed(turned)]
        finally:
            self._between = _go_on
        return [line for line in lines if is_text(line)]

    def _lines(self, rgb: NDArray[np.uint8]) -> list[TextLine]:
        found = self._steps(np.ascontiguousarray(rgb[..., ::-1]))  # RapidOCR takes OpenCV's order of colours
        texts = getattr(found, "txts", None)
        if texts is None or found.boxes is None or found.scores is None:
            return []
        return [
            TextLine(text.strip(), _quad(corners), float(score))
            for text, corners, score in zip(texts, found.boxes, found.scores, strict=True)
            if text.strip()
        ]

    def close(self) -> None:
        """Let go of the engine. Safe to call twice."""
        self._steps = None

    def _joined(self, files: dict[str, Path], sessions: dict[str, OnnxSession]) -> Any:
        """RapidOCR's steps over our sessions."""
        from rapidocr import RapidOCR
        from rapidocr.ch_ppocr_det import TextDetector
        from rapidocr.ch_ppocr_rec import TextRecognizer

        _route_log()
        paths = {f"{step}.model_path": str(file) for step, file in files.items()}
        steps = RapidOCR(
            params={"Global.log_level": "warning", "Global.text_score": 0.0, "Global.use_cls": False, **paths}
        )
        parts: dict[str, Any] = {}
        for step, made in {"Det": TextDetector, "Rec": TextRecognizer}.items():
            settings = _StepSettings({str(key): value for key, value in steps.cfg[step].items()})
            settings["session"] = sessions[step].native
            settings["font_path"] = None
            if step == "Rec":
                settings["rec_batch_num"] = LINES_AT_ONCE
            parts[step] = made(settings)
            parts[step].session = _Step(self, sessions[step])
        steps.text_det, steps.text_rec = parts["Det"], parts["Rec"]
        return steps

    def step_done(self) -> None:
        self._between()


class _StepSettings(dict[str, Any]):
    """What RapidOCR reads as a key here and as an attribute there; its own kind of settings takes no session."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(name) from error


class _Step:
    """A network as RapidOCR calls it."""

    def __init__(self, owner: RapidOcr, session: OnnxSession) -> None:
        self._owner = owner
        self._session = session

    def __call__(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        self._owner.step_done()
        return self._session.run({self._session.input_names[0]: pixels})[0]


def is_text(line: TextLine) -> bool:
    """Whether the engine is sure enough that these are letters at all."""
    return line.score >= (MIN_SCORE if len(line.text) > FEW_LETTERS else MIN_SCORE_OF_FEW)


def _sureness(lines: list[TextLine]) -> float:
    """On average over their letters; 0 without any."""
    letters = sum(len(line.text) for line in lines)
    return sum(len(line.text) * line.score for line in lines) / letters if letters else 0.0


def _turned(line: TextLine, width: int, height: int) -> TextLine:
    """A line found in a picture that was turned by half a turn, where it is in the picture itself."""
    quad: Any = tuple((round(width - x, 1), round(height - y, 1)) for x, y in line.quad)
    return replace(line, quad=quad)


def _go_on() -> None:
    """Nobody waits between the steps."""


def _quad(corners: NDArray[np.float32]) -> Any:
    return tuple((round(float(x), 1), round(float(y), 1)) for x, y in corners)


def _model_file(name: str) -> Path:
    try:
        file = Path(str(resources.files("rapidocr").joinpath("models", name)))
    except ModuleNotFoundError as error:
        raise WeightsMissing("RapidOCR is not installed", hint="install homebody again: it belongs to it") from error
    if not file.is_file():
        raise WeightsMissing(f"RapidOCR's {name} is missing", hint="install rapidocr again, version 3.10")
    return file


def _route_log() -> None:
    """RapidOCR writes its log to the terminal by a handler of its own; it goes where every log goes instead."""
    log = logging.getLogger("RapidOCR")
    for handler in list(log.handlers):
        log.removeHandler(handler)
    log.propagate = True
