"""Pictures in a chat on real llama.cpp and libmtmd, with tiny models of four families."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from models.chat import (
    ChatEvent,
    ChatMessage,
    GenerationOptions,
    ImagePart,
    Part,
    PictureProgress,
    PromptProgress,
    TextDelta,
    TextPart,
    Usage,
)
from models.chat_llama import ChatLlama
from models.errors import ModelError, PromptTooLong, UnsupportedInput, WeightsDamaged, WeightsMissing
from models.llama_context import ChatLlamaOptions, LlamaContext
from models.native_log import llama_library, mtmd_library
from models.picture_chunks import EncodedPictures
from scripts.make_tiny_models import write_tiny_gguf
from scripts.make_tiny_vlm import FAMILIES, TINY, Family, VlmSize, write_mmproj, write_tiny_vlm

OPTIONS = ChatLlamaOptions(n_ctx=2048, n_threads=1, n_threads_batch=1, n_batch=32, n_ubatch=32)
CUTTABLE: tuple[Family, ...] = ("smolvlm", "gemma", "qwen2vl")
"""Families whose state can be cut back; Qwen3.5's cannot."""


def picture(width_px: int = 96, height_px: int = 64, seed: int = 1) -> ImagePart:
    rgb = np.random.default_rng(seed).integers(0, 256, 3 * width_px * height_px, dtype=np.uint8).tobytes()
    return ImagePart(width_px, height_px, rgb)


def asked(*parts: Part | str) -> ChatMessage:
    return ChatMessage("user", tuple(TextPart(part) if isinstance(part, str) else part for part in parts))


def said(text: str) -> ChatMessage:
    return ChatMessage.of_text("assistant", text)


Models = dict[Family, tuple[Path, Path]]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    folder = tmp_path_factory.mktemp("vlm")
    return {family: write_tiny_vlm(folder, family) for family in FAMILIES}


Open = Callable[..., ChatLlama]


@pytest.fixture
def opened(models: Models, request: pytest.FixtureRequest) -> Open:
    def open_chat(family: Family = "smolvlm", options: ChatLlamaOptions = OPTIONS, **more: Any) -> ChatLlama:
        model, mmproj = models[family]
        chat = ChatLlama(model, options, model_id=family, mmproj=mmproj, **more)
        request.addfinalizer(chat.close)
        return chat

    return open_chat


def events_of(chat: ChatLlama, messages: Sequence[ChatMessage], max_tokens: int = 8) -> list[ChatEvent]:
    return list(chat.stream(messages, GenerationOptions(max_tokens=max_tokens), threading.Event()))


def answer(chat: ChatLlama, messages: Sequence[ChatMessage], max_tokens: int = 8) -> tuple[str, Usage]:
    events = events_of(chat, messages, max_tokens)
    usage = events[-1]
    assert isinstance(usage, Usage)
    return "".join(event.text for event in events if isinstance(event, TextDelta)), usage


# --- what it reads is what the model's makers meant -------------------------------------------------------


def logits_by_libmtmd(context: LlamaContext, mmproj: Path, image: ImagePart, before: str, behind: str) -> Any:
    """What llama.cpp's own helper makes of the same picture between the same texts: the reference."""
    library, llama = mtmd_library(), llama_library()
    params = library.mtmd_context_params_default()
    params.use_gpu, params.warmup, params.print_timings, params.n_threads = False, False, False, 1
    handle = library.mtmd_init_from_file(bytes(mmproj), context.model, params)
    pixels = ctypes.cast(ctypes.c_char_p(image.rgb), ctypes.POINTER(ctypes.c_uint8))
    bitmap = library.mtmd_bitmap_init(image.width_px, image.height_px, pixels)
    bitmaps = (ctypes.c_void_p * 1)(bitmap)
    text = (before + library.mtmd_default_marker().decode() + behind).encode()
    whole = library.mtmd_input_text(text=text, text_len=len(text), add_special=False, parse_special=True)
    chunks = library.mtmd_input_chunks_init()
    assert library.mtmd_tokenize(handle, chunks, ctypes.byref(whole), bitmaps, 1) == 0
    past = ctypes.c_int32(0)
    assert (
        library.mtmd_helper_eval_chunks(
            handle, context.handle, chunks, 0, 0, context.facts.n_batch, True, ctypes.byref(past)
        )
        == 0
    )
    count = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(context.model))
    logits = np.ctypeslib.as_array(llama.llama_get_logits_ith(context.handle, -1), (count,)).copy()
    library.mtmd_input_chunks_free(chunks)
    library.mtmd_bitmap_free(bitmap)
    library.mtmd_free(handle)
    return logits


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [(96, 64), (200, 40)])
def test_positions_masks_and_tiles_are_those_of_llama_cpp(
    models: Models, opened: Open, family: Family, size: tuple[int, int]
) -> None:
    image = picture(*size)
    # Batches of one size on both sides: a picture may be longer, and is then evaluated in several.
    options = ChatLlamaOptions(n_ctx=2048, n_threads=1, n_threads_batch=1, n_batch=16, n_ubatch=16)
    chat = opened(family, options)
    events_of(chat, [asked("Look: ", image, "What is it?")], max_tokens=1)
    ours: npt.NDArray[np.float32] = chat._context.logits.copy()
    template = chat._template.pieces(["user"])
    before, behind = str(template[0]) + "Look: ", "What is it?" + str(template[2])
    reference = LlamaContext(models[family][0], chat._context.options)
    theirs = logits_by_libmtmd(reference, models[family][1], image, before, behind)
    reference.close()
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_seen_changes_what_is_said(opened: Open, family: Family) -> None:
    chat = opened(family)
    answers = {answer(chat, [asked(picture(seed=seed), "what?")], 16)[0] for seed in range(4)}
    assert len(answers) > 1


