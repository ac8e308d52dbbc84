"""Saved states: found by their prefix, bound to their model, never trusted when damaged."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from models.chat import ChatMessage, GenerationOptions, TextDelta, Usage
from models.chat_llama import ChatLlama
from models.llama_context import ChatLlamaOptions, KvType
from models.llama_vocab import TokenIds
from models.prompt_state import PromptStates, common_prefix_tokens
from scripts.make_tiny_models import write_tiny_gguf


def ids(*values: int) -> TokenIds:
    return np.array(values, dtype=np.int32)


def save(states: PromptStates, tokens: TokenIds, state: bytes) -> bool:
    """To the disk, as the background would."""
    kept = states.save(tokens, state)
    states.flush()
    return kept


@pytest.fixture
def states(tmp_path: Path) -> PromptStates:
    return PromptStates(tmp_path / "states", fingerprint="model a")


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "states").iterdir())


@pytest.mark.parametrize(
    ("left", "right", "shared"),
    [(ids(), ids(1), 0), (ids(1, 2), ids(1, 2, 3), 2), (ids(1, 2, 3), ids(1, 9, 3), 1), (ids(5), ids(6), 0)],
)
def test_common_prefix(left: TokenIds, right: TokenIds, shared: int) -> None:
    assert common_prefix_tokens(left, right) == common_prefix_tokens(right, left) == shared


def test_the_longest_shared_beginning_wins_and_survives_a_restart(states: PromptStates, tmp_path: Path) -> None:
    assert states.best(ids(1, 2, 3)) is None
    assert save(states, ids(1, 2, 3, 4), b"four")
    assert save(states, ids(1, 2, 9), b"three")
    again = PromptStates(tmp_path / "states", fingerprint="model a")
    found = again.best(ids(1, 2, 3, 7))
    assert found is not None
    saved, shared = found
    assert (saved.tokens.tolist(), shared) == ([1, 2, 3, 4], 3)
    assert again.read(saved) == b"four"
    assert again.best(ids(8)) is None


def test_an_engine_that_cannot_cut_back_is_offered_whole_beginnings_only(states: PromptStates) -> None:
    save(states, ids(1, 2, 3, 4), b"four")
    save(states, ids(1, 9), b"two")
    assert states.best(ids(1, 2, 3), whole=True) is None
    assert states.best(ids(1, 9), whole=True) is None  # one token must be left to evaluate
    found = states.best(ids(1, 9, 5), whole=True)
    assert found is not None
    assert found[1] == 2


def test_a_longer_state_replaces_its_own_beginning(states: PromptStates, tmp_path: Path) -> None:
    save(states, ids(1, 2), b"short")
    save(states, ids(1, 2, 3), b"long")
    assert len(files(tmp_path)) == 1


def test_files_are_for_the_owner_only(states: PromptStates, tmp_path: Path) -> None:
    save(states, ids(1), b"private")
    assert stat.S_IMODE(files(tmp_path)[0].stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "states").stat().st_mode) == 0o700


def test_another_models_state_is_not_offered_and_not_deleted(states: PromptStates, tmp_path: Path) -> None:
    save(states, ids(1, 2), b"x")
    assert PromptStates(tmp_path / "states", fingerprint="model b").best(ids(1, 2)) is None
    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize("position", [0, 8, 13, 20, 50, 70, 92, 94, 99, 103, -1])
def test_a_flipped_bit_anywhere_is_noticed(states: PromptStates, tmp_path: Path, position: int) -> None:
    save(states, ids(1, 2), b"state" * 10)
    path = files(tmp_path)[0]
    raw = bytearray(path.read_bytes())
    raw[position] ^= 1
    path.write_bytes(raw)
    again = PromptStates(tmp_path / "states", fingerprint="model a")
    found = again.best(ids(1, 2))
    if found is not None:
        assert again.read(found[0]) is None
        assert again.best(ids(1, 2)) is None
    if not 16 <= position < 48:  # a changed fingerprint makes it another model's file
        assert files(tmp_path) == []


@pytest.mark.parametrize("length", [0, 1, 40, 90, 100])
def test_a_truncated_file_is_deleted(states: PromptStates, tmp_path: Path, length: int) -> None:
    save(states, ids(1, 2), b"state" * 10)
    path = files(tmp_path)[0]
    path.write_bytes(path.read_bytes()[:length])
    assert PromptStates(tmp_path / "states", fingerprint="model a").best(ids(1, 2)) is None
    assert files(tmp_path) == []


def test_a_file_that_vanishes_or_changes_after_opening_is_no_error(states: PromptStates, tmp_path: Path) -> None:
    save(states, ids(1, 2), b"one")
    found = states.best(ids(1, 2))
    assert found is not None
    files(tmp_path)[0].unlink()
    assert states.read(found[0]) is None


def test_the_least_recently_used_goes_when_the_folder_is_full(tmp_path: Path) -> None:
    states = PromptStates(tmp_path / "states", fingerprint="m", max_bytes=400)
    for number in (1, 2):
        save(states, ids(number), b"x" * 60)
    for age_s, path in zip((100, 50), sorted(files(tmp_path), key=lambda each: each.stat().st_mtime_ns), strict=True):
        os.utime(path, (path.stat().st_mtime - age_s,) * 2)
    first = states.best(ids(1))
    assert first is not None
    assert states.read(first[0])  # used: now the youngest
    save(states, ids(3), b"x" * 60)
    assert states.best(ids(2)) is None
    assert states.best(ids(1)) is not None
    assert not save(states, ids(4), b"x" * 1000)  # never fits
    states.clear()
    assert files(tmp_path) == []
    assert states.best(ids(1)) is None


def test_a_folder_that_cannot_be_written_costs_only_the_state(tmp_path: Path) -> None:
    (tmp_path / "states").write_text("a file, not a folder")
    states = PromptStates(tmp_path / "states", fingerprint="m")
    assert not save(states, ids(1), b"x")
    assert states.best(ids(1)) is None


def test_a_folder_that_vanishes_costs_only_the_state(states: PromptStates, tmp_path: Path) -> None:
    states.save(ids(1), b"one")
    states.flush()
    (tmp_path / "states").rename(tmp_path / "elsewhere")
    (tmp_path / "states").write_text("a file")
    assert not states.save(ids(2), b"two")
    assert states.best(ids(2)) is None


def test_what_is_being_written_can_be_asked_for_at_once(states: PromptStates) -> None:
    for number in range(5):
        states.save(ids(number), bytes(1_000_000))
        found = states.best(ids(number))
        assert found is not None
        assert states.read(found[0]) == bytes(1_000_000)


def test_leftovers_of_a_killed_process_are_swept(states: PromptStates, tmp_path: Path) -> None:
    (tmp_path / "states").mkdir()
    old, new = tmp_path / "states" / "old.tmp", tmp_path / "states" / "new.tmp"
    old.touch()
    new.touch()
    os.utime(old, (0, 0))
    states.best(ids(1))
    assert [path.name for path in files(tmp_path)] == ["new.tmp"]


# --- with the engine ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gguf(tmp_path_factory.mktemp("weights") / "tiny.gguf")


def open_chat(weights: Path, tmp_path: Path, kv_type: KvType = "f16") -> ChatLlama:
    options = ChatLlamaOptions(n_ctx=2048, n_batch=128, n_ubatch=128, type_k=kv_type, type_v=kv_type)
    return ChatLlama(weights, options, states_dir=tmp_path / "states")


@pytest.fixture
def chat(weights: Path, tmp_path: Path) -> Iterator[ChatLlama]:
    chat = open_chat(weights, tmp_path)
    yield chat
    chat.close()


def ask(chat: ChatLlama, text: str) -> tuple[str, Usage]:
    events = list(chat.stream([ChatMessage.of_text("user", text)], GenerationOptions(max_tokens=12), threading.Event()))
    usage = events[-1]
    assert isinstance(usage, Usage)
    return "".join(event.text for event in events if isinstance(event, TextDelta)), usage


LONG_A, LONG_B = "a long talk about apples. " * 20, "other things, on which we went on. " * 20


def test_going_back_to_a_conversation_reads_nothing_again(chat: ChatLlama) -> None:
    first, usage = ask(chat, LONG_A)
    assert usage.cached_tokens == 0
    ask(chat, LONG_B)
    again, usage = ask(chat, LONG_A)
    assert usage.cached_tokens == usage.prompt_tokens - 1
    assert again == first


def test_a_restart_continues_where_it_was(chat: ChatLlama, weights: Path, tmp_path: Path) -> None:
    first, _ = ask(chat, LONG_A)
    chat.close()
    reopened = open_chat(weights, tmp_path)
    try:
        again, usage = ask(reopened, LONG_A)
        assert usage.cached_tokens == usage.prompt_tokens - 1
        assert again == first
    finally:
        reopened.close()


def test_what_is_forgotten_is_gone_from_memory_and_disk(chat: ChatLlama, tmp_path: Path) -> None:
    ask(chat, LONG_A)
    ask(chat, LONG_B)  # the first is on disk now
    chat.forget()
    assert files(tmp_path) == []
    assert ask(chat, LONG_B)[1].cached_tokens == 0
    chat.forget()
    chat.close()
    assert files(tmp_path) == []


def test_other_settings_do_not_share_states(chat: ChatLlama, weights: Path, tmp_path: Path) -> None:
    ask(chat, LONG_A)
    chat.close()
    quantised = open_chat(weights, tmp_path, kv_type="q8_0")
    try:
        assert ask(quantised, LONG_A)[1].cached_tokens == 0
    finally:
        quantised.close()


def test_a_state_that_the_engine_refuses_is_read_anew(chat: ChatLlama, weights: Path, tmp_path: Path) -> None:
    """Whole by its checksum, but not what the engine wrote: the prompt is evaluated as if it were not there."""
    first, _ = ask(chat, LONG_A)
    fingerprint = chat._context.state_fingerprint
    tokens = chat._context.tokens.copy()
    chat.close()
    states = PromptStates(tmp_path / "states", fingerprint=fingerprint)
    states.clear()
    assert save(states, tokens, bytes(64))
    reopened = open_chat(weights, tmp_path)
    try:
        again, usage = ask(reopened, LONG_A)
        assert (usage.cached_tokens, again) == (0, first)
    finally:
        reopened.close()
