"""What surrounds a recogniser, without one: loudness, chunks and their times, sentences, loops."""

from __future__ import annotations

import numpy as np
import pytest

from models.speech import SAMPLE_RATE_HZ, Word
from models.speech_chunks import MAX_CHUNK_S, pack_chunks
from models.speech_sentences import is_loop, sentences_of
from models.speech_sound import is_silent, may_be_voice

S = SAMPLE_RATE_HZ


def spoken(text: str, *, start_s: float = 0.0, word_s: float = 0.4) -> list[Word]:
    return [
        Word(start_s + place * word_s, start_s + (place + 1) * word_s, word, 0.9)
        for place, word in enumerate(text.split())
    ]


def test_a_microphones_noise_is_silence_and_a_quiet_voice_is_not() -> None:
    noise = np.random.default_rng(1).normal(0, 3e-4, S).astype(np.float32)
    assert is_silent(noise)
    assert is_silent(np.zeros(0, np.float32))
    assert not may_be_voice(noise)
    voice = (0.02 * np.sin(np.arange(S) / 10)).astype(np.float32)
    assert not is_silent(voice)
    assert may_be_voice(voice)


def test_stretches_are_joined_up_to_what_is_taken_at_once() -> None:
    samples = np.arange(100 * S, dtype=np.float32)
    chunks = pack_chunks(samples, [(0, 10 * S), (20 * S, 30 * S), (40 * S, 50 * S), (60 * S, 61 * S)])
    assert [each.stretches for each in chunks] == [
        ((0, 10 * S), (20 * S, 30 * S)),
        ((40 * S, 50 * S), (60 * S, 61 * S)),
    ]
    assert chunks[0].samples[10 * S] == 20 * S
    (first, second) = pack_chunks(samples, [(0, int(40 * S))])
    assert len(first.samples) == MAX_CHUNK_S * S
    assert second.stretches[0][0] == len(first.samples)
    assert pack_chunks(samples, []) == []


def test_words_of_a_chunk_stand_where_they_were_said_and_never_run_backwards() -> None:
    samples = np.zeros(100 * S, np.float32)
    (chunk,) = pack_chunks(samples, [(5 * S, 10 * S), (60 * S, 65 * S)])
    words = [Word(0.5, 1.0, "a", 1), Word(4.8, 5.1, "b", 1), Word(5.5, 6.0, "c", 1), Word(5.2, 99.0, "d", 1)]
    mapped = chunk.in_recording(words)
    assert [(round(each.start_s, 2), round(each.end_s, 2)) for each in mapped[:3]] == [
        (5.5, 6.0),
        (9.8, 10.0),
        (60.5, 61.0),
    ]
    assert mapped[3].start_s >= mapped[2].end_s
    assert mapped[3].end_s <= 65.0


def test_sentences_end_at_their_marks_at_pauses_and_not_at_abbreviations() -> None:
    words = [*spoken("Dr. Novak met Anna K. Ferreira. Why? Nobody knows"), *spoken("and so on", start_s=30.0)]
    assert [each.text for each in sentences_of(words)] == [
        "Dr. Novak met Anna K. Ferreira.",
        "Why?",
        "Nobody knows",
        "and so on",
    ]
    first, *_ = sentences_of(words)
    assert (first.start_s, first.end_s) == (words[0].start_s, words[5].end_s)
    assert len(first.words) == 6


def test_a_sentence_without_an_end_is_cut_and_chinese_has_no_spaces() -> None:
    endless = spoken("word " * 300)
    parts = list(sentences_of(endless))
    assert sum(len(each.words) for each in parts) == 300
    assert all(each.end_s - each.start_s <= 41 for each in parts)
    (chinese,) = sentences_of(spoken("\u4f60\u597d \u4e16\u754c"))
    assert chinese.text == "\u4f60\u597d\u4e16\u754c"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("thank you thank you thank you thank you thank you", True),
        ("you you you you you", True),
        ("So, " + "I will go to the shop. " * 5, True),
        ("no no no", False),
        ("Ask not what your country can do for you, ask what you can do for your country.", False),
        ("very very very very good, he said, and then he told us all about the long way home to the sea", False),
        ("", False),
    ],
)
def test_loops_are_told_from_speech(text: str, expected: bool) -> None:
    assert is_loop(text.split()) is expected