# --- nothing is done twice --------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_follow_up_encodes_nothing_and_reads_only_what_is_new(opened: Open, family: Family) -> None:
    chat = opened(family)
    first = [asked(picture(), "What is it?")]
    text, usage = answer(chat, first)
    assert (usage.pictures_encoded, usage.cached_tokens) == (1, 0)
    assert usage.encode_s > 0
    _, again = answer(chat, [*first, said(text), asked("And what else?")])
    assert (again.pictures_encoded, chat.pictures_encoded) == (0, 1)
    assert again.encode_s == 0
    # All that was read and said is there still; the last token said was not evaluated yet.
    assert again.cached_tokens >= usage.prompt_tokens + usage.decode_tokens - 1


@pytest.mark.parametrize("family", CUTTABLE)
def test_another_question_about_a_picture_keeps_what_was_read_of_it(opened: Open, family: Family) -> None:
    chat = opened(family)
    image = picture()
    answer(chat, [asked(image, "What colour is it?")])
    text, usage = answer(chat, [asked(image, "Who is that?")])
    assert usage.pictures_encoded == 0
    assert usage.cached_tokens >= chat.count_image_tokens(image)
    fresh = opened(family)
    assert answer(fresh, [asked(image, "Who is that?")])[0] == text


def test_a_state_that_cannot_be_cut_costs_reading_but_no_encoding(opened: Open) -> None:
    chat = opened("qwen3.5")
    image = picture()
    answer(chat, [asked(image, "What colour is it?")])
    text, usage = answer(chat, [asked(image, "Who is that?")])
    assert (usage.cached_tokens, usage.pictures_encoded) == (0, 0)
    assert answer(opened("qwen3.5"), [asked(image, "Who is that?")])[0] == text


@pytest.mark.parametrize("family", FAMILIES)
def test_several_pictures_are_encoded_once_each_and_told_apart(opened: Open, family: Family) -> None:
    chat = opened(family)
    one, two = picture(seed=1), picture(128, 64, seed=2)
    said_of_both, usage = answer(chat, [asked("First: ", one, " second: ", two, "Compare.")], 16)
    assert usage.pictures_encoded == 2
    said_the_other_way, swapped = answer(chat, [asked("First: ", two, " second: ", one, "Compare.")], 16)
    assert swapped.pictures_encoded == 0
    assert said_of_both != said_the_other_way
    assert answer(opened(family), [asked("First: ", two, " second: ", one, "Compare.")], 16)[0] == said_the_other_way


def test_a_picture_that_differs_in_one_pixel_is_another_one(opened: Open) -> None:
    chat = opened()
    image = picture()
    other = ImagePart(image.width_px, image.height_px, bytes([image.rgb[0] ^ 255]) + image.rgb[1:])
    answer(chat, [asked(image, "what?")])
    _, usage = answer(chat, [asked(other, "what?")])
    assert usage.pictures_encoded == 1
    assert usage.cached_tokens < chat.count_prompt_tokens([asked("what?")])


