"""The chat engine on real llama.cpp: a tiny random model for the mechanics, SmolLM2 for what it says."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from models.chat import ChatEvent, ChatMessage, GenerationOptions, PromptProgress, TextDelta, Usage
from models.chat_llama import ChatLlama
from models.errors import (
    EngineFailed,
    PromptTooLong,
)
from models.llama_context import Aborted, ChatLlamaOptions, LlamaContext
from models.resident import Residents
from scripts.make_tiny_models import write_tiny_gguf

OPTIONS = ChatLlamaOptions(n_ctx=1024, n_threads=1, n_threads_batch=1, n_batch=32, n_ubatch=32)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gguf(tmp_path_factory.mktemp("weights") / "tiny.gguf")


@pytest.fixture
def chat(weights: Path) -> Iterator[ChatLlama]:
    chat = ChatLlama(weights, OPTIONS, model_id="tiny")
    yield chat
    chat.close()


def user(text: str) -> list[ChatMessage]:
    return [ChatMessage.of_text("user", text)]


def events_of(
    chat: ChatLlama, messages: Sequence[ChatMessage], options: GenerationOptions | None = None
) -> list[ChatEvent]:
    return list(chat.stream(messages, options or GenerationOptions(max_tokens=16), threading.Event()))


def answer(
    chat: ChatLlama, messages: Sequence[ChatMessage], options: GenerationOptions | None = None
) -> tuple[str, Usage]:
    events = events_of(chat, messages, options)
    usage = events[-1]
    assert isinstance(usage, Usage)
    return "".join(event.text for event in events if isinstance(event, TextDelta)), usage


def follow_up(question: str, answered: str, more: str) -> list[ChatMessage]:
    return [*user(question), ChatMessage.of_text("assistant", answered), *user(more)]


# --- answering ------------------------------------------------------------------------------------------


def test_progress_then_text_then_usage(chat: ChatLlama) -> None:
    messages = user("word " * 50)
    events = events_of(chat, messages)
    kinds = [type(event) for event in events]
    progress = [event for event in events if isinstance(event, PromptProgress)]
    assert kinds[-1] is Usage
    assert kinds == sorted(kinds, key=[PromptProgress, TextDelta, Usage].index)
    assert progress[0].done_tokens == 0
    assert progress[-1].done_tokens == progress[-1].total_tokens == chat.count_prompt_tokens(messages)
    assert len(progress) == 1 + -(-progress[-1].total_tokens // 32)
    assert all(event.text for event in events if isinstance(event, TextDelta))


def test_counted_tokens_are_the_evaluated_ones(chat: ChatLlama) -> None:
    messages = [ChatMessage.of_text("system", "Be kind. <|im_end|>"), *user("ünï\ncode 日本")]
    assert chat.count_prompt_tokens(messages) == answer(chat, messages)[1].prompt_tokens
    assert chat.count_tokens("the the") == 2
    assert chat.count_tokens("") == 0


def test_greedy_is_the_most_likely_token_every_time(chat: ChatLlama) -> None:
    text, usage = answer(chat, user("what?"))
    assert answer(chat, user("what?"))[0] == text
    assert usage.finish == "length"
    assert usage.decode_tokens == 16


def test_a_seed_repeats_a_drawn_answer_and_another_differs(chat: ChatLlama) -> None:
    def drawn(seed: int) -> str:
        return answer(chat, user("what?"), GenerationOptions(max_tokens=24, temperature=1.5, seed=seed))[0]

    assert drawn(1) == drawn(1)
    assert len({drawn(seed) for seed in range(4)}) > 1


def test_a_penalty_breaks_repetition_and_counts_generated_tokens_only(chat: ChatLlama) -> None:
    def generated(penalty: float, tokens: int) -> list[int]:
        answer(chat, user("what?"), GenerationOptions(max_tokens=tokens, repeat_penalty=penalty))
        return [int(each) for each in chat._context.tokens[chat.count_prompt_tokens(user("what?")) :]]

    plain, penalised = generated(1.0, 40), generated(2.0, 40)
    assert len(set(penalised)) > len(set(plain))
    assert generated(2.0, 2) == generated(1.0, 2)  # the first token knows of no other: the prompt is not punished


@pytest.mark.parametrize("max_tokens", [-1, 0, 1])
def test_the_smallest_answers(chat: ChatLlama, max_tokens: int) -> None:
    text, usage = answer(chat, user("hi"), GenerationOptions(max_tokens=max_tokens))
    assert usage.decode_tokens == max(0, max_tokens)
    assert usage.finish == "length"
    assert bool(text) == (max_tokens > 0)


def test_an_answer_that_ends_at_once_is_empty(tmp_path: Path) -> None:
    chat = ChatLlama(write_tiny_gguf(tmp_path / "mute.gguf", end_token_bias=50.0), OPTIONS)
    text, usage = answer(chat, user("hi"))
    assert (text, usage.finish, usage.decode_tokens) == ("", "stop", 0)
    chat.close()


def test_a_stop_string_ends_the_answer_before_it(chat: ChatLlama) -> None:
    whole, _ = answer(chat, user("what?"), GenerationOptions(max_tokens=32))
    stop = whole[5:8]
    text, usage = answer(chat, user("what?"), GenerationOptions(max_tokens=32, stop=(stop, "never")))
    assert text == whole[: whole.index(stop)]
    assert usage.finish == "stop"
    assert answer(chat, user("what?"), GenerationOptions(max_tokens=32))[0] == whole


def test_pieces_that_are_no_utf8_become_replacement_characters(chat: ChatLlama) -> None:
    """The tiny model speaks in random bytes."""
    text, _ = answer(chat, user("bytes"), GenerationOptions(max_tokens=200, repeat_penalty=2.0))
    assert "�" in text
    text.encode()  # and nothing else that cannot be shown


def test_the_context_ends_the_answer_when_it_is_full(chat: ChatLlama) -> None:
    messages = user("x " * 480)
    prompt_tokens = chat.count_prompt_tokens(messages)
    _, usage = answer(chat, messages, GenerationOptions(max_tokens=10_000))
    assert usage.finish == "length"
    assert prompt_tokens + usage.decode_tokens == chat.context_tokens
    assert answer(chat, user("hi"))[1].finish == "length"  # and the next question is as good as any


def test_a_prompt_that_is_too_long_is_refused_with_the_numbers(chat: ChatLlama) -> None:
    before, _ = answer(chat, user("hi"))
    with pytest.raises(PromptTooLong, match=r"1,024") as too_long:
        chat.stream(user("word " * 100_000), GenerationOptions(), threading.Event())
    assert "context_tokens" in too_long.value.hint
    assert answer(chat, user("hi"))[0] == before


# --- reuse ----------------------------------------------------------------------------------------------


def test_the_same_question_evaluates_one_token(chat: ChatLlama) -> None:
    first, usage = answer(chat, user("what is it?"))
    assert usage.cached_tokens == 0
    second, usage = answer(chat, user("what is it?"))
    assert usage.cached_tokens == usage.prompt_tokens - 1
    assert second == first


def test_a_follow_up_evaluates_only_what_is_new(chat: ChatLlama, weights: Path) -> None:
    first, _ = answer(chat, user("what is it?"))
    live_tokens = len(chat._context.tokens)
    messages = follow_up("what is it?", first, "and why?")
    text, usage = answer(chat, messages)
    assert usage.cached_tokens == live_tokens
    fresh = ChatLlama(weights, OPTIONS)
    fresh._prompt_tokens = chat._prompt_tokens  # the same ids, evaluated from nothing
    assert answer(fresh, messages)[0] == text
    fresh.close()


def test_a_change_in_the_middle_is_evaluated_from_there(chat: ChatLlama, weights: Path) -> None:
    answer(chat, user("one two three four"))
    text, usage = answer(chat, user("one two THREE four"))
    assert 0 < usage.cached_tokens < usage.prompt_tokens - 1
    fresh = ChatLlama(weights, OPTIONS)
    assert answer(fresh, user("one two THREE four"))[0] == text
    fresh.close()


def test_an_engine_that_cannot_cut_back_starts_anew(chat: ChatLlama) -> None:
    """As recurrent models do: `seq_rm` of a part is refused."""
    text, _ = answer(chat, user("one two three"))

    class Refusing:
        def __getattr__(self, name: str) -> object:
            return (lambda *_: False) if name == "llama_memory_seq_rm" else getattr(library, name)

    library = chat._context.library
    chat._context.library = Refusing()
    _, usage = answer(chat, user("one two four"))
    assert usage.cached_tokens == 0
    assert answer(chat, user("one two three"))[0] == text


# --- stopping -------------------------------------------------------------------------------------------


def test_a_stop_before_anything(chat: ChatLlama) -> None:
    stop = threading.Event()
    stop.set()
    events = list(chat.stream(user("hi"), GenerationOptions(), stop))
    assert [type(event) for event in events] == [Usage]
    assert isinstance(events[-1], Usage)
    assert events[-1].finish == "stopped"


@pytest.mark.parametrize("batches_before_stop", [0, 1, 3])
def test_a_stop_while_reading_leaves_a_good_state(chat: ChatLlama, weights: Path, batches_before_stop: int) -> None:
    messages = user("a long question, word by word. " * 8)
    stop = threading.Event()
    usage = None
    for event in chat.stream(messages, GenerationOptions(max_tokens=8), stop):
        if isinstance(event, PromptProgress) and event.done_tokens >= batches_before_stop * 32:
            stop.set()
        if isinstance(event, Usage):
            usage = event
    assert usage is not None
    assert (usage.finish, usage.decode_tokens) == ("stopped", 0)
    assert len(chat._context.tokens) == batches_before_stop * 32
    text, usage = answer(chat, messages)
    fresh = ChatLlama(weights, OPTIONS)
    assert answer(fresh, messages)[0] == text
    assert usage.cached_tokens == batches_before_stop * 32
    fresh.close()


def test_a_stop_between_tokens_keeps_what_was_said(chat: ChatLlama) -> None:
    stop = threading.Event()
    shown: list[str] = []
    usage = None
    for event in chat.stream(user("what?"), GenerationOptions(max_tokens=500), stop):
        if isinstance(event, TextDelta):
            shown.append(event.text)
            if len(shown) == 3:
                stop.set()
        if isinstance(event, Usage):
            usage = event
    assert usage is not None
    assert usage.finish == "stopped"
    assert usage.decode_tokens < 20
    _, usage = answer(chat, follow_up("what?", "".join(shown), "go on"))
    assert usage.cached_tokens > chat.count_prompt_tokens(user("what?"))


def test_the_flag_ends_a_call_in_the_middle_and_the_state_is_repaired(weights: Path) -> None:
    """Raised from within: the engine asks between two nodes of one evaluation."""
    context = LlamaContext(weights, OPTIONS)
    tokens = np.arange(40, 72, dtype=np.int32)
    context.evaluate(tokens, output=True)
    expected = context.logits.copy()
    context.keep(0)

    context.evaluate(tokens[:16], output=False)
    stop = threading.Event()
    with context.abort_flag.following(stop):
        stop.set()
        while not context.abort_flag.is_up:
            stop.wait(0.001)
        with pytest.raises(Aborted):
            context.evaluate(tokens[16:], output=True)
    assert not context.abort_flag.is_up
    assert context.tokens.tolist() == tokens[:16].tolist()
    assert context.library.llama_memory_seq_pos_max(context._memory, 0) == 15
    context.evaluate(tokens[16:], output=True)
    np.testing.assert_allclose(context.logits, expected, rtol=1e-3, atol=1e-3)
    context.close()


def test_an_old_stop_does_not_reach_the_next_answer(weights: Path) -> None:
    context = LlamaContext(weights, OPTIONS)
    for _ in range(20):
        old, new = threading.Event(), threading.Event()
        with context.abort_flag.following(old):
            pass
        old.set()
        with context.abort_flag.following(new):
            context.evaluate_one(5)
    assert len(context.tokens) == 20
    context.close()


def test_an_abandoned_stream_leaves_a_good_state(chat: ChatLlama, weights: Path) -> None:
    messages = user("a long question, word by word. " * 8)
    for events_taken in (1, 2, 4, 12):
        stream = chat.stream(messages, GenerationOptions(max_tokens=20), threading.Event())
        for _ in range(events_taken):
            next(stream)
        stream.close()  # type: ignore[attr-defined]  # a generator
    fresh = ChatLlama(weights, OPTIONS)
    assert answer(chat, messages)[0] == answer(fresh, messages)[0]
    fresh.close()


def test_logits_that_are_no_numbers_are_an_error_and_not_a_crash(weights: Path, tmp_path: Path) -> None:
    raw = bytearray(weights.read_bytes())
    raw[-40_000:] = np.full(10_000, np.nan, dtype="<f4").tobytes()  # the end of the output matrix
    broken = tmp_path / "nan.gguf"
    broken.write_bytes(raw)
    chat = ChatLlama(broken, OPTIONS)
    for temperature in (0.0, 1.0):
        with pytest.raises(EngineFailed, match="no number"):
            events_of(chat, user("hi"), GenerationOptions(temperature=temperature))
    chat.close()


def test_two_threads_take_turns(weights: Path) -> None:
    residents = Residents()
    alone = ChatLlama(weights, OPTIONS)
    expected = {text: answer(alone, user(text))[0] for text in ("one", "two")}
    alone.close()
    got: list[tuple[str, str]] = []

    def ask(text: str) -> None:
        for _ in range(5):
            with residents.use("chat:tiny", lambda: ChatLlama(weights, OPTIONS), 1) as chat:
                got.append((text, answer(chat, user(text))[0]))

    threads = [threading.Thread(target=ask, args=(text,)) for text in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    residents.close_all()
    assert len(got) == 10
    assert all(text == expected[question] for question, text in got)


# --- a model that has learnt something -------------------------------------------------------------------

CAPITAL = user("What is the capital of France? Answer in one short sentence.")


@pytest.fixture(scope="module")
def smollm(weights_dir: Path) -> Iterator[ChatLlama]:
    path = weights_dir / "smollm2-135m-instruct-q4_1" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    if not path.is_file():
        pytest.skip("no SmolLM2 here; get it with: homebody models pull smollm2-135m-instruct-q4_1")
    chat = ChatLlama(path, ChatLlamaOptions(n_ctx=1024, n_batch=128, n_ubatch=128))
    yield chat
    chat.close()


@pytest.fixture(autouse=True)
def _forget(request: pytest.FixtureRequest) -> None:
    """Each test of the shared model starts from an empty context."""
    if "smollm" in request.fixturenames:
        request.getfixturevalue("smollm")._context.keep(0)


@pytest.mark.weights
def test_it_answers(smollm: ChatLlama) -> None:
    text, usage = answer(smollm, CAPITAL)
    assert "Paris" in text
    assert usage.finish == "stop"
    assert usage.prompt_tokens == smollm.count_prompt_tokens(CAPITAL)


@pytest.mark.weights
def test_greedy_is_what_a_bare_loop_over_the_c_api_says(smollm: ChatLlama) -> None:
    context = smollm._context
    library, model, handle = context.library, context.model, context.handle
    vocab = library.llama_model_get_vocab(model)
    text = (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        f"<|im_start|>user\n{CAPITAL[0].parts[0].text}<|im_end|>\n<|im_start|>assistant\n"  # type: ignore[union-attr]  # a TextPart
    ).encode()
    tokens = (ctypes.c_int32 * 256)()
    count = library.llama_tokenize(vocab, text, len(text), tokens, 256, True, True)
    sampler = library.llama_sampler_init_greedy()
    piece, spoken = ctypes.create_string_buffer(64), b""
    batch = library.llama_batch_get_one(tokens, count)
    for _ in range(24):
        assert library.llama_decode(handle, batch) == 0
        token = library.llama_sampler_sample(sampler, handle, -1)
        if library.llama_vocab_is_eog(vocab, token):
            break
        length = library.llama_token_to_piece(vocab, token, piece, 64, 0, False)
        spoken += piece.raw[:length]
        tokens[0] = token
        batch = library.llama_batch_get_one(tokens, 1)
    library.llama_sampler_free(sampler)
    library.llama_memory_clear(context._memory, True)
    said, usage = answer(smollm, CAPITAL, GenerationOptions(max_tokens=24))
    assert said == spoken.decode()
    assert usage.prompt_tokens == count


@pytest.mark.weights
def test_a_follow_up_evaluates_exactly_the_new_tokens(smollm: ChatLlama) -> None:
    text, usage = answer(smollm, CAPITAL)
    evaluated = usage.prompt_tokens + usage.decode_tokens
    _, usage = answer(smollm, [*CAPITAL, ChatMessage.of_text("assistant", text), *user("And of Italy?")])
    assert usage.cached_tokens == evaluated


@pytest.mark.weights
def test_a_stop_in_the_middle_of_a_batch_and_then_the_same_question(smollm: ChatLlama) -> None:
    """One batch takes this model longer than the stop needs to be heard: the call itself is aborted."""
    messages = user("Here is a list. " + "apples, pears, plums, " * 20 + "What is it about?")
    options = GenerationOptions(max_tokens=6)
    stop = threading.Event()
    stopped: list[Usage] = []
    for event in smollm.stream(messages, options, stop):
        if isinstance(event, PromptProgress) and event.done_tokens == 0:
            threading.Timer(0.01, stop.set).start()
        if isinstance(event, Usage):
            stopped.append(event)
    assert stopped[0].finish == "stopped"
    assert len(smollm._context.tokens) < stopped[0].prompt_tokens
    after_stop, _ = answer(smollm, messages, options)
    smollm._context.keep(0)
    assert answer(smollm, messages, options)[0] == after_stop
