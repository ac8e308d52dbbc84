"""GGUF files of the user's own: a language model, and the mmproj file beside it that makes pictures readable for it.

Publishers put both into one folder and call the second one `mmproj-…`. Where several lie there, the one whose name says
that it is this model's comes first, and one that is made for another model is never taken. Knows no engine.
"""

from __future__ import annotations

from pathlib import Path

from models.errors import ModelError, WeightsMissing
from models.gguf_header import GgufHeader
from models.mmproj_header import read_mmproj_header

MMPROJ = "mmproj"
_PRECISIONS = ("f16", "bf16", "q8_0", "f32")
"""Preferred first, among files that are otherwise alike: half the size of floats, and as good."""


def is_mmproj(name: str) -> bool:
    """By its file's name."""
    return name.lower().endswith(".gguf") and MMPROJ in name.lower()


def model_in_folder(folder: Path) -> Path:
    """The language model in a folder of the user's. Raises WeightsMissing where there is none, or several."""
    found = sorted(each for each in _gguf_files(folder) if not is_mmproj(each.name))
    if len(found) != 1:
        what = "several language models" if found else "no GGUF file of a language model"
        raise WeightsMissing(f"{str(folder)!r} has {what}", hint="name the .gguf file itself")
    return found[0]


def mmproj_beside(model: GgufHeader) -> Path | None:
    """The mmproj file in the model's folder that goes with it; None where there is none.

    Raises WeightsDamaged for one that is there alone and does not go with it: silence would look like a model that
    cannot see.
    """
    path = model.path
    candidates = [each for each in _gguf_files(path.parent) if is_mmproj(each.name) and each != path]
    candidates.sort(key=lambda each: (-_named_alike(each.name, path.stem), _precision(each.name), each.name))
    alone = len(candidates) == 1
    for candidate in candidates:
        try:
            read_mmproj_header(candidate, model)
        except ModelError:
            if alone:
                raise
            continue
        return candidate
    return None


def _gguf_files(folder: Path) -> list[Path]:
    try:
        return [each for each in folder.iterdir() if each.suffix.lower() == ".gguf" and each.is_file()]
    except OSError as error:
        raise WeightsMissing(f"{str(folder)!r} cannot be read: {error.strerror}", hint="name a .gguf file") from error


def _named_alike(name: str, stem: str) -> int:
    """How many letters of the model's name its name has in one go, behind `mmproj`."""
    rest = name.lower().replace(MMPROJ, "").strip("-_. ")
    wanted = stem.lower()
    return next((length for length in range(len(wanted), 2, -1) if rest.startswith(wanted[:length])), 0)


def _precision(name: str) -> int:
    lowered = name.lower()
    return next((rank for rank, each in enumerate(_PRECISIONS) if each in lowered), len(_PRECISIONS))
