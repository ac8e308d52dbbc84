"""A llama.cpp vocabulary: text to token ids and back.

The one place that decides what counts as a control token. Document text never becomes one: see `content_ids`.
"""

from __future__ import annotations

import ctypes
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

TokenIds = npt.NDArray[np.int32]

_ATTR_CONTROL = 1 << 3
_ATTR_USER_DEFINED = 1 << 4
"""LLAMA_TOKEN_ATTR_* in llama.h."""
_TYPE_SPM = 1

NO_IDS: TokenIds = np.empty(0, dtype=np.int32)


class LlamaVocab:
    """The vocabulary of a loaded model; valid for as long as the model is."""

    def __init__(self, library: ModuleType, model: int, *, spm_space_prefix: bool = True) -> None:
        """`spm_space_prefix` is the model's tokenizer.ggml.add_space_prefix; it matters to SPM vocabularies only."""
        self._library = library
        self._handle = library.llama_model_get_vocab(model)
        self.size = int(library.llama_vocab_n_tokens(self._handle))
        self.adds_bos = bool(library.llama_vocab_get_add_bos(self._handle))
        self.bos_id = int(library.llama_vocab_bos(self._handle))
        self.eos_id = int(library.llama_vocab_eos(self._handle))
        self._prefixes_space = spm_space_prefix and library.llama_vocab_type(self._handle) == _TYPE_SPM
        self._is_control: dict[int, bool] = {}
        self._is_end: dict[int, bool] = {}
        self._piece_buffer: Any = ctypes.create_string_buffer(256)

    def ids(self, text: str, *, special: bool, add_special: bool = False) -> TokenIds:
        """Token ids of a text; `special` reads control tokens written in it.

        Without BOS or EOS, unless `add_special` asks for what the model wants around a text.
        """
        raw = text.encode("utf-8", "replace")
        if not raw and not add_special:
            return NO_IDS
        ids = np.empty(len(raw) + 8, dtype=np.int32)  # never more tokens than bytes, but for what is put around them
        count = self._tokenize_into(ids, raw, special, add_special)
        if count < 0:
            ids = np.empty(-count, dtype=np.int32)
            count = self._tokenize_into(ids, raw, special, add_special)
        return ids[: max(0, count)].copy()

    def _tokenize_into(self, ids: TokenIds, raw: bytes, special: bool, add_special: bool) -> int:
        """How many ids were written; negative, the number that there are, when they do not fit."""
        pointer = ids.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
        count: int = self._library.llama_tokenize(self._handle, raw, len(raw), pointer, len(ids), add_special, special)
        return count

    def content_ids(self, text: str, *, after: int | None = None) -> TokenIds:
        """Token ids of untrusted text, none of them a control token, whatever the text spells.

        Tokenising with special tokens off is not enough: user-defined tokens (<think>, <tool_call>) are read
        all the same, and merges can spell a control token (`</s>`). Such a spelling is cut in two.
        `after` is the token before it, so that an SPM vocabulary adds its space only where it would in one go.
        """
        ids = self._plain_ids(text, after)
        if not self._has_control(ids):
            return ids
        return np.concatenate([NO_IDS, *(self._harmless_ids(piece) for piece in self._cut_spellings(text, ids))])

    def _harmless_ids(self, text: str) -> TokenIds:
        ids = self._joined_ids(text)
        if not self._has_control(ids):
            return ids
        if len(text) > 1:  # halves, then: in the end single characters
            middle = len(text) // 2
            return np.concatenate([self._harmless_ids(text[:middle]), self._harmless_ids(text[middle:])])
        return ids[[not self.is_control(int(each)) for each in ids]]

    def _cut_spellings(self, text: str, ids: TokenIds) -> list[str]:
        """The text in pieces, cut within every spelling of the control tokens that its ids contain."""
        pieces = [text]
        for spelling in {self.token_text(int(each)) for each in ids if self.is_control(int(each))}:
            if len(spelling) < 2:
                continue
            middle = len(spelling) // 2
            cut: list[str] = []
            for piece in pieces:
                parts = piece.split(spelling)
                for index, part in enumerate(parts):
                    before = spelling[middle:] if index else ""
                    behind = spelling[:middle] if index < len(parts) - 1 else ""
                    cut.append(before + part + behind)
            pieces = cut
        return pieces

    def _has_control(self, ids: TokenIds) -> bool:
        return any(self.is_control(each) for each in np.unique(ids).tolist())

    def _plain_ids(self, text: str, after: int | None) -> TokenIds:
        if after is None or self._ends_fragment(after):
            return self.ids(text, special=False)
        return self._joined_ids(text)

    def _joined_ids(self, text: str, *, special: bool = False) -> TokenIds:
        """As `ids`, without the space that an SPM vocabulary puts before a text that stands alone."""
        if not self._prefixes_space or not text:
            return self.ids(text, special=special)
        # A line feed never merges with what follows; the space goes before it, and both are taken off again.
        prefix = self.ids("\n", special=False)
        ids = self.ids("\n" + text, special=special)
        if np.array_equal(ids[: len(prefix)], prefix):
            return ids[len(prefix) :]
        return self.ids(text, special=special)

    def template_ids(self, text: str, *, after: int | None = None) -> TokenIds:
        """Token ids of a piece of the template: its control tokens are read as such."""
        if after is None or self._ends_fragment(after):
            return self.ids(text, special=True)
        return self._joined_ids(text, special=True)

    def _ends_fragment(self, token: int) -> bool:
        return bool(self._attributes(token) & (_ATTR_CONTROL | _ATTR_USER_DEFINED))

    def is_control(self, token: int) -> bool:
        """Control tokens, ends of generation, and user-defined tokens that look like markup (<think>, [TOOL])."""
        known = self._is_control.get(token)
        if known is None:
            attributes = self._attributes(token)
            known = bool(attributes & _ATTR_CONTROL) or self.is_end(token)
            if not known and attributes & _ATTR_USER_DEFINED:
                text = self.token_text(token).strip()
                known = len(text) > 2 and text[0] + text[-1] in {"<>", "[]"}
            self._is_control[token] = known
        return known

    def is_end(self, token: int) -> bool:
        """Whether this token ends an answer (EOS, end of turn and the like)."""
        known = self._is_end.get(token)
        if known is None:
            known = self._is_end[token] = bool(self._library.llama_vocab_is_eog(self._handle, token))
        return known

    def _attributes(self, token: int) -> int:
        return int(self._library.llama_vocab_get_attr(self._handle, token))

    def token_text(self, token: int) -> str:
        """The token as the vocabulary writes it; for control tokens that is their spelling. "" for no token."""
        if token < 0:
            return ""
        raw: bytes = self._library.llama_vocab_get_text(self._handle, token) or b""
        return raw.decode("utf-8", "replace")

    def piece(self, token: int) -> bytes:
        """The bytes that a token adds to the text; empty for a control token."""
        count = self._library.llama_token_to_piece(
            self._handle, token, self._piece_buffer, len(self._piece_buffer), 0, False
        )
        if count < 0:
            self._piece_buffer = ctypes.create_string_buffer(-count)
            count = self._library.llama_token_to_piece(self._handle, token, self._piece_buffer, -count, 0, False)
        return bytes(self._piece_buffer.raw[: max(0, count)])
