"""Read a file that came with a question: a text to talk about, whether or not it is in the library.

Reads as indexing does, in a worker process with limits, so a hostile file ends the worker and not homebody.
Knows nothing of questions or prompts; what does not fit in the prompt is left out, and said, where it is built.
"""

from __future__ import annotations

from pathlib import Path

from pipelines.errors import FileNotUsable
from pipelines.turn import Attachment
from rag.errors import ReadError
from rag.path_text import path_text


def read_attachment(path: Path) -> Attachment:
    """The text of a file, its blocks joined by blank lines; its name is the absolute path.

    Raises FileNotUsable, naming the file, when it is missing, a folder, or no reader makes a text of it.
    """
    from rag.reading import DocumentReader

    name = path_text(path.expanduser().absolute())
    if path.is_dir():
        raise FileNotUsable(f"{name} is a folder", hint="name a file in it, or add the folder to the library")
    try:
        with DocumentReader() as reader:
            read = reader.read(path.expanduser().absolute())
    except ReadError as error:
        raise FileNotUsable(str(error), hint=error.hint) from error
    return Attachment(name, "\n\n".join(block.text for block in read.document.blocks))