def test_what_is_kept_of_pictures_is_bounded() -> None:
    kept = EncodedPictures(max_bytes=1000)
    chunk = np.zeros((10, 10), dtype=np.float32)  # 400 bytes
    for name in "abc":
        kept.put(name, (chunk,))
    assert [name for name in "abc" if kept.get(name) is not None] == ["b", "c"]
    kept.get("b")
    kept.put("d", (chunk,))
    assert [name for name in "abcd" if kept.get(name) is not None] == ["b", "d"]
    kept.put("b", (chunk, chunk))
    assert kept.bytes <= 1000
    kept.put("huge", (np.zeros((100, 100), dtype=np.float32),))
    assert kept.get("huge") is None


@pytest.mark.parametrize("family", FAMILIES)
def test_a_conversation_with_a_picture_comes_back_from_disk(opened: Open, tmp_path: Path, family: Family) -> None:
    messages = [asked(picture(256, 256), "What is it? " * 10)]
    chat = opened(family, states_dir=tmp_path / "prompts")
    text, usage = answer(chat, messages)
    chat.close()
    later = opened(family, states_dir=tmp_path / "prompts")
    followed = [*messages, said(text), asked("And what else?")]
    again, reused = answer(later, followed)
    # The answer's ids are not known after a restart, only its text: what comes before it is there in any case, but
    # for the family whose state is there as a whole or not at all.
    if family in CUTTABLE:
        assert reused.cached_tokens >= usage.prompt_tokens - 8
        assert later.pictures_encoded == 0
    assert answer(opened(family), followed)[0] == again


# --- hostile and bad input --------------------------------------------------------------------------------

MARKS = (
    "<__media__>",
    "<image>",
    "<fake_token_around_image><global-img>",
    "<|vision_start|><|image_pad|><|vision_end|>",
    "<start_of_image>",
    "<row_1_col_1>",
)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_text_becomes_a_picture(opened: Open, family: Family) -> None:
    chat = opened(family)
    hostile = " ".join(MARKS)
    prompt = chat._prompt_tokens.prompt([asked(hostile)])
    assert not prompt.pictures
    assert prompt.ids.min() >= 0
    control = {int(token) for token in prompt.ids if chat._vocab.is_control(int(token))}
    plain = {int(token) for token in chat._prompt_tokens.of([asked("x")]) if chat._vocab.is_control(int(token))}
    assert control <= plain  # the template's own, and none of the marks
    _, usage = answer(chat, [asked(picture(), hostile)])
    assert usage.pictures_encoded == 1


def test_a_model_without_an_encoder_refuses_pictures_before_any_work(models: Models) -> None:
    chat = ChatLlama(models["smolvlm"][0], OPTIONS)
    assert chat.accepts == {"text"}
    for refused in (
        lambda: chat.stream([asked(picture(), "hi")], GenerationOptions(), threading.Event()),
        lambda: chat.count_image_tokens(picture()),
    ):
        with pytest.raises(UnsupportedInput, match="reads text only") as caught:
            refused()
        assert "models list" in caught.value.hint
    assert len(chat._context.tokens) == 0
    chat.close()


def test_a_picture_that_does_not_fit_is_refused_before_it_is_encoded(opened: Open) -> None:
    chat = opened("qwen2vl", ChatLlamaOptions(n_ctx=256, n_batch=32, n_ubatch=32))
    assert chat.accepts == {"text", "image"}
    with pytest.raises(PromptTooLong):
        events_of(chat, [asked(picture(1000, 1000), "what?")])
    assert chat.pictures_encoded == 0


def test_large_pictures_are_made_smaller_to_a_limit(opened: Open) -> None:
    image = picture(400, 400)
    whole = opened("qwen2vl").count_image_tokens(image)
    limited = opened("qwen2vl", ChatLlamaOptions(n_ctx=2048, max_picture_tokens=100)).count_image_tokens(image)
    assert limited <= 110 < whole


@pytest.mark.parametrize("size", [(1, 1), (2000, 1), (1, 1500), (3, 2)])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_smallest_and_the_thinnest_pictures(opened: Open, family: Family, size: tuple[int, int]) -> None:
    chat = opened(family)
    _, usage = answer(chat, [asked(picture(*size), "what?")])
    assert usage.decode_tokens == 8


def test_pixels_that_are_no_picture_are_refused() -> None:
    with pytest.raises(ValueError, match="are not 5 bytes"):
        ImagePart(2, 1, bytes(5))


