from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.catalog import ModelEntry, load_catalog
from models.fit import (
    ChatSpeed,
    Machine,
    choose_default_chat,
    choose_installed_chat,
    fits,
    needed_memory_bytes,
    rank_chat,
)

GB = 10**9
CHAT = load_catalog().defaults("chat")
FROM_WHEELS = tuple(entry for entry in CHAT if entry.in_wheels)
Q1_5B = load_catalog().entry("qwen2.5-coder-1.5b-instruct-q4_k_m")


def machine(free_gb: float, cores: int, vector_bits: int = 256) -> Machine:
    speed = ChatSpeed.guess(physical_cores=cores, vector_bits=vector_bits)
    return Machine(free_memory_bytes=int(free_gb * GB), speed=speed)


def chosen(entries: tuple[ModelEntry, ...], on: Machine) -> str | None:
    default = choose_default_chat(entries, on)
    return default.entry.id if default is not None else None


def test_memory_is_weights_and_cache_and_buffers() -> None:
    kv_cache = 4096 * 28_672
    logits = 512 * 151_936 * 4
    needed = needed_memory_bytes(Q1_5B, context_tokens=4096)
    assert Q1_5B.bytes + kv_cache + logits < needed < Q1_5B.bytes + kv_cache + logits + 200 * 2**20


def test_a_context_beyond_the_models_own_costs_nothing() -> None:
    smol = load_catalog().entry("smollm2-135m-instruct-q4_1")
    assert needed_memory_bytes(smol, context_tokens=8192) == needed_memory_bytes(smol, context_tokens=131_072)


def test_a_quantized_cache_needs_less() -> None:
    full, quantized = (needed_memory_bytes(Q1_5B, context_tokens=32_768, kv_bytes_per_value=n) for n in (2.0, 34 / 32))
    assert full - quantized == pytest.approx(32_768 * 28_672 * (1 - 34 / 64), rel=0.01)


@pytest.mark.parametrize("vector_bits", [256, 512])
def test_two_cores_and_24_gb_get_the_largest_of_the_wheels(vector_bits: int) -> None:
    assert chosen(FROM_WHEELS, machine(23, 2, vector_bits)) == Q1_5B.id


def test_a_general_model_of_that_size_is_preferred_where_the_hub_is_there() -> None:
    assert chosen(CHAT, machine(23, 2, 512)) == "qwen3.5-2b-q4_k_m"
    assert chosen(CHAT, machine(23, 8)) == "qwen3.5-4b-q4_k_m"


def test_less_memory_means_a_smaller_model() -> None:
    assert chosen(FROM_WHEELS, machine(1.5, 4)) == "qwen2.5-coder-0.5b-instruct-q4_k_m"
    assert chosen(FROM_WHEELS, machine(0.8, 4)) == "smollm2-135m-instruct-q4_1"
    assert chosen(FROM_WHEELS, machine(0.3, 4)) is None


def test_a_slow_machine_gets_the_largest_that_is_still_useful() -> None:
    assert chosen(FROM_WHEELS, machine(23, 1, 256)) == "qwen2.5-coder-0.5b-instruct-q4_k_m"


def test_where_nothing_is_fast_enough_the_fastest_is_taken() -> None:
    crawling = Machine(8 * GB, ChatSpeed(prefill_byte_rate=1e8, decode_bytes_per_s=1e8, measured=True))
    assert chosen(CHAT, crawling) == "smollm2-135m-instruct-q4_1"
    assert not fits(Q1_5B, crawling).useful
    assert "slow" in fits(Q1_5B, crawling).reason


def test_the_prediction_agrees_with_what_was_measured() -> None:
    """llama-bench on 2 cores with AVX-512: the table of measured rates that the constants come from."""
    speed = ChatSpeed.guess(physical_cores=2, vector_bits=512)
    half = load_catalog().entry("qwen2.5-coder-0.5b-instruct-q4_k_m")
    for entry, prefill, decode in ((Q1_5B, 74.5, 22.9), (half, 194, 41.7)):
        assert speed.prefill_tokens_per_s(entry.bytes) == pytest.approx(prefill, rel=0.2)
        assert speed.decode_tokens_per_s(entry.bytes) == pytest.approx(decode, rel=0.2)


def test_a_measurement_predicts_itself_and_scales() -> None:
    speed = ChatSpeed.from_measurement(weights_bytes=Q1_5B.bytes, prefill_tokens_per_s=60, decode_tokens_per_s=18)
    assert speed.measured
    assert speed.prefill_tokens_per_s(Q1_5B.bytes) == pytest.approx(60)
    assert speed.decode_tokens_per_s(Q1_5B.bytes) == pytest.approx(18)
    assert 18 < speed.decode_tokens_per_s(Q1_5B.bytes // 2) < 36


def test_the_reason_has_the_numbers() -> None:
    verdict = fits(Q1_5B, machine(1, 2))
    assert not verdict.fits
    assert "1.8 GB" in verdict.reason
    assert "1.0 GB" in verdict.reason
    assert "tokens/s" in fits(Q1_5B, machine(23, 2)).reason


def test_models_that_do_not_chat_have_no_speed() -> None:
    verdict = fits(load_catalog().entry("whisper-base"), machine(4, 2))
    assert verdict.fits
    assert verdict.decode_tokens_per_s is None


@given(free_gb=st.floats(0.1, 64), cores=st.integers(1, 64), bits=st.sampled_from([128, 256, 512]))
def test_what_is_chosen_always_fits_and_leads_the_ranking(free_gb: float, cores: int, bits: int) -> None:
    on = machine(free_gb, cores, bits)
    ranked = rank_chat(CHAT, on)
    assert all(each.verdict.fits for each in ranked)
    assert chosen(CHAT, on) == (ranked[0].entry.id if ranked else None)
    usefulness = [each.verdict.useful for each in ranked]
    assert usefulness == sorted(usefulness, reverse=True)


@given(more_memory=st.integers(0, 32 * GB), cores=st.integers(1, 16))
def test_more_memory_never_means_a_smaller_useful_model(more_memory: int, cores: int) -> None:
    small = Machine(2 * GB, ChatSpeed.guess(physical_cores=cores))
    large = Machine(2 * GB + more_memory, small.speed)
    before, after = choose_default_chat(CHAT, small), choose_default_chat(CHAT, large)
    assert before is not None
    assert after is not None
    assert after.entry.default_order["chat"] <= before.entry.default_order["chat"]


def test_a_measurement_just_under_the_bar_does_not_change_the_model_that_is_here() -> None:
    small = load_catalog().entry("qwen2.5-coder-0.5b-instruct-q4_k_m")

    def measured(prefill_tokens_per_s: float) -> Machine:
        speed = ChatSpeed.from_measurement(
            weights_bytes=Q1_5B.bytes, prefill_tokens_per_s=prefill_tokens_per_s, decode_tokens_per_s=12.0
        )
        return Machine(free_memory_bytes=23 * GB, speed=speed)

    assert chosen((Q1_5B, small), measured(28)) == small.id
    assert choose_installed_chat((Q1_5B, small), measured(28)) == Q1_5B
    assert choose_installed_chat((Q1_5B, small), measured(10)) == small
    assert choose_installed_chat((), measured(28)) is None
