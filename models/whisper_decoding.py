"""Whisper's own steps on CTranslate2: chunks of sound to tokens, tokens to pieces of text with their seconds.

Chunks are encoded and decoded several at a time, with timestamp tokens: without them Whisper takes the first pause
for the end of a chunk and leaves out the rest. Where it stops early all the same is told. Knows nothing of voices,
recordings and sentences; what is doubtful is for the caller to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.speech import SAMPLE_RATE_HZ, LanguageFound, Word

if TYPE_CHECKING:
    from ctranslate2 import StorageView
    from ctranslate2.models import WhisperGenerationResult
    from faster_whisper import WhisperModel
    from faster_whisper.tokenizer import Tokenizer

TOKEN_S = 0.02
"""Between two timestamp tokens."""
MAX_FIRST_TIMESTAMP = 50
"""A chunk's first words begin within its first second: as OpenAI's own decoder has it."""
SAMPLES_AT_ONCE = 5
"""Tries at random, of which the most probable counts: as OpenAI's own decoder has it."""
_OPENERS = "\"'\u201c\u00bf([{-"
_CLOSERS = "\"'.\u3002,\uff0c!\uff01?\uff1f:\uff1a\u201d)]}\u3001"


@dataclass(frozen=True, slots=True)
class Decoded:
    """What was made of one chunk."""

    phrases: tuple[Word, ...]
    """What is said between two timestamps each, or single words where their exact times were asked for, which the
    decoder's attention shows. Seconds from the chunk's beginning."""
    ended_s: float | None
    """It stopped here, before the chunk's end, as it would go on in a next chunk; None where it came to the end."""
    average_log_probability: float
    no_speech_probability: float
    compression_ratio: float

    @property
    def texts(self) -> list[str]:
        """The single words."""
        return [word for phrase in self.phrases for word in phrase.text.split()]


@dataclass(frozen=True, slots=True)
class Encoded:
    """Chunks that went through the encoder, which is most of the work."""

    output: StorageView
    samples: tuple[int, ...]
    """Length of each chunk."""


