"""llama.cpp's output goes to `logging`, whole lines of it, and never to the terminal."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from models.native_log import LogLine, NativeLog, last_words
from scripts.make_tiny_models import write_tiny_gguf

DEBUG, INFO, WARN, ERROR, CONT = 1, 2, 3, 4, 5


@pytest.fixture
def log() -> NativeLog:
    logger = logging.getLogger("tests.native_log")
    logger.setLevel(1)
    return NativeLog(logger)


def test_pieces_become_lines(log: NativeLog, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(1, "tests.native_log"):
        log.write(INFO, b"loading ")
        log.write(CONT, b"tensors")
        log.write(CONT, b"\nnext ")
        log.write(CONT, b"line\n")
    assert [record.getMessage() for record in caplog.records] == ["loading tensors", "next line"]


def test_a_new_level_ends_an_unfinished_line(log: NativeLog) -> None:
    log.write(INFO, b"half a line")
    log.write(ERROR, b"cannot allocate\n")
    assert log.recent_lines() == (LogLine("half a line"), LogLine("cannot allocate", complaint=True))


def test_dots_debugging_and_nothing_are_left_out(log: NativeLog) -> None:
    for _ in range(10):
        log.write(INFO, b".")
    log.write(INFO, b"\n")
    log.write(DEBUG, b"graph node 1\n")
    log.write(INFO, None)
    assert log.recent_lines() == ()


def test_invalid_utf8_and_endless_lines_are_taken(log: NativeLog) -> None:
    log.write(WARN, b"\xff\xfe name\n")
    log.write(WARN, b"x" * 5000)
    assert [len(line.text) for line in log.recent_lines()] == [7, 5000]


def test_a_capture_sees_the_lines_of_its_time(log: NativeLog) -> None:
    log.write(INFO, b"before\n")
    with log.capture() as outer, log.capture() as inner:
        log.write(INFO, b"during\n")
    log.write(INFO, b"after\n")
    assert [line.text for line in outer] == [line.text for line in inner] == ["during"]


def test_the_last_complaint_is_quoted() -> None:
    lines = [LogLine("wrong magic", complaint=True), LogLine("freeing")]
    assert last_words(lines) == "wrong magic"
    assert last_words(lines[1:]) == "freeing"
    assert last_words([]) == "it does not say why"


def test_loading_and_answering_print_nothing(run_python: Callable[[str], str], tmp_path: Path) -> None:
    model = write_tiny_gguf(tmp_path / "tiny.gguf")
    script = f"""
import subprocess, sys
worker = '''
import pathlib, threading
from models.chat import ChatMessage, GenerationOptions
from models.chat_llama import ChatLlama, ChatLlamaOptions
chat = ChatLlama(pathlib.Path({str(model)!r}), ChatLlamaOptions(n_ctx=256))
list(chat.stream([ChatMessage.of_text("user", "hi")], GenerationOptions(max_tokens=4), threading.Event()))
chat.close()
'''
finished = subprocess.run([sys.executable, "-c", worker], capture_output=True)
print(finished.returncode, finished.stdout, finished.stderr)
"""
    assert run_python(script) == "0 b'' b''"
