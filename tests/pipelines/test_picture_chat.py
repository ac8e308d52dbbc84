"""Pictures in a conversation, from files to saved turns, with a tiny vision-language model on real llama.cpp."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from models.chat import ImagePart
from models.chat_llama import ChatLlama
from models.errors import WeightsDamaged, WeightsMissing
from models.labels import Label
from models.mmproj_trial import MmprojTrials
from models.ocr import TextLine
from pipelines.attachments import read_attachment
from pipelines.errors import FileNotUsable
from pipelines.events import AnswerDone, AnswerEvent, Notice
from pipelines.factory import HomeOnThisMachine, open_home
from pipelines.one_picture import MOST_PAGES_SHOWN
from pipelines.paths import HomePaths
from pipelines.settings import ChatSettings, Settings
from pipelines.turn import Answer, Turn
from scripts.make_tiny_vlm import VlmSize, write_mmproj, write_tiny_vlm
from tests.fakes import ScriptedChatModel

QUAD = ((0.0, 0.0), (10.0, 0.0), (10.0, 5.0), (0.0, 5.0))


@dataclass
class CountingOcr:
    """Reads the same line on every picture, and counts how often."""

    model_id: str = "counting"
    line: str = "Total 12.50 EUR"
    looks: int = 0

    def read(self, rgb: NDArray[np.uint8], between: Callable[[], None] = lambda: None) -> list[TextLine]:
        assert rgb.ndim == 3
        self.looks += 1
        between()
        return [TextLine(self.line, QUAD, 0.99)]

    def close(self) -> None:
        pass


@dataclass
class NoLabels:
    model_id: str = "none"
    seen: list[tuple[int, ...]] = field(default_factory=list)

    def labels(self, rgb: NDArray[np.uint8]) -> list[Label]:
        self.seen.append(rgb.shape)
        return []

    def close(self) -> None:
        pass


def photo(path: Path, seed: int = 1, size: tuple[int, int] = (96, 64)) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="module")
def own_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a user has it: a model and its mmproj file. Tried already, which homes are told by `trials.json`."""
    folder = tmp_path_factory.mktemp("own")
    MmprojTrials(folder / "trials.json").require(*write_tiny_vlm(folder, "qwen2vl"))
    return folder


@dataclass
class Desk:
    """Opens homes on one data folder, and asks in them."""

    paths: HomePaths
    ocr: CountingOcr = field(default_factory=CountingOcr)

    def open(self, vision_model: Path | str = "", chat: ScriptedChatModel | None = None) -> HomeOnThisMachine:
        if (told := Path(vision_model) / "trials.json").is_file():
            self.paths.create()
            self.paths.cache_dir.mkdir(parents=True, exist_ok=True)
            shutil.copy(told, self.paths.cache_dir / "mmproj-trials.json")
        chat_settings = ChatSettings(model=str(vision_model), max_tokens=6, context_tokens=2048, threads=1)
        home = open_home(
            self.paths,
            Settings(chat=chat_settings),
            device="cpu",
            chat_model=chat,
            ocr=self.ocr,
            labeller=NoLabels(),
        )
        assert isinstance(home, HomeOnThisMachine)
        return home


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(HomePaths(tmp_path / "home"))


@pytest.fixture
def home(desk: Desk, own_model: Path) -> Iterator[HomeOnThisMachine]:
    home = desk.open(own_model)
    yield home
    home.close()


def ask(
    home: HomeOnThisMachine, question: str, *files: Path, conversation: int | None = None
) -> tuple[Answer, list[AnswerEvent]]:
    turn = Turn(
        question,
        conversation_id=conversation,
        attachments=tuple(read_attachment(each) for each in files),
        use_library=False,
    )
    events = list(home.answer(turn, threading.Event()))
    done = events[-1]
    assert isinstance(done, AnswerDone)
    return done.answer, events


def notices(events: list[AnswerEvent]) -> str:
    return " ".join(event.text for event in events if isinstance(event, Notice))


