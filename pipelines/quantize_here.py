"""Make the copy in 8 bits of a model that was pulled as floats, and say what it keeps.

Knows nothing of downloads.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from models.catalog import ModelEntry
from models.errors import ModelError
from pipelines.pull_events import PullEvent, PullNotQuantized, PullQuantized, PullQuantizing


def quantize_here(entry: ModelEntry, folder: Path) -> Iterator[PullEvent]:
    """For a model of the catalogue that wants it and has no copy yet. The floats stay, and serve where it fails."""
    if not entry.quantize_here:
        return
    from models.clip_files import find_clip
    from models.clip_quantize import quantize_installed

    if find_clip(folder).quantized is not None:
        return
    yield PullQuantizing(entry.id)
    try:
        made = quantize_installed(folder)
    except ModelError as error:
        yield PullNotQuantized(entry.id, str(error))
        return
    cosines = (*made.pictures.cosines, *made.texts.cosines)
    yield PullQuantized(
        entry.id,
        made.bytes_before,
        made.bytes_after,
        made.picture_s_before / made.picture_s_after,
        min(cosines),
        sum(cosines) / len(cosines),
    )
