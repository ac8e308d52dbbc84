"""Read and judge the header of an mmproj file (what makes embeddings of pictures) before native code sees it.

The generic limits are those of `gguf_header`; here it is held against what an image encoder must say, and against the
language model that it is to serve: one made for another model is refused in words, before anything is loaded. Native
code asserts many of these, and an assertion ends the process. Knows no engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from models.errors import WeightsDamaged
from models.gguf_header import MAX_HEADS, MAX_LAYERS, GgufHeader, read_gguf_header

MAX_PICTURE_SIDE_PX = 16_384
MAX_PATCH_PX = 512
MAX_MERGED = 64
_WITHOUT_CAUSAL_MASK = frozenset({"gemma3", "gemma4v", "gemma4uv"})
"""Projectors whose tokens see each other: all tokens of a picture must be evaluated in one go (mtmd.cpp,
mtmd_decode_use_non_causal)."""
_DEPENDS_ON_PLACE = frozenset({"deepseek4v", "hunyuanvl"})
"""Projectors that encode a picture differently by where it stands in the prompt (mtmd.cpp, lead_pad and image_idx):
what was encoded could not be used again."""
_WIDTH_IS_THE_MODELS = frozenset(
    {
        "idefics3",
        "gemma3",
        "gemma4v",
        "gemma4uv",
        "qwen2vl_merger",
        "qwen2.5vl_merger",
        "qwen3vl_merger",
        "internvl",
        "pixtral",
        "lfm2",
        "llama4",
        "kimivl",
        "glm4v",
    }
)
"""Projectors whose converters write the language model's width as `projection_dim` (llama.cpp, MmprojModel). Older
ones wrote something else there: with those the engine itself finds out."""
_PLACED_IN_SPACE = frozenset({"qwen2vl_merger", "qwen2.5vl_merger", "qwen3vl_merger"})
"""Projectors made for models whose positions have three dimensions (M-RoPE). llama.cpp asks the model alone how
pictures are placed, so the wrong pair would run, and write nothing or nonsense."""
_PLACED_IN_A_ROW = frozenset(
    {"idefics3", "gemma3", "gemma4v", "gemma4uv", "internvl", "pixtral", "lfm2", "llama4", "kimivl"}
)
"""Projectors made for models with ordinary positions."""
_MARKS: Mapping[str, str] = MappingProxyType(
    {
        "idefics3": "<fake_token_around_image>",
        "gemma3": "<start_of_image>",
        "gemma4v": "<|image>",
        "gemma4uv": "<|image>",
        "qwen2vl_merger": "<|vision_start|>",
        "qwen2.5vl_merger": "<|vision_start|>",
        "qwen3vl_merger": "<|vision_start|>",
        "internvl": "<img>",
        "pixtral": "[IMG_END]",
        "lfm2": "<|image_start|>",
        "llama4": "<|image_start|>",
        "kimivl": "<|media_start|>",
        "glm4v": "<|begin_of_image|>",
    }
)
"""A token that each puts beside a picture (mtmd.cpp): a model that was trained with it has it in its vocabulary."""
_ITS_OWN_FILE = "put the mmproj file that was published with this model beside it, in place of this one"


@dataclass(frozen=True, slots=True)
class MmprojHeader:
    """What an image encoder's file says of itself."""

    path: Path
    file_bytes: int
    projector: str
    image_side_px: int
    patch_px: int
    projection_width: int
    """Of the embeddings that it makes, for one layer of the language model."""

    @property
    def without_causal_mask(self) -> bool:
        return self.projector in _WITHOUT_CAUSAL_MASK


