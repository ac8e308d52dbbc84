"""Pictures: JPEG, PNG, WebP, TIFF (all pages), GIF and other animations (their key frames), BMP, AVIF, HEIC.

Pillow decodes, in the reader's process: a picture is turned as its EXIF says, brought to RGB on white, made smaller
(`rag.pictures.MAX_SIDE_PX`) and handed over as pixels; what it shows and says is for others to find out. How many
pixels it may have is checked before any is decoded. One that is cut off is shown as far as it goes, and that is said.
"""

from __future__ import annotations

import contextlib
import struct
import warnings
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rag.errors import DamagedFile, ReadError, TooLarge, UnsupportedFile
from rag.pictures import MAX_SIDE_PX, Drawing, PictureFacts
from rag.readers import picture_exif
from rag.readers.clean_text import clean_title
from rag.readers.contract import OpenedFile, Reading, ReadLimits
from rag.readers.picture_colours import main_colours
from rag.records import Block

if TYPE_CHECKING:
    from PIL.Image import Exif, Image

MAX_KEY_FRAMES = 6
MAX_FRAMES_LOOKED_AT = 240
"""Of an animation: its first ten seconds, mostly."""
KEY_FRAME_CHANGE = 0.12
"""A frame differs from the last one that was taken by so much of the way from black to white, on average."""
COMPARED_PX = 48
LONG_STRIP = 200
"""A picture this many times as long as it is wide says nothing when it is made smaller; it is cut off."""

MAX_BOXES = 64
"""Of a file in ISO's base format, walked over at its top; a picture has half a dozen."""
READABLE_MS = 500
"""A frame that stands so long may be there to be read, and a few other words on it make it another one."""
READABLE_CHANGE, READABLE_SHARE = 24, 0.01
"""Of 255, and of all compared pixels: what other words change at least."""
NOT_WHOLE = "the picture is not whole; what there is of it was looked at"

_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF", "MPO", "HEIF")
_UPRIGHT = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270",
            7: "TRANSVERSE", 8: "ROTATE_90"}  # fmt: skip
"""What brings a picture upright, by its EXIF orientation."""
_ORIENTATION = 0x0112
_BROKEN = (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, ArithmeticError,
           NotImplementedError, RuntimeError, struct.error, zlib.error)  # fmt: skip
"""What Pillow's decoders throw at files that are not whole, or made to do harm."""


def read_picture(file: OpenedFile, limits: ReadLimits) -> Reading:
    """Raises DamagedFile, TooLarge, UnsupportedFile (a format for which the decoder is not installed)."""
    if not limits.draws:
        raise ReadError(f"{file.name} is a picture", hint="pictures are looked at when they are in the library")
    image = _opened(file)
    _check_size(image, file.name, limits)
    exif = _exif(image)
    reading = Reading(iter(()), kind="image")
    orientation = exif.get(_ORIENTATION, 1) if _turned_by_us(image) else 1
    upright = image.size[::-1] if orientation in (5, 6, 7, 8) else image.size
    taken_at, reading.written_at_s = picture_exif.taken_at(exif)
    reading.title, reading.author = picture_exif.description(exif), picture_exif.author(exif)
    latitude, longitude = picture_exif.place(exif) or (None, None)
    facts = PictureFacts(
        width_px=upright[0],
        height_px=upright[1],
        format=_format_of(image),
        frames=max(1, _frame_count(image)),
        taken_at=taken_at,
        taken_at_s=reading.written_at_s,
        latitude=latitude,
        longitude=longitude,
        camera=picture_exif.camera(exif),
        title=reading.title,
        author=reading.author,
    )
    if image.format == "HEIF" and _is_cut_off(file):
        reading.notes.append(NOT_WHOLE)
    reading.blocks = _drawings(image, file, limits, facts, orientation, reading.notes)
    return reading


