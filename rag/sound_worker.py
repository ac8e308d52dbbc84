"""The process that decodes sound. Started by `rag.sound`, for one file; never import it for anything else.

It takes a request and one answer from standard input and tells frames on what was standard output:

    begin    {sha256, size_bytes, mtime_ns, claimed_s, title, artist}; the answer says where to start, or to leave it
    samples  float32, little-endian: 16 kHz, one channel
    done {notes}, changed (the file did while it was read) or error

A frame is a length (4 bytes, big endian), a letter (J: a JSON object, S: samples) and its bytes. What it gives up
before it opens the file is what the reading worker gives up.
"""

from __future__ import annotations

import json
import sys
import traceback
from dataclasses import replace
from pathlib import PurePath
from typing import IO, Any

from rag.error_frames import error_to_json
from rag.errors import DamagedFile, ReadError, TooLarge
from rag.member_opening import open_anywhere
from rag.path_text import path_text
from rag.readers.clean_text import clean_title
from rag.readers.contract import ReadLimits, has_changed, sha256_of
from rag.readers.registry import choose_reader
from rag.reading_worker import (
    ALARM_GRACE_S,
    FRAME_LENGTH,
    confine,
    leave_with_parent,
    read_frame,
    set_alarm,
    take_pipes,
)
from rag.sound_decoding import open_sound

JSON_FRAME, SAMPLES_FRAME = b"J", b"S"
_MEMORY_HINT = "raise library.reader_memory_mb in the settings, or split it"


def main() -> None:
    """Answer one request. `sys.argv[2]` is the limits as JSON."""
    import av  # before `confine`: what it loads must be there
    import av.audio.resampler  # noqa: F401  # the same

    requests, answers = take_pipes()
    limits = ReadLimits(**json.loads(sys.argv[2]))
    leave_with_parent(requests.fileno())
    confine(limits)
    request = read_frame(requests)
    if request is None:
        return
    name = path_text(PurePath(str(request["path"])).name)
    try:
        _decode(str(request["path"]), limits, requests, answers)
    except ReadError as error:
        _tell(answers, _told(error))
    except MemoryError:
        _tell(answers, _told(TooLarge(f"{name} needs more memory than it may have", hint=_MEMORY_HINT)))
    except Exception as error:  # the worker's outermost frame
        traceback.print_exception(error)
        what = f"{name} cannot be read ({type(error).__name__}: {clean_title(str(error))})"
        _tell(answers, _told(DamagedFile(what, hint="get it again from where it came; it may have been cut off")))


def _decode(path: str, limits: ReadLimits, requests: IO[bytes], answers: IO[bytes]) -> None:
    patience_s = limits.timeout_s + ALARM_GRACE_S
    set_alarm(patience_s)
    with open_anywhere(path, limits, choose_reader) as (file, on_disk):
        sha256 = sha256_of(file.stream)
        file = replace(file, size_bytes=file.stream.tell())  # one inside another may claim any
        file.stream.seek(0)
        sound = open_sound(file)
        begin = {
            "sha256": sha256.hex(),
            "size_bytes": file.size_bytes,
            "mtime_ns": file.mtime_ns,
            "claimed_s": sound.claimed_s,
            "title": clean_title(sound.title),
            "artist": clean_title(sound.artist),
        }
        set_alarm(0)  # the parent takes its time
        _tell(answers, {"begin": begin})
        answer = read_frame(requests)
        if answer is None or answer["wanted"] != "sound":
            return
        skipped = int(answer["skip_samples"])
        set_alarm(patience_s)
        for piece in sound.pieces:
            left_out = min(skipped, len(piece))
            skipped -= left_out
            set_alarm(0)
            if left_out < len(piece):
                _write(answers, SAMPLES_FRAME, piece[left_out:].astype("<f4").tobytes())
            set_alarm(patience_s)
        if has_changed(on_disk):
            _tell(answers, {"changed": True})
            return
        _tell(answers, {"done": {"notes": sound.notes}})


def _told(error: ReadError) -> dict[str, Any]:
    return {"error": error_to_json(error)}


def _tell(answers: IO[bytes], frame: dict[str, Any]) -> None:
    content = json.dumps(frame, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    _write(answers, JSON_FRAME, content)


def _write(answers: IO[bytes], kind: bytes, content: bytes) -> None:
    answers.write(FRAME_LENGTH.pack(len(content)) + kind + content)
    answers.flush()