def read_mmproj_header(path: Path, model: GgufHeader) -> MmprojHeader:
    """Check the file against its format and against the language model.

    Raises WeightsMissing when there is no such file, WeightsDamaged when it is none that goes with this model.
    """
    header = read_gguf_header(path)
    if header.architecture != "clip":
        raise _refused(path, f"it is a model of the kind {header.architecture!r}, not an mmproj", _NEEDS_MMPROJ)
    if header.scalars.get("clip.has_vision_encoder") is not True:
        raise _refused(path, "it has no image encoder", _NEEDS_MMPROJ)
    projector = header.text("clip.projector_type") or header.text("clip.vision.projector_type") or ""
    if not projector:
        raise _refused(path, "it does not say of which kind its projector is")
    if projector in _DEPENDS_ON_PLACE:
        raise _refused(
            path,
            f"pictures cannot be kept with a projector of the kind {projector!r}",
            "choose another model that reads pictures: homebody models list --for vision",
        )
    found = MmprojHeader(
        path=path,
        file_bytes=header.file_bytes,
        projector=projector,
        image_side_px=_number(header, "vision.image_size", MAX_PICTURE_SIDE_PX),
        patch_px=_number(header, "vision.patch_size", MAX_PATCH_PX),
        projection_width=_number(header, "vision.projection_dim", 2**20),
    )
    _check_shape(header, found)
    if (why_not := _why_not_of(model, found)) is not None:
        raise WeightsDamaged(f"{path.name} does not belong to {model.path.name}: {why_not}", hint=_ITS_OWN_FILE)
    return found


def _why_not_of(model: GgufHeader, found: MmprojHeader) -> str | None:
    """What shows that the two are of different families, or of different sizes of one; None where nothing does."""
    projector, pictures_width = found.projector, found.projection_width
    if projector in _WIDTH_IS_THE_MODELS and pictures_width != model.embedding_length:
        return f"it makes embeddings of {pictures_width:,} numbers, the model takes {model.embedding_length or 0:,}"
    kinds = f"its projector is of the kind {projector!r}, the model of the kind {model.architecture!r}"
    in_space = f"{model.architecture}.rope.dimension_sections" in {*model.array_lengths, *model.scalars}
    if projector in _PLACED_IN_SPACE and not in_space:
        return f"{kinds}, which does not know where in a picture something is (M-RoPE)"
    if projector in _PLACED_IN_A_ROW and in_space:
        return f"{kinds}, which wants to know where in a picture something is (M-RoPE)"
    mark = _MARKS.get(projector)
    if mark is not None and not model.has_token(mark):
        return f"{kinds}, which does not know the mark {mark} that it puts beside a picture"
    return None


def _check_shape(header: GgufHeader, found: MmprojHeader) -> None:
    """What native code divides by or allocates from."""
    if found.patch_px > found.image_side_px:
        raise _refused(header.path, f"patches of {found.patch_px} pixels in pictures of {found.image_side_px}")
    width = _number(header, "vision.embedding_length", 2**20)
    heads = _number(header, "vision.attention.head_count", MAX_HEADS)
    _number(header, "vision.block_count", MAX_LAYERS, least=0)
    if width % heads and header.whole_number("vision.attention.head_dim") is None:
        raise _refused(header.path, f"{heads} heads do not share a width of {width}")
    for key in ("vision.projector.scale_factor", "vision.spatial_merge_size"):
        if header.whole_number(key) is not None:
            _number(header, key, MAX_MERGED)
    for key in ("clip.vision.image_mean", "clip.vision.image_std"):
        if header.array_lengths.get(key, 0) < 3:
            raise _refused(header.path, f"{key} has fewer than 3 numbers")


def _number(header: GgufHeader, key: str, most: int, *, least: int = 1) -> int:
    value = header.whole_number(key)
    if value is None or not least <= value <= most:
        raise _refused(header.path, f"clip.{key} is {value}, outside {least} to {most}")
    return value


_NEEDS_MMPROJ = "name the mmproj file that was published with the model"


def _refused(path: Path, reason: str, hint: str = "get the file again, or another one of this model") -> WeightsDamaged:
    return WeightsDamaged(f"{str(path)!r} cannot make pictures readable: {reason}", hint=hint)
