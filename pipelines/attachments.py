"""Read a file that came with a question: a text or a picture to talk about, whether or not it is in the library.

Reads as indexing does, in a worker process with limits, so a hostile file ends the worker and not homebody.
Knows nothing of questions or prompts; what does not fit in the prompt is left out, and said, where it is built.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from pipelines.errors import FileNotUsable
from pipelines.one_picture import PagesToShow, is_picture
from pipelines.turn import Attachment
from rag.errors import ReadError
from rag.path_text import absolute_path, path_text
from rag.pictures import Drawing
from rag.readers.contract import ReadLimits
from rag.reading import DocumentReader, FileBegun, TextEnded
from rag.reading_session import Wanted


def read_attachment(path: Path) -> Attachment:
    """The text of a file, its blocks joined by blank lines, or a picture's pixels; its name is the absolute path.

    Of a picture with several pages the first few, of one with several frames the first. Raises FileNotUsable, naming
    the file, when it is missing, a folder, or no reader makes anything of it.
    """
    absolute = absolute_path(path)
    name = path_text(absolute)
    if absolute.is_dir():
        raise FileNotUsable(f"{name} is a folder", hint="name a file in it, or add the folder to the library")
    try:
        if (attachment := _picture(absolute, name)) is not None:
            return attachment
        with DocumentReader() as reader:
            read = reader.read(absolute)
    except ReadError as error:
        raise FileNotUsable(str(error), hint=error.hint) from error
    return Attachment(name, "\n\n".join(block.text for block in read.document.blocks))


def _picture(path: Path, name: str) -> Attachment | None:
    """What the file shows, where it is a picture's own; None for any other. Raises ReadError."""
    is_one, pages = False, PagesToShow(name)
    notes: tuple[str, ...] = ()

    def decide(begun: FileBegun) -> Wanted:
        return "text" if is_picture(begun) else "nothing"

    with (
        DocumentReader(ReadLimits(draws=True)) as reader,
        closing(reader.stream(path, decide, with_members=False)) as parts,
    ):
        for part in parts:
            if isinstance(part, FileBegun):
                is_one = is_picture(part)
            elif isinstance(part, Drawing):
                pages.take(part)
            elif isinstance(part, TextEnded):
                notes = part.notes
    pictures = pages.pictures()
    if not pictures:
        if is_one:
            raise FileNotUsable(f"{name} shows nothing that can be looked at", hint="open it in its own program")
        return None
    return Attachment(name, "", pictures, tuple(f"{name}: {note}" for note in notes))
