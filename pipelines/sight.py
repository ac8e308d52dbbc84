"""Which model answers when there are pictures, and what it is shown of them.

One that sees gets the pictures themselves, the older ones of the conversation too. Where there is none, the program
says in text what it finds on them, and says that it did. Knows nothing of prompts and of how a model is run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from models.chat import ChatModel, ImagePart
from pipelines.conversation_pictures import ConversationPictures, ShownPicture
from pipelines.conversations import PastTurn
from pipelines.events import Notice
from pipelines.turn import Attachment, Picture

BorrowChat = Callable[[], AbstractContextManager[ChatModel]]
"""The chat model for this caller alone until the block is left; loads it first if need be."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A chat model that can be had."""

    borrow: BorrowChat
    to_load: Callable[[], str] = lambda: ""
    """Its id when borrowing means loading it."""
    prefill_tokens_per_s: Callable[[], float] = lambda: 0.0
    """As measured; 0 when nothing was."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What a turn has to do with pictures, and who is to speak."""

    voice: Voice
    texts: tuple[Attachment, ...]
    """Attachments to be read as text."""
    sees: bool = False
    """The voice is shown pictures, now or in older turns."""
    new: tuple[Picture, ...] = ()
    """Shown for the first time."""
    texts_of_new: tuple[str, ...] = ()
    """What is known of each in words already; empty where nobody looked."""
    images: Mapping[str, ImagePart] = field(default_factory=dict)
    """All that can be shown, by digest."""
    notices: tuple[Notice, ...] = ()


class Eyesight:
    def __init__(
        self, blind: Voice, *, seeing: Callable[[], Voice | None], pictures: ConversationPictures | None
    ) -> None:
        """`seeing` is the model that accepts pictures, if there is one; `pictures` None: nobody can look at any."""
        self._blind = blind
        self._seeing = seeing
        self.pictures = pictures

    def look(self, attachments: Sequence[Attachment], history: Sequence[PastTurn], stop: threading.Event) -> Sight:
        """Raises what choosing a model raises, and for a picture that must be described: EXPECTED_ERRORS."""
        texts = tuple(each for each in attachments if not each.pictures)
        with_pictures = [each for each in attachments if each.pictures]
        new = tuple((picture, each.text) for each in with_pictures for picture in each.pictures)
        older = [shown for turn in history for shown in turn.pictures]
        if not new and not older:
            return Sight(self._blind, texts)
        notes = tuple(Notice(note) for attachment in with_pictures for note in attachment.notes)
        voice = self._seeing() if self.pictures is not None else None
        if voice is None or self.pictures is None:
            described = [self._in_words(attachment, stop) for attachment in with_pictures]
            unseen = (_unseen(described),) if described else ()
            return Sight(self._blind, (*described, *texts), notices=(*notes, *unseen))
        images = {picture.image.digest: picture.image for picture, _ in new}
        for image in images.values():
            self.pictures.keep(image)
        missing: list[str] = []
        for shown in older:
            recalled = images.get(shown.digest) or self.pictures.recall(shown)
            if recalled is not None:
                images[shown.digest] = recalled
            elif shown.name not in missing:
                missing.append(shown.name)
        return Sight(
            voice,
            texts,
            sees=True,
            new=tuple(picture for picture, _ in new),
            texts_of_new=tuple(text for _, text in new),
            images=images,
            notices=(*notes, _gone(missing)) if missing else notes,
        )

    def _in_words(self, attachment: Attachment, stop: threading.Event) -> Attachment:
        text = attachment.text
        if not text and self.pictures is not None:
            text = self.pictures.text_of(ShownPicture.of(attachment.pictures[0]), stop).text
        return replace(attachment, text=text, pictures=(), kind="image")


def _unseen(described: Sequence[Attachment]) -> Notice:
    names = ", ".join(each.name for each in described)
    return Notice(
        f"{names}: no model that sees pictures is installed; the answer rests on the text and the labels found there.",
        "run: homebody models pull --for vision",
    )


def _gone(names: Sequence[str]) -> Notice:
    return Notice(
        f"{', '.join(names)}: changed or gone since, so the model no longer sees it.",
        "attach it again to ask about what it shows now",
    )