def encodes(home: HomeOnThisMachine) -> int:
    """How often the loaded model encoded a picture."""
    with home._engines.chat() as chat:
        assert isinstance(chat, ChatLlama)
        return chat.pictures_encoded


# --- a model that sees ------------------------------------------------------------------------------------


def test_a_picture_is_shown_and_a_follow_up_encodes_nothing(home: HomeOnThisMachine, tmp_path: Path) -> None:
    file = photo(tmp_path / "photo.png")
    first, events = ask(home, "What is it?", file)
    assert first.pictures == (str(file),)
    assert first.to_json()["pictures"] == [str(file)]
    assert first.model == "qwen2vl"
    assert "no model" not in notices(events)
    more, _ = ask(home, "And what colour?", conversation=first.conversation_id)
    assert more.pictures == (str(file),)
    assert encodes(home) == 1
    # The picture's tokens and all that was said are there still.
    assert more.timings.cached_tokens >= first.timings.prompt_tokens


def test_several_pictures_in_one_conversation(home: HomeOnThisMachine, tmp_path: Path) -> None:
    one, two, three = (photo(tmp_path / f"{n}.png", seed=n) for n in range(3))
    first, _ = ask(home, "Compare.", one, two)
    more, _ = ask(home, "And this?", three, conversation=first.conversation_id)
    again, _ = ask(home, "And the first again?", one, conversation=first.conversation_id)
    assert set(first.pictures) == {str(one), str(two)}
    assert set(more.pictures) == set(again.pictures) == {str(one), str(two), str(three)}
    assert encodes(home) == 3


def test_the_answer_is_held_against_what_is_written_on_the_picture_once(desk: Desk, own_model: Path) -> None:
    home = desk.open(own_model)
    file = photo(desk.paths.root.parent / "receipt.png")
    first, _ = ask(home, "What was the total?", file)
    ask(home, "Who wrote it?", conversation=first.conversation_id)
    assert desk.ocr.looks == 1
    home.close()
    later = desk.open(own_model)
    ask(later, "And when?", conversation=first.conversation_id)
    assert desk.ocr.looks == 1  # kept with the conversation
    later.close()


def test_a_conversation_goes_on_after_a_restart(desk: Desk, own_model: Path, tmp_path: Path) -> None:
    file = photo(tmp_path / "photo.png", size=(256, 256))
    home = desk.open(own_model)
    first, _ = ask(home, "What is it?", file)
    home.close()
    later = desk.open(own_model)
    more, events = ask(later, "And what colour?", conversation=first.conversation_id)
    assert more.pictures == (str(file),)
    assert "gone" not in notices(events)
    assert encodes(later) == 0  # what was evaluated came back from disk
    assert more.timings.cached_tokens > 60
    later.close()


def test_a_picture_that_changed_is_not_shown_again_and_that_is_said(
    desk: Desk, own_model: Path, tmp_path: Path
) -> None:
    file = photo(tmp_path / "photo.png")
    home = desk.open(own_model)
    first, _ = ask(home, "What is it?", file)
    home.close()
    for change in (lambda: photo(file, seed=9), lambda: file.write_text("no picture"), file.unlink):
        change()
        later = desk.open(own_model)
        more, events = ask(later, "And what colour?", conversation=first.conversation_id)
        assert more.pictures == ()
        assert "photo.png: changed or gone since" in notices(events)
        later.close()


def test_look_shows_the_picture_to_the_model(home: HomeOnThisMachine, desk: Desk, tmp_path: Path) -> None:
    file = photo(tmp_path / "photo.png")
    seen = home.look(file, threading.Event())
    attachment = seen.as_attachment()
    (picture,), (read,) = attachment.pictures, read_attachment(file).pictures
    assert picture == read
    turn = Turn("What is it?", attachments=(attachment,), use_library=False, save=False)
    done = list(home.answer(turn, threading.Event()))[-1]
    assert isinstance(done, AnswerDone)
    assert done.answer.pictures == (str(file),)
    assert desk.ocr.looks == 1  # what looking found is what the answer is held against