def _opened(file: OpenedFile) -> Image:
    from PIL import Image as images

    images.MAX_IMAGE_PIXELS = None  # `_check_size` says it in our words, and knows what JPEG can be drawn at
    head = file.stream.read(32)
    file.stream.seek(0)
    if is_heif(head):
        _register_heif(file.name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about EXIF that is not whole, and profiles
            return images.open(file.stream, formats=_formats_here())
    except _BROKEN as error:
        raise _damaged(file.name) from error


def _formats_here() -> tuple[str, ...]:
    from PIL import Image as images

    images.preinit()
    images.init()
    return tuple(each for each in _FORMATS if each in images.OPEN)


def is_heif(head: bytes) -> bool:
    """By the brand of its first box; AVIF is left to Pillow itself."""
    return head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")


def _register_heif(name: str) -> None:
    try:
        import pi_heif
    except ImportError as error:
        raise UnsupportedFile(
            f"{name} is a HEIC picture, and its decoder is not installed",
            hint="install it: pip install pi-heif; or save the picture as JPEG",
        ) from error
    pi_heif.register_heif_opener(thumbnails=False)


def _format_of(image: Image) -> str:
    return {"MPO": "JPEG", "HEIF": "HEIC"}.get(image.format or "", image.format or "")


def _turned_by_us(image: Image) -> bool:
    """pi_heif turns pictures itself when it decodes them, and says so by taking the orientation out."""
    return image.format != "HEIF"


def _check_size(image: Image, name: str, limits: ReadLimits) -> None:
    """Raises TooLarge, DamagedFile. JPEG is decoded at a fraction of its size where it is large."""
    width, height = image.size
    if width <= 0 or height <= 0:
        raise _damaged(name)
    decoded = width * height
    if image.format in ("JPEG", "MPO"):
        shrunk = max(1, min(8, max(width, height) // MAX_SIDE_PX))
        decoded //= shrunk * shrunk
    if decoded > limits.max_pixels:
        raise TooLarge(
            f"{name} has {width:,} x {height:,} pixels, more than the limit of {limits.max_pixels / 1e6:,.0f} million",
            hint="save a smaller copy; a file that is small and has this many pixels may be made to fill memory",
        )


def _exif(image: Image) -> Exif:
    from PIL.Image import Exif as NoExif

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return image.getexif()
    except _BROKEN:
        return NoExif()


def _frame_count(image: Image) -> int:
    """As far as it costs nothing: a TIFF with a second page has two, for its pages would have to be visited."""
    if image.format in ("JPEG", "MPO"):
        return 1  # a second view or a preview behind it: one picture for people
    if image.format == "TIFF":
        return 2 if _may_move(image) else 1
    try:
        return int(getattr(image, "n_frames", 1)) if image.format != "GIF" else 1  # GIF would decode all to count
    except _BROKEN:
        return 1


def _drawings(
    image: Image, file: OpenedFile, limits: ReadLimits, facts: PictureFacts, orientation: int, notes: list[str]
) -> Iterator[Block]:
    from dataclasses import replace

    is_paged = image.format == "TIFF"
    last: bytes | None = None
    taken, number = 0, limits.first_page - 1 if is_paged else 0
    most = limits.max_pages if is_paged else MAX_FRAMES_LOOKED_AT
    while number < most and (is_paged or taken < MAX_KEY_FRAMES):
        try:
            if number:
                image.seek(number)
                _check_size(image, file.name, limits)
            full_size = image.size  # decoding at a fraction changes it
            decoded, is_whole = _decoded(image, file.name)
        except EOFError:
            break
        except ReadError as error:
            if not number:
                raise
            notes.append(f"it was looked at up to {'page' if is_paged else 'frame'} {number}: {error}")
            break
        if not is_whole:
            notes.append(NOT_WHOLE)
        number += 1
        if not is_paged and facts.frames == 1 and not _may_move(image):
            most = 1
        seen = _compared(decoded)
        if not is_paged and last is not None and not _differs(seen, last, _stands_ms(image)):
            continue
        last = seen
        taken += 1
        drawing = _as_drawing(decoded, full_size, orientation)
        if taken == 1:
            count = max(facts.frames, 2) if _may_move(image) else facts.frames
            small = _rgb_image(drawing)
            drawing = replace(drawing, facts=replace(facts, frames=count, colours=main_colours(small)))
        is_one_of_many = facts.frames > 1 or _may_move(image)
        yield Block("", drawing=replace(drawing, page=number) if is_one_of_many else drawing)
        if not is_whole:
            break
    if is_paged and number == most > 1 and _has_frame(image, number):
        notes.append(f"only its first {most:,} pages were looked at")


def _has_frame(image: Image, number: int) -> bool:
    try:
        image.seek(number)
    except _BROKEN:  # EOFError where there is none
        return False
    return True


def _may_move(image: Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except _BROKEN:
        return False


def _decoded(image: Image, name: str) -> tuple[Image, bool]:
    """The current frame, decoded, no larger than it need be; and whether all of it was there."""
    from PIL import ImageFile

    if image.format in ("JPEG", "MPO") and max(image.size) > MAX_SIDE_PX:
        width, height = image.size
        scale = MAX_SIDE_PX / max(width, height)
        # Sides in proportion: a square would have the shorter one as large as the longer, and nothing made smaller.
        wanted = (int(width * scale), int(height * scale))
        is_strip = max(width, height) > LONG_STRIP * min(width, height)
        image.draft("RGB", (MAX_SIDE_PX, MAX_SIDE_PX) if is_strip else wanted)
    try:
        image.load()
        return image, True
    except EOFError:
        raise
    except MemoryError as error:
        raise TooLarge(f"{name} needs more memory than it may have", hint="save a smaller copy") from error
    except _BROKEN:
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        try:
            image.load()
            return image, False
        except _BROKEN as error:
            raise _damaged(name) from error
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = False


def _as_drawing(decoded: Image, full_size: tuple[int, int], orientation: int) -> Drawing:
    from PIL import Image as images

    shrunk = max(full_size) / max(decoded.size)
    width, height = decoded.size
    if max(width, height) > LONG_STRIP * min(width, height):
        decoded = decoded.crop((0, 0, min(width, LONG_STRIP * height), min(height, LONG_STRIP * width)))
        width, height = decoded.size
    scale = min(1.0, MAX_SIDE_PX / max(width, height))
    rgb = as_rgb(decoded) if scale == 1.0 else None
    if rgb is None:
        wanted = (max(1, round(width * scale)), max(1, round(height * scale)))
        smaller = decoded if decoded.mode in ("L", "RGB", "CMYK", "RGBA", "LA") else as_rgb(decoded)
        rgb = as_rgb(smaller.resize(wanted, images.Resampling.BICUBIC, reducing_gap=2.0))
    if orientation in _UPRIGHT:
        rgb = rgb.transpose(images.Transpose[_UPRIGHT[orientation]])
    return Drawing(rgb.width, rgb.height, rgb.tobytes(), None, shrunk * max(width, height) / max(rgb.size))


def as_rgb(image: Image) -> Image:
    """In RGB, what is transparent on white, 16 and 32 bits brought to 8."""
    from PIL import Image as images

    if image.mode == "RGB":
        return image
    if image.mode in ("I;16", "I;16B", "I;16L", "I;16N", "I", "F"):
        return _eight_bit(image)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        ground = images.new("RGBA", layer.size, (255, 255, 255, 255))
        return images.alpha_composite(ground, layer).convert("RGB")
    return image.convert("RGB")


def _eight_bit(image: Image) -> Image:
    """By what its values span: scanners write 12 bits into 16, and measurements have any range."""
    import numpy as np
    from PIL import Image as images

    values = np.nan_to_num(np.asarray(image, dtype=np.float32))
    low, high = float(values.min()), float(values.max())
    if low >= 0 and 255 < high <= 65535 and image.mode != "F":
        low, high = 0.0, 65535.0 if high > 4095 else 4095.0
    spread = high - low or 1.0
    return images.fromarray(((values - low) * (255 / spread)).astype(np.uint8)).convert("RGB")


def _rgb_image(drawing: Drawing) -> Image:
    from PIL import Image as images

    return images.frombytes("RGB", (drawing.width_px, drawing.height_px), drawing.rgb)


def _compared(image: Image) -> bytes:
    with contextlib.suppress(*_BROKEN):
        return image.convert("L").resize((COMPARED_PX, COMPARED_PX)).tobytes()
    return b""


def _stands_ms(image: Image) -> float:
    """How long the current frame of an animation is shown; 0 where that is not told."""
    shown_ms = image.info.get("duration", 0)
    return float(shown_ms) if isinstance(shown_ms, int | float) else 0.0


def _differs(one: bytes, other: bytes, stands_ms: float) -> bool:
    if len(one) != len(other):
        return True
    changes = [abs(a - b) for a, b in zip(one, other, strict=True)]
    if sum(changes) > KEY_FRAME_CHANGE * 255 * len(one):
        return True
    return stands_ms >= READABLE_MS and sum(c > READABLE_CHANGE for c in changes) > READABLE_SHARE * len(one)


def _is_cut_off(file: OpenedFile) -> bool:
    """Of a HEIC: whether its last box ends behind the file. libheif fills what is missing with green and says nothing.

    Boxes: ISO/IEC 14496-12, 4.2. The stream stands at its start afterwards.
    """
    end = file.stream.seek(0, 2)
    at = 0
    for _ in range(MAX_BOXES):
        if at >= end:
            break
        file.stream.seek(at)
        head = file.stream.read(16)
        size = int.from_bytes(head[:4], "big")
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        if size < 8:  # 0: as far as the file goes; otherwise it is no box
            break
        at += size
    file.stream.seek(0)
    return at > end


def _damaged(name: str) -> DamagedFile:
    return DamagedFile(
        f"{clean_title(name)} is not a picture that can be read",
        hint="get it again from where it came; it may have been cut off, or have another kind's name",
    )


__all__: list[Any] = ["as_rgb", "is_heif", "read_picture"]
