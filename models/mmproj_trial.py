"""Try an mmproj file that no catalogue vouches for in a process of its own, before it is loaded in this one.

A header can be checked (`mmproj_header`), the shapes of tensors not: native code asserts them, and an assertion ends
the process. So the other process loads the file and encodes one small picture; when it dies, nothing is lost. What
passed is remembered by size and time of the files, so this costs some seconds once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

from models.errors import ModelError, WeightsDamaged

TIMEOUT_S = 300.0
"""An encoder takes seconds on a slow machine, and a file that makes it run for ever is none."""
_SIDE_PX = 64
_TOKENS = 64
_MAX_SAID_CHARS = 300
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv[1]); from models.mmproj_trial import main; sys.exit(main(sys.argv[2:]))"
)


class MmprojTrials:
    """Remembers what passed in one file; one that cannot be written only costs another trial."""

    def __init__(self, kept_in: Path, *, timeout_s: float = TIMEOUT_S) -> None:
        self._kept_in = kept_in
        self._timeout_s = timeout_s

    def require(self, model: Path, mmproj: Path) -> None:
        """Raises WeightsDamaged where the other process came to grief over the file, or did not end."""
        identity = _identity(model, mmproj)
        if identity in self._passed():
            return
        try_mmproj(model, mmproj, timeout_s=self._timeout_s)
        self._keep(identity)

    def _passed(self) -> list[str]:
        try:
            passed = json.loads(self._kept_in.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        return [each for each in passed if isinstance(each, str)] if isinstance(passed, list) else []

    def _keep(self, identity: str) -> None:
        temporary = self._kept_in.with_name(self._kept_in.name + ".new")
        try:
            self._kept_in.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary.write_text(json.dumps([*self._passed()[-63:], identity]), encoding="utf-8")
            temporary.replace(self._kept_in)
        except OSError:
            temporary.unlink(missing_ok=True)


def try_mmproj(model: Path, mmproj: Path, *, timeout_s: float = TIMEOUT_S) -> None:
    """Load the file beside the model's vocabulary and encode a picture, elsewhere. Raises WeightsDamaged."""
    root = str(Path(__file__).resolve().parent.parent)
    try:
        tried = subprocess.run(
            [sys.executable, "-P", "-c", _BOOT, root, str(model), str(mmproj)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            env={**os.environ, "GGML_NO_BACKTRACE": "1"},
        )
    except subprocess.TimeoutExpired as error:
        raise _failed(mmproj, f"it did not get through a small picture in {timeout_s:,.0f} s") from error
    if tried.returncode:
        lines = [line.strip() for line in tried.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        reason = lines[-1][:_MAX_SAID_CHARS] if lines else f"the process that tried it ended with {tried.returncode}"
        raise _failed(mmproj, reason)


def _failed(mmproj: Path, reason: str) -> WeightsDamaged:
    return WeightsDamaged(
        f"{mmproj.name} does not work with this model: {reason}",
        hint="put the mmproj file that was published with the model beside it",
    )


def _identity(*files: Path) -> str:
    from llama_cpp import __version__

    told = [__version__]
    for file in files:
        status = file.stat()
        told.append(f"{file} {status.st_size} {status.st_mtime_ns}")
    return "|".join(told)


def main(arguments: list[str]) -> int:
    """In the other process. What is wrong is said in the last line of standard error."""
    from models.chat import ImagePart
    from models.gguf_header import read_gguf_header
    from models.llama_model import load_llama_model
    from models.mmproj_header import read_mmproj_header
    from models.native_log import LLAMA_LOG
    from models.vision_llama import LlamaVision, VisionOptions

    model, mmproj = map(Path, arguments)
    try:
        header = read_gguf_header(model)
        seeing = read_mmproj_header(mmproj, header)
        with LLAMA_LOG.capture() as log_lines:
            handle = load_llama_model(model, log_lines, vocab_only=True)
        options = VisionOptions(threads=os.cpu_count() or 1, max_picture_tokens=_TOKENS)
        vision = LlamaVision(seeing, handle, options, vocabulary_tokens=header.vocabulary_tokens or 0)
        for _ in vision.embeddings(ImagePart(_SIDE_PX, _SIDE_PX, bytes(3 * _SIDE_PX**2)), threading.Event()):
            pass
    except ModelError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