def scan(path: Path, pages: int, size: tuple[int, int] = (96, 64)) -> Path:
    noise = np.random.default_rng(7).integers(0, 256, (pages, size[1], size[0], 3), dtype=np.uint8)
    first, *others = (Image.fromarray(each) for each in noise)
    first.save(path, save_all=True, append_images=others)
    return path


def test_the_pages_of_a_scan_are_shown_together_and_looked_at_once(
    home: HomeOnThisMachine, desk: Desk, tmp_path: Path
) -> None:
    file = scan(tmp_path / "scan.tif", 3)
    first, events = ask(home, "What is it?", file)
    assert first.pictures == (str(file),)
    assert encodes(home) == 3
    assert desk.ocr.looks == 3, "each page once"
    assert "the model sees" not in notices(events)
    more, events = ask(home, "And page 2?", conversation=first.conversation_id)
    assert more.pictures == (str(file),)
    assert "gone" not in notices(events)
    assert (encodes(home), desk.ocr.looks) == (3, 3)
    home.close()
    later = desk.open()
    (turn,) = later.conversations.history(first.conversation_id or 0)[:1]
    assert [each.page for each in turn.pictures] == [1, 2, 3]
    later.close()


def test_a_conversation_finds_the_pages_of_a_scan_again_while_they_are_the_same(desk: Desk, tmp_path: Path) -> None:
    file = scan(tmp_path / "scan.tif", 3)

    def asked(conversation: int | None = None) -> tuple[Answer, str]:
        chat = ScriptedChatModel(model_id="seeing", sees=True)
        chat.enqueue("Three pages.")
        home = desk.open(chat=chat)
        answer, events = ask(home, "What is it?", *(() if conversation else (file,)), conversation=conversation)
        home.close()
        return answer, notices(events)

    first, _ = asked()
    again, told = asked(first.conversation_id)
    assert (again.pictures, told) == ((str(file),), "")
    scan(file, 2, size=(64, 64))
    changed, told = asked(first.conversation_id)
    assert changed.pictures == ()
    assert told.count("scan.tif") == 1
    assert "gone since" in told


def test_a_model_that_sees_and_writes_nothing_is_named_with_what_to_do(desk: Desk, tmp_path: Path) -> None:
    chat = ScriptedChatModel(model_id="seeing", sees=True)
    chat.enqueue()
    home = desk.open(chat=chat)
    answer, events = ask(home, "What is it?", photo(tmp_path / "photo.png"))
    (notice,) = [each for each in events if isinstance(each, Notice)]
    assert (answer.text, notice.text) == ("", "seeing wrote no answer.")
    assert "another model that sees" in notice.hint
    home.close()


def test_of_many_pages_the_first_are_shown_and_that_is_said(desk: Desk, tmp_path: Path) -> None:
    chat = ScriptedChatModel(model_id="seeing", sees=True)
    chat.enqueue("It is a scan.")
    home = desk.open(chat=chat)
    file = scan(tmp_path / "scan.tif", 6)
    seen = home.look(file, threading.Event())
    answer, events = ask(home, "What is it?", file)
    assert f"{file}: the model sees pages 1 to 4 of 6." in notices(events)
    assert answer.pictures == (str(file),)
    texts = [part.text for part in chat.history[0][-1].parts if hasattr(part, "text")]
    assert [each for each in texts if each.startswith("[Picture")] == [
        f"[Picture: scan.tif, page {number}]\n" for number in range(1, MOST_PAGES_SHOWN + 1)
    ]
    assert [each.page for each in seen.pictures] == [1, 2, 3, 4]
    assert seen.pictures == read_attachment(file).pictures
    home.close()


def test_pages_that_do_not_fit_into_the_context_are_left_out_but_the_first(desk: Desk, tmp_path: Path) -> None:
    file = scan(tmp_path / "scan.tif", 3, size=(64, 64))
    chat = ScriptedChatModel(model_id="seeing", sees=True, context_tokens=110)
    chat.enqueue("It is a scan.")
    home = desk.open(chat=chat)
    _, events = ask(home, "What is it?", file)
    shown = sum(isinstance(part, ImagePart) for part in chat.history[0][-1].parts)
    assert 1 <= shown < 3
    assert f"scan.tif: the model sees page{' 1' if shown == 1 else f's 1 to {shown}'} of 3." in notices(events)
    home.close()


