"""Messages to the token ids of a prompt, and the ids of answers remembered so that they can be reused.

An answer is rarely tokenised the way it was generated: text that goes out and comes back as text can be cut
differently, and everything after the first difference would have to be evaluated again. So the ids of the last
answers are kept by their text. Knows the template and the vocabulary; runs no model.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from models.chat import ChatMessage, Role, TextPart
from models.chat_template import ChatTemplate, ContentPlace
from models.errors import UnsupportedInput
from models.llama_vocab import LlamaVocab, TokenIds

_ANSWERS_KEPT = 256


class PromptTokens:
    def __init__(self, vocab: LlamaVocab, template: ChatTemplate) -> None:
        self._vocab = vocab
        self._template = template
        self._bos_text = vocab.token_text(vocab.bos_id) if vocab.adds_bos else ""
        self._answers: OrderedDict[str, TokenIds] = OrderedDict()

    def remember_answer(self, text: str, ids: TokenIds) -> None:
        """The ids that were generated for an answer; `text` is exactly what they decode to."""
        if not text or not len(ids):
            return
        self._answers[text] = ids
        self._answers.move_to_end(text)
        while len(self._answers) > _ANSWERS_KEPT:
            self._answers.popitem(last=False)

    def forget_answers(self) -> None:
        self._answers.clear()

    def of(self, messages: Sequence[ChatMessage]) -> TokenIds:
        """The prompt: int32, ending where the answer begins. No control token comes from a message's text.

        Raises UnsupportedInput for anything but text, EngineFailed or WeightsDamaged from the template.
        """
        contents = _contents(messages)
        if not self._template.takes_system_role:
            contents = _system_into_user(contents)
        pieces = self._template.pieces([role for role, _ in contents])
        opening = pieces[-1] if pieces and isinstance(pieces[-1], str) else ""
        ids: list[TokenIds] = [np.array([self._vocab.bos_id], dtype=np.int32)] if self._vocab.adds_bos else []
        last: int | None = self._vocab.bos_id if self._vocab.adds_bos else None
        for index, piece in enumerate(pieces):
            if isinstance(piece, ContentPlace):
                role, text = contents[piece.message]
                more = self._content_ids(role, text, last)
            else:
                text = piece.removeprefix(self._bos_text) if index == 0 and self._bos_text else piece
                following = pieces[index + 1] if index + 1 < len(pieces) else None
                if isinstance(following, ContentPlace) and self._is_remembered(contents[following.message]):
                    text = _as_it_was_asked(text, opening)
                more = self._vocab.template_ids(text, after=last)
            if len(more):
                ids.append(more)
                last = int(more[-1])
        return np.concatenate(ids) if ids else np.empty(0, dtype=np.int32)

    def count_content(self, text: str) -> int:
        return len(self._vocab.content_ids(text))

    def _is_remembered(self, content: tuple[Role, str]) -> bool:
        return content[0] == "assistant" and content[1] in self._answers

    def _content_ids(self, role: Role, text: str, last: int | None) -> TokenIds:
        if self._is_remembered((role, text)):
            self._answers.move_to_end(text)
            return self._answers[text]
        if role in self._template.trimmed_roles:
            text = text.strip()
        return self._vocab.content_ids(text, after=last)


def _contents(messages: Sequence[ChatMessage]) -> list[tuple[Role, str]]:
    contents: list[tuple[Role, str]] = []
    for message in messages:
        texts = []
        for part in message.parts:
            if not isinstance(part, TextPart):
                raise UnsupportedInput(
                    f"this model reads text only; got {part.media_type}", hint="choose a model with vision"
                )
            texts.append(part.text)
        contents.append((message.role, "".join(texts)))
    return contents


def _system_into_user(contents: list[tuple[Role, str]]) -> list[tuple[Role, str]]:
    """For templates without a system role: its text goes before the first user message."""
    system = "\n\n".join(text for role, text in contents if role == "system")
    others: list[tuple[Role, str]] = [(role, text) for role, text in contents if role != "system"]
    if not system:
        return others
    if others and others[0][0] == "user":
        return [("user", f"{system}\n\n{others[0][1]}"), *others[1:]]
    return [("user", system), *others]


def _as_it_was_asked(before_answer: str, opening: str) -> str:
    """The text before a remembered answer as it stood when the answer was generated.

    Some templates open the answer with more than they show later (an empty <think></think>): without it the
    prompt would differ from the evaluated one just before the answer.
    """
    for cut in range(len(before_answer)):
        if opening.startswith(before_answer[cut:]):
            return before_answer[:cut] + opening
    return before_answer
