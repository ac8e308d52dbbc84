"""CLIP through PyTorch and open_clip, for users who have a GPU that PyTorch drives. Same vectors as `clip_onnx.py`.

Chosen by the setting `clip.backend = "torch"`. Preprocessing and tokens are those of the ONNX encoder, so that vectors
of both may be compared. Needs the extra `homebody[clip-export]`. Knows nothing of files of pictures, nor of the
library.
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.checksum import unchanged_sha256_of
from models.clip_files import ClipFiles
from models.clip_preprocessing import read_preprocessing
from models.errors import DeviceUnavailable, EngineFailed
from models.export_clip import ClipSource, check_installed, load_clip, local_files, write_input_files
from models.hf_tokenizer import HfTokenizer

DEVICES = ("cuda", "mps", "xpu", "cpu")
"""PyTorch's names, the one that gains most first."""


class TorchClip:
    """An encoder, loaded. Thread-safe: one run at a time.

    Raises WeightsMissing where torch or open_clip is not installed, DeviceUnavailable, EngineFailed when it works.
    """

    def __init__(
        self, model: Any, preprocessing_file: Path, tokenizer_file: Path, *, model_id: str, sha256: str, device: str
    ) -> None:
        """Over open_clip's model as it is, which is moved to the device. `sha256` is of what decides its vectors."""
        self.model_id = model_id
        self.sha256 = sha256
        self.device = device
        self._model: Any = model.to(device).eval()
        self._context_tokens = int(getattr(model, "context_length", 77))
        self._tokenizer = HfTokenizer(tokenizer_file)
        self.preprocessing = read_preprocessing(preprocessing_file)
        self._lock = threading.Lock()
        self.logit_scale = float(model.logit_scale.exp())
        self.dimension = len(self.encode_texts([""])[0])

    @classmethod
    def of_export(cls, model: Any, files: ClipFiles, *, model_id: str) -> TorchClip:
        """Over open_clip's model, with the tokenizer and the preprocessing of an export of it, on the CPU."""
        sha256 = files.sha256()
        return cls(model, files.preprocessing, files.tokenizer, model_id=model_id, sha256=sha256, device="cpu")

    @classmethod
    def load(cls, source: ClipSource, *, model_id: str, device: str) -> TorchClip:
        """Load open_clip's weights from this disk onto a device of PyTorch. Connects to nothing.

        Raises WeightsMissing, WeightsDamaged, UnknownModel, DeviceUnavailable.
        """
        check_installed()
        if device not in devices():
            raise DeviceUnavailable(f"PyTorch has no {device} here", hint=f"it has: {', '.join(devices())}")
        hashes = "\n".join(unchanged_sha256_of(file) for file in local_files(source))
        sha256 = hashlib.sha256(
            f"torch {source.architecture if source.kind == 'checkpoint' else ''}\n{hashes}".encode()
        )
        model, config, tokenizer, _ = load_clip(source)
        with tempfile.TemporaryDirectory(prefix="homebody-clip-") as folder:
            inputs = write_input_files(Path(folder), config, tokenizer)
            return cls(model, *inputs, model_id=model_id, sha256=sha256.hexdigest(), device=device)

    def encode_image(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """As `OnnxClip.encode_image`."""
        import torch

        given = torch.from_numpy(self.preprocessing(rgb)[np.newaxis]).to(self.device)
        vector: NDArray[np.float32] = self._run("encode_image", given)[0]
        return vector

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `OnnxClip.encode_texts`."""
        import torch

        ids = torch.full((len(texts), self._context_tokens), self._tokenizer.pad_id, dtype=torch.long)
        for row, each in enumerate(self._tokenizer.ids(texts, max_tokens=self._context_tokens)):
            ids[row, : len(each)] = torch.tensor(each)
        return self._run("encode_text", ids.to(self.device))

    def close(self) -> None:
        """Let go of the model. Safe to call twice."""
        with self._lock:
            self._model = None

    def _run(self, method: str, given: Any) -> NDArray[np.float32]:
        import torch

        with self._lock, torch.inference_mode():
            if self._model is None:
                raise EngineFailed(f"{self.model_id} is closed")
            try:
                found = getattr(self._model, method)(given, normalize=True)
            except RuntimeError as error:  # PyTorch's one class, for a full GPU as for anything else
                raise EngineFailed(
                    f"{self.model_id} failed on {self.device}: {str(error).partition(chr(10))[0]}",
                    hint="try it on the CPU: --device cpu",
                ) from error
            vectors: NDArray[np.float32] = found.float().cpu().numpy()
        return vectors


def devices() -> tuple[str, ...]:
    """PyTorch's devices of this machine, the one that gains most first."""
    import torch

    present = {
        "cuda": torch.cuda.is_available,
        "mps": torch.backends.mps.is_available,
        "xpu": lambda: hasattr(torch, "xpu") and torch.xpu.is_available(),
        "cpu": lambda: True,
    }
    return tuple(name for name in DEVICES if present[name]())
