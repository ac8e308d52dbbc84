"""What surrounds a recogniser, without one: loudness, chunks and their times, sentences, loops."""

from __future__ import annotations

import numpy as np
import pytest

from models.speech import SAMPLE_RATE_HZ, Word
from models.speech_chunks import MAX_CHUNK_S, halves, pack_chunks, without_start
from models.speech_sentences import is_loop, sentences_of
from models.speech_sound import is_silent, may_be_voice
from models.whisper_decoding import timed_pieces

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
    chunks = pack_chunks([(0, 10 * S), (20 * S, 30 * S), (40 * S, 50 * S), (60 * S, 61 * S)])
    assert [each.stretches for each in chunks] == [
        ((0, 10 * S), (20 * S, 30 * S)),
        ((40 * S, 50 * S), (60 * S, 61 * S)),
    ]
    assert chunks[0].samples(samples)[10 * S] == 20 * S
    (first, second) = pack_chunks([(0, int(40 * S))])
    assert len(first.samples(np.zeros(40 * S, np.float32))) == MAX_CHUNK_S * S
    assert second.start == MAX_CHUNK_S * S
    assert pack_chunks([]) == []


def test_a_short_pause_stays_inside_a_chunk_and_none_lies_between_two() -> None:
    chunks = pack_chunks([(0, 14 * S), (15 * S, 28 * S), (29 * S, 40 * S), (43 * S, 44 * S)])
    assert [each.stretches for each in chunks] == [((0, 28 * S),), ((29 * S, 40 * S), (43 * S, 44 * S))]


def test_a_chunk_keeps_its_parts_so_that_it_can_be_packed_anew() -> None:
    parts = [(0, 14 * S), (15 * S, 28 * S), (29 * S, 40 * S)]
    (first, second) = pack_chunks(parts)
    assert [*first.parts, *second.parts] == parts
    assert first.begins == [0, 15 * S]
    again = pack_chunks([(26 * S, 28 * S), *second.parts])
    assert [each.stretches for each in again] == [((26 * S, 40 * S),)]


def test_words_of_a_chunk_stand_where_they_were_said_and_never_run_backwards() -> None:
    (chunk,) = pack_chunks([(5 * S, 10 * S), (60 * S, 65 * S)])
    words = [Word(0.5, 1.0, "a", 1), Word(4.8, 5.1, "b", 1), Word(5.5, 6.0, "c", 1), Word(5.2, 99.0, "d", 1)]
    mapped = chunk.in_recording(words)
    assert [(round(each.start_s, 2), round(each.end_s, 2)) for each in mapped[:3]] == [
        (5.5, 6.0),
        (9.8, 10.0),
        (60.5, 61.0),
    ]
    assert mapped[3].start_s >= mapped[2].end_s
    assert mapped[3].end_s <= 65.0


def test_a_phrase_shares_its_time_and_begins_where_it_is_said_not_before_a_joint() -> None:
    (chunk,) = pack_chunks([(0, 10 * S), (60 * S, 65 * S)])
    first, second, third = chunk.in_recording([Word(9.4, 13.0, "an example here", 0.8)])
    assert [each.text for each in (first, second, third)] == ["an", "example", "here"]
    assert first.start_s == pytest.approx(60.0)
    assert third.end_s == pytest.approx(63.0)
    assert second.end_s - second.start_s == pytest.approx(3.0 * 7 / 13)


def test_what_is_left_of_a_chunk_is_what_lies_behind_a_place_in_it() -> None:
    (chunk,) = pack_chunks([(5 * S, 10 * S), (60 * S, 65 * S)])
    assert without_start(chunk, 0) == [(5 * S, 10 * S), (60 * S, 65 * S)]
    assert without_start(chunk, 3 * S) == [(8 * S, 10 * S), (60 * S, 65 * S)]
    assert without_start(chunk, 6 * S) == [(61 * S, 65 * S)]
    assert without_start(chunk, 10 * S) == []


def test_seconds_that_are_not_exact_leave_neither_half_a_word_nor_hide_a_whole_part() -> None:
    (chunk,) = pack_chunks([(0, 10 * S), (10 * S, 12 * S)])
    assert without_start(chunk, int(9.2 * S)) == [(10 * S, 12 * S)]
    assert without_start(chunk, int(10.2 * S)) == [(10 * S, 12 * S)]
    assert without_start(chunk, int(11.2 * S)) == []


def test_a_chunk_is_halved_between_two_stretches_near_its_middle() -> None:
    (chunk,) = pack_chunks([(0, 2 * S), (3 * S, 9 * S), (30 * S, 35 * S), (36 * S, 38 * S)])
    first, second = halves(chunk)
    assert first.parts == ((0, 2 * S), (3 * S, 9 * S))
    assert second.parts == ((30 * S, 35 * S), (36 * S, 38 * S))
    one, other = halves(second)
    assert (one.parts, other.parts) == (((30 * S, 35 * S),), ((36 * S, 38 * S),))


@pytest.mark.parametrize(
    ("tokens", "pieces", "ended_s"),
    [
        ([1000, 7, 8, 1100], [(0.0, 2.0, [7, 8])], 2.0),
        ([1000, 7, 1500], [(0.0, 10.0, [7])], None),
        ([1000, 7, 1100, 1100, 8, 1200, 1200], [(0.0, 2.0, [7]), (2.0, 4.0, [8])], 4.0),
        ([1000, 7, 1100, 1150, 8], [(0.0, 2.0, [7]), (3.0, 10.0, [8])], None),
        ([1100, 7, 1050, 1050, 8, 9000], [(2.0, 2.0, [7]), (2.0, 10.0, [8])], None),
        ([7, 8], [(0.0, 10.0, [7, 8])], None),
        ([1000, 1000], [], None),
        ([], [], None),
    ],
)
def test_timestamps_cut_a_chunk_into_pieces_and_tell_where_it_broke_off(
    tokens: list[int], pieces: list[tuple[float, float, list[int]]], ended_s: float | None
) -> None:
    """Timestamps are the tokens from 1000 on, 0.02 s each; the chunk is 10 s long."""
    assert timed_pieces(tokens, 1000, 10.0) == (pieces, ended_s)


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
        ("Well, " + "er" + "r" * 200, True),
        ("\u8c22\u8c22\u4f60" * 20, True),
        ("Hmmmmmmmmmm, let me see.", False),
        ("\u4eca\u5929\u5929\u6c14\u5f88\u597d\u6211\u4eec\u53bb\u516c\u56ed\u91cc\u8d70\u8d70" * 3, False),
        ("Ask not what your country can do for you, ask what you can do for your country.", False),
        ("very very very very good, he said, and then he told us all about the long way home to the sea", False),
        ("", False),
    ],
)
def test_loops_are_told_from_speech(text: str, expected: bool) -> None:
    assert is_loop(text.split()) is expected
