"""Pictures to embeddings with llama.cpp's libmtmd: the half of a vision-language model that sees.

Pixels in, chunks of embeddings out; each picture is encoded once and remembered by what it shows. libmtmd's markers in
texts are not used at all: it is given bitmaps and nothing else, so no text can become a picture. Loaded with the first
picture: a conversation without any costs no memory for it. Not thread-safe; knows nothing of prompts.
"""

from __future__ import annotations

import ctypes
import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.chat import ImagePart, PictureProgress
from models.engine_thread import compute
from models.errors import EngineFailed, UnsupportedInput, WeightsDamaged
from models.fit import PICTURES_KEPT_BYTES
from models.llama_model import native_path
from models.llama_options import Aborted
from models.llama_vocab import TokenIds
from models.mmproj_header import MmprojHeader
from models.native_log import LLAMA_LOG, last_words, llama_library, mtmd_library
from models.picture_chunks import ChunkShape, Embeddings, EncodedPictures, Layout

LOGGER = logging.getLogger(__name__)

CACHE_BYTES = PICTURES_KEPT_BYTES
"""For embeddings: some 30 pictures of 512 tokens and a width of 1,024."""
MAX_ASPECT = 16
"""A thinner picture is widened with grey: some preprocessing makes nothing of it, or a very long row of tiles."""
_GREY = 128
_NODES_BETWEEN_LOOKS = 12
"""Of the encoder's graph, some 20 to 30 a layer: how often a stop is heard."""


@dataclass(frozen=True, slots=True)
class VisionOptions:
    threads: int = 1
    on_gpu: bool = False
    max_picture_tokens: int = 0
    """Where a model takes pictures of any size, or in tiles: larger ones are made smaller. 0 leaves it to the model."""
    cache_bytes: int = CACHE_BYTES
    before_loading: Callable[[], None] = lambda: None
    """Called once, before the encoder's file is given to native code; may raise (`mmproj_trial`)."""


