"""A Hugging Face `tokenizer.json`: text to the ids that an ONNX text model is given, and how many they are.

Document text never becomes a control token: "[SEP]" in it is text. Knows nothing of models; padding and cutting
that the file asks for are left out, since whoever runs the model decides on both.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import WeightsDamaged, WeightsMissing

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class HfTokenizer:
    """Thread-safe: the tokenizers behind it are never changed once they are made."""

    def __init__(self, file: Path) -> None:
        """Raises WeightsMissing, and WeightsDamaged where it is no tokenizer."""
        self._file = file
        self._json = _read(file)
        self._cut: dict[int, Tokenizer] = {}

    def count(self, text: str) -> int:
        """Tokens of the text alone: no special tokens, not cut."""
        return len(self._uncut.encode(text, add_special_tokens=False).ids)

    def ids(self, texts: Sequence[str], *, max_tokens: int) -> list[list[int]]:
        """Of each text with its special tokens around, cut at `max_tokens` with them."""
        return [encoding.ids for encoding in self._cut_at(max_tokens).encode_batch_fast(list(texts))]

    def pairs(self, first: str, seconds: Sequence[str], *, max_tokens: int) -> list[tuple[list[int], list[int]]]:
        """Of `first` with each of `seconds`: (ids, token types), cut at `max_tokens` from the
        longer of the two."""
        tokenizer = self._cut_at(max_tokens)
        encodings = tokenizer.encode_batch([(first, second) for second in seconds])
        return [(encoding.ids, encoding.type_ids) for encoding in encodings]

    @cached_property
    def pad_id(self) -> int:
        """What a text is filled up with. Masked, so it only has to be an id of the vocabulary."""
        declared = json.loads(self._json).get("padding")
        return int(declared["pad_id"]) if isinstance(declared, dict) and "pad_id" in declared else 0

    @cached_property
    def _uncut(self) -> Tokenizer:
        return self._load(None)

    def _cut_at(self, max_tokens: int) -> Tokenizer:
        if max_tokens not in self._cut:
            self._cut[max_tokens] = self._load(max_tokens)
        return self._cut[max_tokens]

    def _load(self, max_tokens: int | None) -> Tokenizer:
        # One thread tokenises in 2 % of the time that embedding takes; more would take cores from the chat engine.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        from tokenizers import Tokenizer

        try:
            tokenizer = Tokenizer.from_str(self._json)
        except Exception as error:  # the library raises the bare class, for whatever it does not like
            raise WeightsDamaged(
                f"{self._file} is not a tokenizer ({error})", hint="get it again: homebody models pull"
            ) from error
        tokenizer.no_padding()
        tokenizer.no_truncation()
        if max_tokens is not None:
            tokenizer.enable_truncation(max_tokens, strategy="longest_first")
        tokenizer.encode_special_tokens = True
        return tokenizer


def _read(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8")
        json.loads(text)
    except FileNotFoundError as error:
        raise WeightsMissing(f"{file} is not there", hint="get it: homebody models pull") from error
    except OSError as error:
        raise WeightsMissing(f"{file} cannot be read: {error.strerror}", hint="check who may read it") from error
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError
        raise WeightsDamaged(f"{file} is not a tokenizer", hint="get it again: homebody models pull") from error
    return text
