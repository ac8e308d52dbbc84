"""The pictures of conversations: what is remembered of each, and how a model gets to see it again.

A conversation keeps a picture's path and the digest of its pixels, not the picture. A later question shows it again
while its file still has those pixels; one that was changed or deleted is not shown, and that is said by whoever asks.
Pixels of the last pictures are kept in memory. Knows nothing of models and of prompts.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from models.chat import ImagePart
from pipelines.errors import EXPECTED_ERRORS
from pipelines.passages import Passage
from pipelines.turn import Attachment, Picture
from rag.reading import ReadStopped

LOGGER = logging.getLogger(__name__)

KEPT_BYTES = 96 * 2**20
"""Of pixels: eight pictures of the size that readers hand over at most."""
KEPT_TEXTS = 64

ReadPicture = Callable[[Path], Attachment]
"""`pipelines.attachments.read_attachment`."""
Describe = Callable[[Path, threading.Event], str]
"""What the program itself finds on a picture: its text, labels, what its file tells."""


@dataclass(frozen=True, slots=True)
class ShownPicture:
    """A picture, or a page of one, that a model was shown in a turn, as the conversation remembers it."""

    path: str
    """As it may be shown; also where its file is."""
    digest: str
    """Of its pixels, see `models.chat.ImagePart`."""
    text: str = ""
    """What the program found on it, of several pages on all; empty where it did not look."""
    page: int | None = None
    """1-based; of a file with several pages."""

    @classmethod
    def of(cls, picture: Picture, text: str = "") -> ShownPicture:
        return cls(picture.path, picture.image.digest, text, picture.page)

    @property
    def name(self) -> str:
        return self.path.replace("\\", "/").rsplit("/", 1)[-1]

    def is_page_with(self, other: ShownPicture) -> bool:
        """Whether both are pages of one file."""
        return self.page is not None and other.page is not None and self.path == other.path

    def as_passage(self) -> Passage:
        """What an answer about it can be checked against."""
        return Passage(self.text, self.path, kind="image", title=self.path)

    def to_json(self) -> dict[str, Any]:
        said: dict[str, Any] = {"path": self.path, "digest": self.digest, "text": self.text}
        return said if self.page is None else {**said, "page": self.page}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> ShownPicture:
        return cls(stored["path"], stored["digest"], stored["text"], stored.get("page"))


class ConversationPictures:
    """Thread-safe."""

    def __init__(self, read: ReadPicture, describe: Describe, *, kept_bytes: int = KEPT_BYTES) -> None:
        self._read = read
        self._describe = describe
        self._kept_bytes = kept_bytes
        self._lock = threading.Lock()
        self._images: OrderedDict[str, ImagePart] = OrderedDict()
        self._texts: OrderedDict[str, str] = OrderedDict()

    def keep(self, image: ImagePart) -> None:
        """Remember its pixels for questions to come."""
        with self._lock:
            self._images[image.digest] = image
            self._images.move_to_end(image.digest)
            while len(self._images) > 1 and sum(len(each.rgb) for each in self._images.values()) > self._kept_bytes:
                self._images.popitem(last=False)

    def recall(self, shown: ShownPicture) -> ImagePart | None:
        """The picture as it was shown; None when its file is gone or shows something else now."""
        with self._lock:
            image = self._images.get(shown.digest)
            if image is not None:
                self._images.move_to_end(shown.digest)
                return image
        try:
            pictures = self._read(Path(shown.path)).pictures
        except EXPECTED_ERRORS as error:
            LOGGER.info("a picture cannot be shown again: %s", error)
            return None
        found = next((each.image for each in pictures if each.image.digest == shown.digest), None)
        if found is not None:
            self.keep(found)
        return found

    def text_of(self, shown: ShownPicture, stop: threading.Event) -> ShownPicture:
        """The same with what the program finds on it; as it is where that cannot be found or `stop` is set."""
        if shown.text:
            return shown
        with self._lock:
            text = self._texts.get(shown.digest, "")
        if not text:
            try:
                text = self._describe(Path(shown.path), stop)
            except EXPECTED_ERRORS as error:
                LOGGER.info("a picture cannot be looked at: %s", error)
            except ReadStopped:
                return shown
        with self._lock:
            if text:
                self._texts[shown.digest] = text
            while len(self._texts) > KEPT_TEXTS:
                self._texts.popitem(last=False)
        return replace(shown, text=text)
