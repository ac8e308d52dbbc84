"""Messages to the tokens of a prompt, and the ids of answers remembered so that they can be reused.

An answer is rarely tokenised the way it was generated: text that goes out and comes back as text can be cut
differently, and everything after the first difference would have to be evaluated again. So the ids of the last
answers are kept by their text. A picture stands where its part stands among a message's texts: as the marks and chunks
that `vision` says, whatever the texts spell. Knows the template and the vocabulary; runs no model.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from models.chat import ChatMessage, ImagePart, Part, Role, TextPart
from models.chat_template import ChatTemplate, ContentPlace
from models.errors import UnsupportedInput
from models.llama_vocab import LlamaVocab, TokenIds
from models.picture_chunks import ChunkShape, Layout, PictureSpan, Prompt
from models.token_sequence import TokenSequence, picture_ids

_ANSWERS_KEPT = 256

Content = tuple[Part, ...]


class Layouts(Protocol):
    """What knows how much of a prompt a picture takes."""

    def layout(self, image: ImagePart) -> Layout: ...


class PromptTokens:
    def __init__(self, vocab: LlamaVocab, template: ChatTemplate, vision: Layouts | None = None) -> None:
        """Without `vision` the model reads text only."""
        self._vocab = vocab
        self._template = template
        self._vision = vision
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
        """The ids of `prompt`: int32, below 0 for pictures."""
        return self.prompt(messages).ids

    def prompt(self, messages: Sequence[ChatMessage]) -> Prompt:
        """What the model is to read, ending where the answer begins. No control token comes from a message's text.

        Raises UnsupportedInput for a picture where the model reads text only, EngineFailed or WeightsDamaged from
        the template or from a picture.
        """
        contents = [(message.role, self._accepted(message.parts)) for message in messages]
        if not self._template.takes_system_role:
            contents = _system_into_user(contents)
        pieces = self._template.pieces([role for role, _ in contents])
        opening = pieces[-1] if pieces and isinstance(pieces[-1], str) else ""
        prompt = _PromptInTheMaking()
        if self._vocab.adds_bos:
            prompt.add_ids(np.array([self._vocab.bos_id], dtype=np.int32))
        for index, piece in enumerate(pieces):
            if isinstance(piece, ContentPlace):
                self._add_content(*contents[piece.message], prompt)
            else:
                text = piece.removeprefix(self._bos_text) if index == 0 and self._bos_text else piece
                following = pieces[index + 1] if index + 1 < len(pieces) else None
                if isinstance(following, ContentPlace) and self._is_remembered(*contents[following.message]):
                    text = _as_it_was_asked(text, opening)
                prompt.add_ids(self._vocab.template_ids(text, after=prompt.last))
        return prompt.finished()

    def count_content(self, text: str) -> int:
        return len(self._vocab.content_ids(text))

    def count_image(self, image: ImagePart) -> int:
        """Raises UnsupportedInput where the model reads text only."""
        self._accepted((image,))
        assert self._vision is not None  # or the picture would not have been accepted
        layout = self._vision.layout(image)
        return sum(each.tokens if isinstance(each, ChunkShape) else len(each) for each in layout)

    def _accepted(self, parts: Sequence[Part]) -> Content:
        """The parts, texts that follow each other joined. Raises UnsupportedInput."""
        joined: list[Part] = []
        for part in parts:
            if isinstance(part, ImagePart) and self._vision is None:
                raise UnsupportedInput(
                    f"this model reads text only; got a picture of {part.width_px} x {part.height_px} pixels",
                    hint="choose a model that reads pictures: homebody models list --for vision",
                )
            if isinstance(part, TextPart) and joined and isinstance(before := joined[-1], TextPart):
                joined[-1] = TextPart(before.text + part.text)
            else:
                joined.append(part)
        return tuple(joined)

    def _is_remembered(self, role: Role, content: Content) -> bool:
        return role == "assistant" and _only_text(content) in self._answers

    def _add_content(self, role: Role, content: Content, prompt: _PromptInTheMaking) -> None:
        if self._is_remembered(role, content):
            text = _only_text(content)
            self._answers.move_to_end(text)
            prompt.add_ids(self._answers[text])
            return
        for part in _trimmed(content) if role in self._template.trimmed_roles else content:
            if isinstance(part, TextPart):
                prompt.add_ids(self._vocab.content_ids(part.text, after=prompt.last))
            else:
                assert self._vision is not None  # or the picture would not have been accepted
                prompt.add_picture(part, self._vision.layout(part))


class _PromptInTheMaking:
    """Collects runs of ids and chunks of pictures, in order."""

    def __init__(self) -> None:
        self._pieces: list[TokenIds | tuple[ImagePart, int, ChunkShape]] = []
        self._tokens = 0
        self.last: int | None = None
        """The id before what comes next; None at the beginning and behind a picture."""

    def add_ids(self, ids: TokenIds) -> None:
        if len(ids):
            self._pieces.append(ids)
            self._tokens += len(ids)
            self.last = int(ids[-1])

    def add_picture(self, image: ImagePart, layout: Layout) -> None:
        chunk = 0
        for each in layout:
            if isinstance(each, ChunkShape):
                self._pieces.append((image, chunk, each))
                self._tokens += each.tokens
                self.last = None
                chunk += 1
            else:
                self.add_ids(each)

    def finished(self) -> Prompt:
        sequence = TokenSequence(self._tokens)
        spans: list[PictureSpan] = []
        for piece in self._pieces:
            if isinstance(piece, np.ndarray):
                sequence.append(piece)
                continue
            image, chunk, shape = piece
            spans.append(PictureSpan(len(sequence), image, chunk, shape))
            sequence.append_picture(picture_ids(image.digest, chunk, shape.tokens), shape.positions)
        return Prompt(sequence, tuple(spans))


def _only_text(content: Content) -> str:
    """The text of a content that is nothing else; "" otherwise."""
    return content[0].text if len(content) == 1 and isinstance(content[0], TextPart) else ""


def _trimmed(content: Content) -> Content:
    """Without white space at both ends, as the template shows it."""
    parts = list(content)
    if parts and isinstance(first := parts[0], TextPart):
        parts[0] = TextPart(first.text.lstrip())
    if parts and isinstance(final := parts[-1], TextPart):
        parts[-1] = TextPart(final.text.rstrip())
    return tuple(parts)


def _system_into_user(contents: list[tuple[Role, Content]]) -> list[tuple[Role, Content]]:
    """For templates without a system role: its text goes before the first user message."""
    system = "\n\n".join(_only_text(content) for role, content in contents if role == "system")
    others: list[tuple[Role, Content]] = [(role, content) for role, content in contents if role != "system"]
    if not system:
        return others
    if others and others[0][0] == "user":
        first = others[0][1]
        if first and isinstance(first[0], TextPart):
            return [("user", (TextPart(f"{system}\n\n{first[0].text}"), *first[1:])), *others[1:]]
        return [("user", (TextPart(f"{system}\n\n"), *first)), *others[1:]]
    return [("user", (TextPart(system),)), *others]


def _as_it_was_asked(before_answer: str, opening: str) -> str:
    """The text before a remembered answer as it stood when the answer was generated.

    Some templates open the answer with more than they show later (an empty <think></think>), or show it later behind a
    space that they do not open it with: the prompt would differ from the evaluated one just before the answer.
    """
    shown = before_answer.rstrip()
    if shown.endswith(opening.rstrip()):
        return shown.removesuffix(opening.rstrip()) + opening
    for cut in range(len(before_answer)):
        if opening.startswith(before_answer[cut:]):
            return before_answer[:cut] + opening
    return before_answer