# --- none that sees ---------------------------------------------------------------------------------------


def test_a_model_that_reads_text_only_is_told_what_was_found(desk: Desk, tmp_path: Path) -> None:
    chat = ScriptedChatModel(model_id="blind")
    chat.enqueue("The total is 12.50 EUR.")
    home = desk.open(chat=chat)
    answer, events = ask(home, "What was the total?", photo(tmp_path / "receipt.png"))
    assert "no model that sees pictures is installed" in notices(events)
    assert "Total 12.50 EUR" in str(chat.history[0])
    assert answer.pictures == ()
    assert answer.grounded
    (citation,) = answer.citations
    assert (citation.kind, str(citation.locator), citation.chunk_id) == ("image", "", None)
    assert Path(citation.path).name == "receipt.png"
    home.close()


def test_a_model_that_sees_is_shown_parts_in_order(desk: Desk, tmp_path: Path) -> None:
    chat = ScriptedChatModel(model_id="seeing", sees=True)
    chat.enqueue("It cost 99 EUR.")
    home = desk.open(chat=chat)
    answer, _ = ask(home, "Compare <__media__> them.", photo(tmp_path / "a].png"), photo(tmp_path / "b.png", seed=2))
    kinds = [type(part).__name__ for part in chat.history[0][-1].parts]
    assert kinds == ["TextPart", "ImagePart", "TextPart"] * 2 + ["TextPart"]
    texts = [part.text for part in chat.history[0][-1].parts if hasattr(part, "text")]
    assert texts[0] == "[Picture: a .png]\n"
    assert texts[-1] == "Compare <__media__> them."
    # A number that is not written on the picture is marked, whatever the model saw.
    assert [each.unsupported_terms for each in answer.sentences] == [("99",)]
    home.close()


# --- bad files --------------------------------------------------------------------------------------------


def test_a_damaged_picture_is_refused_by_name(tmp_path: Path) -> None:
    whole = photo(tmp_path / "photo.png").read_bytes()
    contents = {"head.png": whole[:20], "empty.png": b"", "half.png": whole[: len(whole) // 2], "text.png": b"hello"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    for name in ("head.png", "empty.png", "text.png"):
        with pytest.raises(FileNotUsable, match=name):
            read_attachment(tmp_path / name)
    half = read_attachment(tmp_path / "half.png")
    assert half.pictures  # shown as far as it goes
    assert "half.png: " in half.notes[0]


def test_an_mmproj_of_another_model_is_said_and_nothing_is_lost(desk: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    model, mmproj = write_tiny_vlm(folder, "smolvlm")
    write_mmproj(mmproj, "smolvlm", size=VlmSize(width=128))
    home = desk.open(model)
    with pytest.raises(WeightsDamaged, match=r"mmproj-smolvlm\.gguf does not belong to smolvlm\.gguf"):
        ask(home, "What is it?", photo(tmp_path / "photo.png"))
    assert [each.title for each in home.conversations.list()] == ["What is it?"]
    answer, _ = ask(home, "Hello?")  # for texts it does not matter
    assert answer.model == "smolvlm"
    home.close()


def test_a_vision_model_that_reads_text_only_is_refused(desk: Desk, own_model: Path, tmp_path: Path) -> None:
    blind = tmp_path / "blind"
    blind.mkdir()
    (blind / "m.gguf").write_bytes((own_model / "qwen2vl.gguf").read_bytes())
    settings = Settings(chat=ChatSettings(model=str(own_model), vision_model=str(blind)))
    home = open_home(desk.paths, settings, device="cpu")
    with pytest.raises(WeightsMissing, match=r"m reads text only, and chat\.vision_model names it"):
        ask(home, "What is it?", photo(tmp_path / "photo.png"))  # type: ignore[arg-type] # it is a HomeOnThisMachine
    home.close()