class WhisperDecoder:
    """A loaded model with its tokenizer. Raises RuntimeError and ValueError as CTranslate2 does."""

    def __init__(self, model: WhisperModel) -> None:
        self._model = model
        self._tokenizers: dict[str, Tokenizer] = {}

    @property
    def is_multilingual(self) -> bool:
        return self._model.model.is_multilingual

    def encode(self, chunks: Sequence[NDArray[np.float32]]) -> Encoded:
        """Chunks of (samples,), at most 30 s each.

        A processor takes them one by one: what attends to 1,500 frames fits its caches and takes a quarter of the
        memory of four (LOG.md). A GPU takes them together.
        """
        from faster_whisper.audio import pad_or_trim

        features = np.stack([pad_or_trim(self._model.feature_extractor(chunk)[..., :-1]) for chunk in chunks])
        lengths = tuple(len(chunk) for chunk in chunks)
        if self._model.model.device != "cpu" or len(chunks) == 1:
            return Encoded(self._model.encode(features), lengths)
        return Encoded(_joined([self._model.encode(each[None]) for each in features]), lengths)

    def language(self, encoded: Encoded) -> LanguageFound:
        """The language of all chunks together."""
        if not self.is_multilingual:
            return LanguageFound("en", 1.0)
        sums: dict[str, float] = {}
        for found in self._model.model.detect_language(encoded.output):
            for token, probability in found:
                name = token.strip("<|>")
                sums[name] = sums.get(name, 0.0) + probability
        best = max(sums, key=sums.__getitem__)
        return LanguageFound(best, sums[best] / len(encoded.samples))

    def decode(
        self, encoded: Encoded, language: str, *, beam: int, temperature: float = 0.0, exact_words: bool = False
    ) -> list[Decoded]:
        """One result a chunk. A temperature above 0 tries at random, in place of a beam."""
        from faster_whisper.transcribe import get_suppressed_tokens

        tokenizer = self._tokenizer(language)
        prompt = self._model.get_prompt(tokenizer, [], without_timestamps=False)
        results = self._model.model.generate(
            encoded.output,
            [prompt] * len(encoded.samples),
            beam_size=1 if temperature else beam,
            num_hypotheses=SAMPLES_AT_ONCE if temperature else 1,
            sampling_topk=0 if temperature else 1,
            sampling_temperature=temperature or 1.0,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=get_suppressed_tokens(tokenizer, [-1]),
            max_initial_timestamp_index=MAX_FIRST_TIMESTAMP,
        )
        exact: list[list[Word]] | None = None
        if exact_words:
            exact = self._aligned(tokenizer, encoded, [result.sequences_ids[0] for result in results])
        return [
            _decoded(tokenizer, result, encoded.samples[index] / SAMPLE_RATE_HZ, exact[index] if exact else None)
            for index, result in enumerate(results)
        ]

    def _aligned(self, tokenizer: Tokenizer, encoded: Encoded, sequences: Sequence[Sequence[int]]) -> list[list[Word]]:
        """The words of each chunk with their times as the decoder's attention shows them."""
        from faster_whisper.transcribe import merge_punctuations

        texts = [[token for token in tokens if token < tokenizer.eot] for tokens in sequences]
        frames = [max(2, samples * self._model.frames_per_second // SAMPLE_RATE_HZ) for samples in encoded.samples]
        aligned: list[list[Word]] = []
        for found in self._model.find_alignment(tokenizer, texts, encoded.output, frames):
            merge_punctuations(found, _OPENERS, _CLOSERS)
            aligned.append(
                [
                    Word(float(each["start"]), float(each["end"]), each["word"].strip(), float(each["probability"]))
                    for each in found
                    if each["word"].strip()
                ]
            )
        return aligned

    def _tokenizer(self, language: str) -> Tokenizer:
        from faster_whisper.tokenizer import Tokenizer

        if not self.is_multilingual:
            language = "en"
        if language not in self._tokenizers:
            self._tokenizers[language] = Tokenizer(
                self._model.hf_tokenizer, self.is_multilingual, task="transcribe", language=language
            )
        return self._tokenizers[language]


def _joined(outputs: Sequence[StorageView]) -> StorageView:
    """The encoder's outputs, (1, frames, width) each, not on a GPU, as one of (chunks, frames, width)."""
    from ctranslate2 import StorageView

    return StorageView.from_array(np.concatenate([np.asarray(each) for each in outputs]))


def _decoded(
    tokenizer: Tokenizer, result: WhisperGenerationResult, duration_s: float, exact: list[Word] | None
) -> Decoded:
    from faster_whisper.transcribe import get_compression_ratio

    tokens = result.sequences_ids[0]
    average = result.scores[0] * len(tokens) / (len(tokens) + 1)
    pieces, ended_s = timed_pieces(tokens, tokenizer.timestamp_begin, duration_s)
    phrases = exact
    if phrases is None:
        phrases = [
            Word(start_s, end_s, text, float(np.exp(average)))
            for start_s, end_s, piece in pieces
            if (text := tokenizer.decode([token for token in piece if token < tokenizer.eot]).strip())
        ]
    whole = " ".join(phrase.text for phrase in phrases)
    return Decoded(
        tuple(phrases), ended_s, average, result.no_speech_prob, get_compression_ratio(whole) if whole else 0.0
    )


def timed_pieces(
    tokens: Sequence[int], timestamp_begin: int, duration_s: float
) -> tuple[list[tuple[float, float, list[int]]], float | None]:
    """The text tokens between two timestamps each, with these; and where Whisper broke off, if it did.

    It breaks off in one of two ways: it closes a piece, opens the next and says nothing; or it closes a piece well
    before the end. Times never run backwards and never beyond the chunk.
    """
    pieces: list[tuple[float, float, list[int]]] = []
    start_s = latest_s = 0.0
    held: list[int] = []
    is_open = False
    for token in tokens:
        if token < timestamp_begin:
            held.append(token)
            is_open = True
            continue
        latest_s = min(max((token - timestamp_begin) * TOKEN_S, start_s), duration_s)
        if held:
            pieces.append((start_s, latest_s, held))
            held = []
            is_open = False
        start_s = latest_s
    if held:
        pieces.append((start_s, duration_s, held))
    came_to_end = is_open or not pieces or latest_s >= duration_s - TOKEN_S
    return pieces, None if came_to_end else latest_s