class LlamaVision:
    """The image encoder that belongs to one loaded model; that one must live longer."""

    def __init__(self, header: MmprojHeader, model: int, options: VisionOptions, *, vocabulary_tokens: int) -> None:
        """Loads nothing yet. `model` is llama.cpp's handle of the language model."""
        self._header = header
        self._model = model
        self._options = options
        self._vocabulary_tokens = vocabulary_tokens
        self._handle = 0
        self._layouts: dict[tuple[int, int], Layout] = {}
        self._encoded = EncodedPictures(options.cache_bytes)
        self._stop: threading.Event | None = None
        self._looks = 0
        self._callback: Any = None
        self.pictures_encoded = 0
        """How often a picture was encoded since loading: what the cache is for is seen here."""
        self.encode_s = 0.0
        """All the time that took."""

    @property
    def needs_whole_batches(self) -> bool:
        """All tokens of a chunk must be evaluated in one go, without a causal mask."""
        return self._header.without_causal_mask

    @property
    def fingerprint(self) -> str:
        """What the embeddings of a picture depend on, besides its pixels."""
        return f"{self._header.path.name}|{self._header.file_bytes}|{self._options.max_picture_tokens}"

    def layout(self, image: ImagePart) -> Layout:
        """What a picture of this size takes of the prompt. Encodes nothing.

        Raises WeightsDamaged where the file cannot be loaded, UnsupportedInput for what the model cannot take.
        """
        width_px, height_px = shown_size(image.width_px, image.height_px)
        known = self._layouts.get((width_px, height_px))
        if known is None:
            with self._chunks(width_px, height_px, None) as chunks:
                known = self._layouts[width_px, height_px] = tuple(layout for _, layout in chunks)
        return known

    def embeddings(
        self, image: ImagePart, stop: threading.Event
    ) -> Generator[PictureProgress, None, tuple[Embeddings, ...]]:
        """Of each chunk in its layout, in order; made once, then kept. Yields before each one is made.

        Raises Aborted soon after `stop` is set, EngineFailed, WeightsDamaged.
        """
        known = self._encoded.get(image.digest)
        if known is not None:
            return known
        started_s = time.perf_counter()
        width_px, height_px = shown_size(image.width_px, image.height_px)
        made: list[Embeddings] = []
        with self._chunks(width_px, height_px, widened(image)) as chunks:
            if [_counts(layout) for _, layout in chunks] != [_counts(each) for each in self.layout(image)]:
                raise EngineFailed("the picture takes another place than foreseen", hint="try another picture")
            shapes = [(chunk, layout) for chunk, layout in chunks if isinstance(layout, ChunkShape)]
            for chunk, shape in shapes:
                yield PictureProgress(len(made), len(shapes))
                made.append(self._encode(chunk, shape.tokens, stop))
        self.pictures_encoded += 1
        self.encode_s += time.perf_counter() - started_s
        LOGGER.debug("encoded %d x %d pixels in %.2f s", width_px, height_px, time.perf_counter() - started_s)
        self._encoded.put(image.digest, tuple(made))
        return tuple(made)

    def forget(self) -> None:
        """Let go of every picture."""
        self._encoded.clear()

    def close(self) -> None:
        """Free the encoder. Safe to call twice."""
        if self._handle:
            mtmd_library().mtmd_free(self._handle)
            self._handle = 0
        self._encoded.clear()

    # --- native ---------------------------------------------------------------------------------------

    def _load(self) -> int:
        if self._handle:
            return self._handle
        self._options.before_loading()
        library = mtmd_library()
        params = library.mtmd_context_params_default()
        params.use_gpu = self._options.on_gpu
        params.print_timings = False
        params.n_threads = self._options.threads
        params.warmup = False  # a pass with a dummy picture: seconds, and the first real one does the same
        if self._options.max_picture_tokens:
            params.image_max_tokens = self._options.max_picture_tokens
        self._callback = llama_library().ggml_backend_sched_eval_callback(self._look_up)
        params.cb_eval = self._callback
        with LLAMA_LOG.capture() as log_lines:
            handle = library.mtmd_init_from_file(native_path(self._header.path), self._model, params)
        if not handle:
            raise WeightsDamaged(
                f"{self._header.path.name} cannot be used with this model: {last_words(log_lines, count=2)}",
                hint="put the mmproj file that was published with the model beside it",
            )
        if not library.mtmd_support_vision(handle):
            library.mtmd_free(handle)
            raise WeightsDamaged(f"{self._header.path.name} reads no pictures", hint="choose another model")
        self._handle = handle
        return self._handle

    def _look_up(self, _tensor: int, asks: bool, _data: int) -> bool:
        """Called for every node of the encoder's graph: whether to stop here, and (`asks` false) whether to go on.

        So the graph is computed in pieces, and a stop need not wait for its end (ggml-backend.cpp, callback_eval).
        """
        if asks:
            self._looks += 1
            return self._looks % _NODES_BETWEEN_LOOKS == 0
        return self._stop is None or not self._stop.is_set()

    @contextmanager
    def _chunks(
        self, width_px: int, height_px: int, rgb: bytes | None
    ) -> Iterator[list[tuple[int, TokenIds | ChunkShape]]]:
        """libmtmd's chunks with what each takes, valid within the block; without pixels only their sizes are true."""
        handle, library = self._load(), mtmd_library()
        pixels = None if rgb is None else ctypes.cast(ctypes.c_char_p(rgb), ctypes.POINTER(ctypes.c_uint8))
        bitmap = library.mtmd_bitmap_init(width_px, height_px, pixels)
        chunks = library.mtmd_input_chunks_init()
        try:
            part = library.mtmd_input_part(bitmap=bitmap)
            parts = (ctypes.POINTER(library.mtmd_input_part) * 1)(ctypes.pointer(part))
            with LLAMA_LOG.capture() as log_lines:
                status, interrupt = compute(library.mtmd_tokenize_from_parts, handle, chunks, parts, 1, False)
            if interrupt is not None:
                raise interrupt
            if status:
                raise UnsupportedInput(
                    f"the model takes no picture of {width_px} x {height_px} pixels: {last_words(log_lines)}",
                    hint="give it another picture",
                )
            found = [
                library.mtmd_input_chunks_get(chunks, index) for index in range(library.mtmd_input_chunks_size(chunks))
            ]
            yield [(chunk, self._shape(library, chunk)) for chunk in found]
        finally:
            library.mtmd_input_chunks_free(chunks)
            library.mtmd_bitmap_free(bitmap)

    def _shape(self, library: Any, chunk: int) -> TokenIds | ChunkShape:
        tokens = int(library.mtmd_input_chunk_get_n_tokens(chunk))
        if library.mtmd_input_chunk_get_type(chunk) == library.MTMD_INPUT_CHUNK_TYPE_TEXT:
            count = ctypes.c_size_t()
            address = library.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(count))
            ids: TokenIds = np.ctypeslib.as_array(address, (tokens,)).astype(np.int32)
            if len(ids) and not 0 <= ids.min() <= ids.max() < self._vocabulary_tokens:
                raise WeightsDamaged(
                    f"the model's vocabulary lacks the marks that {self._header.path.name} puts around pictures",
                    hint="put the mmproj file that was published with the model beside it",
                )
            return ids
        grid: TokenIds | None = None
        if library.mtmd_decode_use_mrope(self._handle):
            places = (library.mtmd_decoder_pos * tokens)()
            image_tokens = library.mtmd_input_chunk_get_tokens_image(chunk)
            library.mtmd_helper_image_get_decoder_pos(image_tokens, 0, places)
            # The order in which llama.cpp wants them (mtmd-helper-common.h, set_position_mrope_2d).
            grid = np.array([(p.t, p.y, p.x, p.z) for p in places], dtype=np.int32).T.copy()
        return ChunkShape(tokens, int(library.mtmd_input_chunk_get_n_pos(chunk)), grid)

    def _encode(self, chunk: int, tokens: int, stop: threading.Event) -> Embeddings:
        library = mtmd_library()
        self._stop = stop
        try:
            if stop.is_set():
                raise Aborted
            with LLAMA_LOG.capture() as log_lines:
                status, interrupt = compute(library.mtmd_encode_chunk, self._handle, chunk)
        finally:
            self._stop = None
        if interrupt is not None:
            raise interrupt
        if stop.is_set():
            raise Aborted  # what is there now was not computed to its end
        if status:
            raise EngineFailed(
                f"the picture could not be encoded: {last_words(log_lines)}",
                hint="try another picture, or another model",
            )
        width = int(llama_library().llama_model_n_embd_inp(self._model))
        embeddings: Embeddings = np.ctypeslib.as_array(
            library.mtmd_get_output_embd(self._handle), (tokens, width)
        ).copy()
        if not np.isfinite(embeddings).all():
            raise EngineFailed("the picture became no numbers", hint="get the model's mmproj file again")
        return embeddings


def shown_size(width_px: int, height_px: int) -> tuple[int, int]:
    """The size at which a picture is shown to the model: as it is, unless it is very thin."""
    return max(width_px, -(-height_px // MAX_ASPECT)), max(height_px, -(-width_px // MAX_ASPECT))


def widened(image: ImagePart) -> bytes:
    """Its pixels at that size."""
    width_px, height_px = shown_size(image.width_px, image.height_px)
    if (width_px, height_px) == (image.width_px, image.height_px):
        return image.rgb
    canvas = np.full((height_px, width_px, 3), _GREY, dtype=np.uint8)
    top, left = (height_px - image.height_px) // 2, (width_px - image.width_px) // 2
    pixels = np.frombuffer(image.rgb, dtype=np.uint8).reshape(image.height_px, image.width_px, 3)
    canvas[top : top + image.height_px, left : left + image.width_px] = pixels
    return canvas.tobytes()


def _counts(layout: TokenIds | ChunkShape) -> tuple[int, int]:
    return (layout.tokens, layout.positions) if isinstance(layout, ChunkShape) else (len(layout), -1)


__all__ = ["CACHE_BYTES", "LlamaVision", "VisionOptions", "shown_size", "widened"]