class TestMmproj:
    """Files that go with no model, or are none."""

    def test_of_another_model(self, models: Models, tmp_path: Path) -> None:
        other = write_mmproj(tmp_path / "mmproj-other.gguf", "smolvlm", size=VlmSize(width=128))
        with pytest.raises(WeightsDamaged, match=r"does not belong to smolvlm.gguf.* 128 numbers, the model takes 64"):
            ChatLlama(models["smolvlm"][0], OPTIONS, mmproj=other)

    def test_whose_header_tells_another_width_than_it_has(self, models: Models, tmp_path: Path) -> None:
        """llama.cpp finds out itself, with the first picture; the conversation goes on without."""
        lying = write_mmproj(tmp_path / "mmproj.gguf", "smolvlm", size=VlmSize(width=128))
        raw = lying.read_bytes()
        key = b"clip.vision.projection_dim"
        at = raw.index(key) + len(key) + 4
        lying.write_bytes(raw[:at] + (64).to_bytes(4, "little") + raw[at + 4 :])
        chat = ChatLlama(models["smolvlm"][0], OPTIONS, mmproj=lying)
        with pytest.raises(WeightsDamaged, match=r"mmproj\.gguf cannot be used with this model: .*wrong mmproj"):
            events_of(chat, [asked(picture(), "what?")])
        assert answer(chat, [asked("what?")])[1].finish != "stopped"
        chat.close()

    def test_whose_marks_the_model_does_not_know(self, models: Models, tmp_path: Path) -> None:
        model = write_tiny_gguf(tmp_path / "plain.gguf")
        with pytest.raises(WeightsDamaged, match="does not know the mark <fake_token_around_image>"):
            ChatLlama(model, OPTIONS, mmproj=models["smolvlm"][1])

    @pytest.mark.parametrize(
        ("model", "mmproj", "reason"),
        [
            ("smolvlm", "qwen2vl", "'qwen3vl_merger', the model of the kind 'llama', which does not know where"),
            ("qwen2vl", "smolvlm", "'idefics3', the model of the kind 'qwen2vl', which wants to know where"),
            ("qwen3.5", "gemma", "'gemma3', the model of the kind 'qwen35', which wants to know where"),
            ("gemma", "smolvlm", "'idefics3', the model of the kind 'llama', which does not know the mark <fake_token"),
        ],
    )
    def test_of_another_family_and_just_as_wide(
        self, models: Models, model: Family, mmproj: Family, reason: str
    ) -> None:
        """llama.cpp would take them, and write nothing or nonsense."""
        names = rf"mmproj-{mmproj}\.gguf does not belong to {model}\.gguf: "
        with pytest.raises(WeightsDamaged, match=f"{names}.*{reason}") as refused:
            ChatLlama(models[model][0], OPTIONS, mmproj=models[mmproj][1])
        assert "that was published with this model" in refused.value.hint

    def test_that_is_a_language_model(self, models: Models) -> None:
        model = models["smolvlm"][0]
        with pytest.raises(WeightsDamaged, match="'llama', not an mmproj"):
            ChatLlama(model, OPTIONS, mmproj=model)

    def test_that_is_not_there(self, models: Models, tmp_path: Path) -> None:
        with pytest.raises(WeightsMissing):
            ChatLlama(models["smolvlm"][0], OPTIONS, mmproj=tmp_path / "mmproj.gguf")

    @pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.2, 0.9, 0.9999])
    def test_that_is_cut_short(self, models: Models, tmp_path: Path, share: float) -> None:
        model, mmproj = models["smolvlm"]
        cut = tmp_path / "mmproj-cut.gguf"
        raw = mmproj.read_bytes()
        cut.write_bytes(raw[: int(share * len(raw))])
        with pytest.raises(WeightsDamaged):
            ChatLlama(model, OPTIONS, mmproj=cut)

    @pytest.mark.parametrize(
        ("key", "number", "complaint"),
        [
            ("clip.vision.patch_size", 0, "patch_size is 0"),
            ("clip.vision.patch_size", 4096, "patch_size is 4096"),
            ("clip.vision.image_size", 2**31, "image_size is 2147483648"),
            ("clip.vision.attention.head_count", 0, "head_count is 0"),
            ("clip.vision.attention.head_count", 7, "7 heads do not share a width of 64"),
            ("clip.vision.projector.scale_factor", 0, "scale_factor is 0"),
            ("clip.vision.block_count", 2**31, "block_count is"),
        ],
    )
    def test_with_numbers_that_native_code_would_not_survive(
        self, models: Models, tmp_path: Path, key: str, number: int, complaint: str
    ) -> None:
        model, mmproj = models["smolvlm"]
        raw = mmproj.read_bytes()
        at = raw.index(key.encode()) + len(key) + 4
        hostile = tmp_path / "mmproj-hostile.gguf"
        hostile.write_bytes(raw[:at] + number.to_bytes(4, "little") + raw[at + 4 :])
        with pytest.raises(WeightsDamaged, match=complaint):
            ChatLlama(model, OPTIONS, mmproj=hostile)

    def test_that_encodes_by_place(self, models: Models, tmp_path: Path) -> None:
        model, mmproj = models["smolvlm"]
        raw = mmproj.read_bytes()
        at = raw.index(b"idefics3") - 8
        other = tmp_path / "mmproj-hunyuan.gguf"
        other.write_bytes(raw[:at] + (9).to_bytes(8, "little") + b"hunyuanvl" + raw[at + 16 :])
        with pytest.raises(ModelError):
            ChatLlama(model, OPTIONS, mmproj=other)


