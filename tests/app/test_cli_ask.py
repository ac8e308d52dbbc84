"""`homebody ask` with a Home of fakes: what it prints where, and how it ends."""

from __future__ import annotations

import io
import json
import os
import threading
from pathlib import Path

import pytest

from models.errors import EngineFailed, WeightsMissing
from pipelines.events import EngineLoading, PromptBuilt, PromptProgress, Retrieved
from tests.app.fake_home import citation, done, sentence
from tests.app.shell import HOSTILE, Shell

ANSWER = "The lease ends on 31 March. Parking costs 90 euros."


def scripted_answer(shell: Shell) -> None:
    shell.home.enqueue(
        EngineLoading("tiny-chat", "chat"),
        Retrieved((), 0.01),
        PromptBuilt(2, 0, 0, 300),
        PromptProgress(150, 300),
        "The lease ends on 31 March.",
        " Parking costs 90 euros.",
        done(
            ANSWER,
            sentences=[
                sentence(ANSWER, "The lease ends on 31 March.", 1),
                sentence(ANSWER, "Parking costs 90 euros.", supported=False, terms=("90 euros",)),
            ],
            citations=[
                citation(1, f"/files/{HOSTILE}.md", quote=f"ends on 31 March {HOSTILE}"),
                citation(2, "/files/near.md", supported=False),
            ],
        ),
    )


def test_ask_prints_the_answer_its_sources_and_what_has_none(shell: Shell) -> None:
    scripted_answer(shell)
    assert shell("ask", "When does the lease end?") == 0
    assert shell.out.splitlines() == [
        ANSWER,
        "",
        "Sources",
        "[1] /files/␛red␛�.md:12",
        "    “ends on 31 March ␛red␛�”",
        "",
        "Not in your files",
        "! Parking costs 90 euros.",
        "  in no source: 90 euros",
    ]
    assert shell.err == ""
    turn = shell.home.history[0]
    assert (turn.question, turn.save, turn.use_library, turn.attachments) == (
        "When does the lease end?",
        True,
        True,
        (),
    )
    assert shell.home.closed == 1


def test_ask_on_a_terminal_says_what_it_does_and_takes_it_away(shell: Shell) -> None:
    scripted_answer(shell)
    assert shell("ask", "When?", terminal=True) == 0
    assert "loading tiny-chat" in shell.err
    assert "reading 2 passages, 300 tokens" in shell.err
    status, _, figures = shell.err.rpartition("\r\x1b[K")
    assert "\n" not in status
    assert figures == "\x1b[2mtiny-chat · 20.0 tokens/s · first word after 0.8 s · 2.8 s in all\x1b[0m\n"
    assert shell.out.startswith(ANSWER + "\n\n\x1b[1mSources\x1b[0m\n")


def test_ask_json_is_the_contract(shell: Shell) -> None:
    scripted_answer(shell)
    assert shell("ask", "--json", "When?") == 0
    assert set(shell.json) >= {"answer", "grounded", "citations", "model", "finish", "timings", "placement"}
    assert shell.json["answer"] == ANSWER
    assert shell.json["grounded"] is False
    assert set(shell.json["citations"][0]) == {"n", "path", "kind", "locator", "quote", "supported"}
    assert set(shell.json["timings"]) == {
        "ttft_s", "prompt_tokens", "cached_tokens", "prefill_s", "decode_tokens", "decode_tokens_per_s", "total_s"
    }  # fmt: skip
    assert shell.err == ""


def test_escape_sequences_split_over_tokens_do_nothing(shell: Shell) -> None:
    shell.home.enqueue("safe \x1b", "]52;c;", "eA==", "\x07 end\x1b[", "2J")
    assert shell("ask", "x") == 0
    assert shell.out == "safe ␛ end␛\n"


def test_your_files_do_not_say(shell: Shell) -> None:
    text = "I could not find that."
    shell.home.enqueue(text, done(text, sentences=[sentence(text, text, supported=False)], found_nothing=True))
    assert shell("ask", "x") == 0
    assert shell.out.splitlines() == [text]


def test_an_answer_that_was_cut_off_says_so(shell: Shell) -> None:
    shell.home.enqueue("a", done("a", finish="length"))
    assert shell("ask", "x") == 0
    assert "--max-tokens" in shell.err


def test_options_reach_the_turn(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("in the notes")
    assert (
        shell("ask", "x", "--no-library", "--max-tokens", "9", "--model", "mine", "--file", str(tmp_path / "notes.txt"))
        == 0
    )
    turn = shell.home.history[0]
    assert (turn.use_library, turn.max_tokens) == (False, 9)
    assert [(each.name, each.text) for each in turn.attachments] == [(str(tmp_path / "notes.txt"), "in the notes")]
    assert shell.opened[0][0].chat.model == "mine"


def test_a_file_that_is_not_there_is_named(shell: Shell, tmp_path: Path) -> None:
    assert shell("ask", "x", "--file", str(tmp_path / "gone.txt")) == 1
    assert "gone.txt" in shell.err
    assert shell.home.history == []


def test_standard_input_is_text_to_talk_about(shell: Shell) -> None:
    assert shell("ask", "What changed?", stdin=io.StringIO("+ a line\n")) == 0
    assert [(each.name, each.text) for each in shell.home.history[0].attachments] == [("standard input", "+ a line\n")]


def test_a_standard_input_that_says_nothing_is_left_out_aloud(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.standard_input.FIRST_BYTE_WAIT_S", 0.05)
    reading, writing = os.pipe()
    with os.fdopen(reading, encoding="utf-8") as silent:
        assert shell("ask", "x", stdin=silent) == 0  # type: ignore[arg-type]  # a pipe, where others give a StringIO
        os.close(writing)
    assert "nothing came on standard input" in shell.err
    assert shell.home.history[0].attachments == ()


def test_ask_beside_another_writer_works_and_says_that_it_is_not_saved(shell: Shell) -> None:
    shell.home.read_only = "another homebody (pid 17) writes to this library"
    assert shell("ask", "x") == 0
    assert "not saved: another homebody (pid 17)" in shell.err
    assert shell.home.history[0].save is False


def test_ask_batch_loads_once_saves_nothing_and_stops_for_missing_weights(shell: Shell) -> None:
    shell.home.enqueue("first.")
    shell.home.enqueue(EngineFailed("broke", hint="again"))
    shell.home.enqueue(WeightsMissing("gone", hint="pull"))
    assert shell("ask", "--batch", "-", stdin=io.StringIO("one\ntwo\nthree\nfour\n")) == 3
    first, second = (json.loads(line) for line in shell.out.splitlines())
    assert (first["question"], first["answer"]) == ("one", "first.")
    assert second == {"question": "two", "error": "broke", "hint": "again"}
    assert [turn.save for turn in shell.home.history] == [False, False, False]
    assert len(shell.opened) == 1


def test_ctrl_c_stops_the_answer_whole(shell: Shell) -> None:
    import signal

    class CtrlC(threading.Event):
        """Pressed while the answer waits for it."""

        def wait(self, timeout: float | None = None) -> bool:
            signal.raise_signal(signal.SIGINT)
            return super().wait(timeout)

    handler_before = signal.getsignal(signal.SIGINT)
    shell.home.enqueue("so far", CtrlC(), " and never more")
    assert shell("ask", "x") == 130
    assert shell.out == "so far\n"
    assert signal.getsignal(signal.SIGINT) is handler_before
