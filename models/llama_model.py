"""Load a GGUF file into llama.cpp: the model alone, without a context.

Whoever loads one frees it (`llama_model_free`). The header must have been checked before (`gguf_header`).
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from models.errors import DeviceUnavailable, WeightsDamaged
from models.llama_devices import device_handle
from models.native_log import LogLine, last_words, llama_library


def load_llama_model(
    path: Path,
    log_lines: Sequence[LogLine],
    *,
    n_gpu_layers: int = 0,
    device_names: Sequence[str] = (),
    vocab_only: bool = False,
    on_progress: Callable[[float], None] | None = None,
) -> int:
    """The model's handle. `log_lines` is what the engine says meanwhile (`LLAMA_LOG.capture`), for the message.

    `device_names` are llama.cpp's; empty lets it take every GPU for the layers. `vocab_only` reads the tokenizer and
    no weights. `on_progress` is told the share that is loaded, 0 to 1, from this thread. Raises WeightsDamaged,
    DeviceUnavailable, and what `on_progress` raises.
    """
    library = llama_library()
    params = library.llama_model_default_params()
    params.n_gpu_layers = n_gpu_layers
    params.vocab_only = vocab_only
    if library.llama_supports_mmap():
        params.load_mode = library.LLAMA_LOAD_MODE_MMAP
    devices = _device_array(device_names)
    if devices is not None:
        params.devices = ctypes.cast(devices, ctypes.c_void_p)
    raised: list[BaseException] = []
    if on_progress is not None:
        params.progress_callback = _progress_callback(library, on_progress, raised)
    model = library.llama_model_load_from_file(native_path(path), params)
    if raised:
        if model:
            library.llama_model_free(model)
        raise raised[0]
    if not model:
        raise WeightsDamaged(
            f"llama.cpp cannot load {path.name}: {last_words(log_lines)}",
            hint="check the file with: homebody models verify; or get it again with: homebody models pull",
        )
    return int(model)


def _progress_callback(library: ModuleType, on_progress: Callable[[float], None], raised: list[BaseException]) -> Any:
    def tell(share: float, _user_data: object) -> bool:
        try:
            on_progress(share)
        except BaseException as error:  # must not unwind through native code; raised again by the caller
            raised.append(error)
            return False
        return True

    return library.llama_progress_callback(tell)


def _device_array(names: Sequence[str]) -> Any:
    if not names:
        return None
    handles = []
    for name in names:
        handle = device_handle(name)
        if handle is None:
            raise DeviceUnavailable(
                f"llama.cpp has no device {name!r} here", hint="see which there are with: homebody doctor"
            )
        handles.append(handle)
    return (ctypes.c_void_p * (len(handles) + 1))(*handles, None)


def native_path(path: Path) -> bytes:
    """A path as llama.cpp takes it: UTF-8 on Windows, elsewhere the bytes of the name as they are."""
    return str(path).encode("utf-8") if sys.platform == "win32" else bytes(path)