# --- stopping ---------------------------------------------------------------------------------------------


class _StopAfter(threading.Event):
    """Set by itself after it was asked so many times: a stop at every place of the work, without a clock."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self._looks = looks

    def is_set(self) -> bool:
        self._looks -= 1
        return self._looks < 0 or super().is_set()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_stop_at_any_place_leaves_the_engine_ready(opened: Open, family: Family) -> None:
    messages = [asked("Look: ", picture(), "what? " * 20)]
    expected = answer(opened(family), messages)[0]
    chat = opened(family)
    finishes = []
    for looks in range(0, 40, 3):
        if looks % 2:
            chat._vision.forget()  # type: ignore[union-attr] # it has one; so that it is encoded again
        events = list(chat.stream(messages, GenerationOptions(max_tokens=8), _StopAfter(looks)))
        usage = events[-1]
        assert isinstance(usage, Usage)
        finishes.append(usage.finish)
        assert answer(chat, messages)[0] == expected
        chat._context.keep(0)
    assert finishes[0] == "stopped"


def test_a_stopped_picture_is_not_kept_half(opened: Open) -> None:
    chat = opened("qwen2vl", ChatLlamaOptions(n_ctx=2048, n_batch=16, n_ubatch=16))
    stop = threading.Event()
    image = picture(256, 256)
    for event in chat.stream([asked(image, "what?")], GenerationOptions(max_tokens=4), stop):
        if isinstance(event, PromptProgress) and event.done_tokens > 40:
            stop.set()  # some batches of the picture were read
    assert 0 < len(chat._context.tokens) < 40
    assert not chat._context._live.has_pictures
    _, usage = answer(chat, [asked(image, "what?")])
    assert usage.pictures_encoded == 0


def test_leaving_in_the_middle_of_a_picture_leaves_the_engine_ready(opened: Open) -> None:
    chat = opened("gemma")
    messages = [asked("a " * 40, picture(), "what?")]
    expected = answer(opened("gemma"), messages)[0]
    for steps in range(1, 5):
        stream = chat.stream(messages, GenerationOptions(max_tokens=4), threading.Event())
        for _ in range(steps):
            next(stream)
        stream.close()  # type: ignore[attr-defined] # it is a generator
        assert answer(chat, messages)[0] == expected
        chat._context.keep(0)


def test_the_log_of_the_encoder_goes_to_logging(opened: Open, capfd: pytest.CaptureFixture[str]) -> None:
    answer(opened(), [asked(picture(), "what?")])
    assert capfd.readouterr() == ("", "")


def test_the_tiny_models_are_the_same_every_time(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    for one, other in zip(write_tiny_vlm(tmp_path, size=TINY), write_tiny_vlm(tmp_path / "again"), strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_encoding_says_how_far_it_is(opened: Open) -> None:
    chat = opened("smolvlm")
    messages = [asked(picture(), "what?")]
    told = [event for event in events_of(chat, messages) if isinstance(event, PictureProgress)]
    chunks = len(chat._prompt_tokens.prompt(messages).pictures)
    assert [(event.done_parts, event.total_parts) for event in told] == [(n, chunks) for n in range(chunks)]
    assert not [event for event in events_of(chat, messages) if isinstance(event, PictureProgress)]
