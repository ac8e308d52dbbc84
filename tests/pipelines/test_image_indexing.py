"""Pictures in a library with a real, small CLIP: indexed, found by what they show, looked at anew for another CLIP."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from email.message import EmailMessage
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from models.errors import WeightsMissing
from models.labels import Label
from models.ocr import TextLine
from pipelines.errors import FileNotUsable
from pipelines.events import IndexDone, IndexEvent, IndexProgress, Notice
from pipelines.factory import open_home
from pipelines.home import Home
from pipelines.paths import HomePaths
from pipelines.picture_description import OWN_LABELS
from pipelines.settings import ClipSettings, Settings
from tests.fakes import CountableEmbedder, ScriptedChatModel
from tests.rag.made_archives import zip_of

CLIP = Path(__file__).parent.parent / "data" / "tiny-clip"


class Blind:
    """Reads nothing and knows no label: what is found is found by CLIP."""

    model_id = "blind"

    def read(self, _rgb: NDArray[np.uint8], _between: Callable[[], None] = lambda: None) -> list[TextLine]:
        return []

    def labels(self, _rgb: NDArray[np.uint8]) -> list[Label]:
        return []

    def close(self) -> None: ...


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Ten scenes that the model was never trained on, and some texts."""
    folder = tmp_path / "library"
    folder.mkdir()
    for number in range(10):
        shutil.copy(CLIP / "scenes" / f"{number:02}.png", folder)
    for number, text in enumerate(["The rent is due in May.", "Photos are kept in the shed.", "A shape of things."]):
        (folder / f"note{number}.txt").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def open_one(tmp_path: Path) -> Iterator[Callable[..., Home]]:
    opened: list[Home] = []

    def opener(clip: Path, *labels: str) -> Home:
        home = open_home(
            HomePaths(tmp_path / "home"),
            Settings(clip=ClipSettings(model=str(clip), labels=labels)),
            chat_model=ScriptedChatModel(),
            embedder=CountableEmbedder(),
            ocr=Blind(),
            labeller=Blind(),
        )
        opened.append(home)
        return home

    yield opener
    for home in opened:
        home.close()


def index(home: Home, folder: Path) -> list[IndexEvent]:
    events = list(home.index([folder], threading.Event()))
    assert isinstance(events[-1], IndexDone)
    return events


def looked_at(events: list[IndexEvent]) -> int:
    return sum(isinstance(event, IndexProgress) and event.phase == "looking" for event in events)


def test_pictures_are_found_by_what_they_show(open_one: Callable[..., Home], library: Path) -> None:
    home = open_one(CLIP)
    assert looked_at(index(home, library)) == 10
    assert looked_at(index(home, library)) == 0
    captions = json.loads((CLIP / "scenes" / "captions.json").read_text(encoding="utf-8"))[:10]
    places = []
    for number, caption in enumerate(captions):
        names = [Path(hit.path).name for hit in home.search(f"photo of {caption}", k=5).hits]
        places.append(names.index(f"{number:02}.png") if f"{number:02}.png" in names else 99)
    assert sum(place < 5 for place in places) >= 8, places
    assert sum(place == 0 for place in places) >= 6, places
    best = home.search("when is the rent due", k=3).hits[0]
    assert Path(best.path).name == "note0.txt"


def test_another_clip_looks_at_every_picture_again(
    open_one: Callable[..., Home], library: Path, tmp_path: Path
) -> None:
    home = open_one(CLIP)
    index(home, library)
    home.close()
    other = tmp_path / "other-clip"
    shutil.copytree(CLIP, other)
    home = open_one(other)
    events = index(home, library)
    assert looked_at(events) == 10
    assert any(isinstance(event, Notice) and "another CLIP" in event.text for event in events)


def test_a_damaged_clip_is_told_and_the_words_are_kept(
    open_one: Callable[..., Home], library: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken-clip"
    shutil.copytree(CLIP, broken)
    (broken / "visual" / "model.onnx").write_bytes(b"no model")
    home = open_one(broken)
    told = [event for event in index(home, library) if isinstance(event, Notice)]
    assert any("found by their words only" in event.text for event in told)
    assert home.search("rent", k=1).hits[0].path.endswith("note0.txt")


def test_a_stopped_run_is_finished_by_the_next(open_one: Callable[..., Home], library: Path) -> None:
    home, stop = open_one(CLIP), threading.Event()
    seen = 0
    for event in home.index([library], stop):
        if isinstance(event, IndexProgress) and event.phase == "looking":
            seen += 1
            if seen == 4:
                stop.set()
    assert seen == 4
    assert looked_at(index(home, library)) == 6


def test_a_picture_finds_those_that_look_like_it(open_one: Callable[..., Home], library: Path) -> None:
    home = open_one(CLIP)
    with pytest.raises(FileNotUsable, match="nowhere"):
        home.search("", like=library / "nowhere.png")
    unread = home.search("", like=library / "04.png")
    assert unread.hits == ()
    assert "homebody index" in unread.notices[0].hint
    index(home, library)
    larger = library.parent / "the same, larger.png"
    with Image.open(library / "04.png") as scene:
        scene.resize((300, 300)).save(larger)
    for asked in (home.search("", k=3, like=larger), home.search(f'like:"{larger}"', k=3)):
        assert Path(asked.hits[0].path).name == "04.png"
        assert asked.hits[0].score > 0.9
        assert len(asked.hits) == 3
        assert {hit.kind for hit in asked.hits} == {"image"}
    assert home.search("kind:text", like=larger).hits == ()
    (only,) = home.search("name:07", like=larger).hits
    assert Path(only.path).name == "07.png"
    with pytest.raises(FileNotUsable, match="not a picture"):
        home.search("", like=library / "note0.txt")


def test_without_a_clip_a_picture_finds_nothing_and_the_command_is_told(tmp_path: Path, library: Path) -> None:
    with closing(open_home(HomePaths(tmp_path / "home"), Settings())) as home, pytest.raises(WeightsMissing) as raised:
        home.search("", like=library / "04.png")
    assert "models pull --for clip" in raised.value.hint


LABELS = ("yellow heart at the bottom right", "green circle", "red cross at the bottom left")


def test_labels_of_ones_own_are_found_by_their_words(open_one: Callable[..., Home], library: Path) -> None:
    """Picture 01 is a yellow heart at the bottom right, 03 a red cross at the bottom left."""
    home = open_one(CLIP, *LABELS)
    index(home, library)
    (best, *_) = home.search('"heart"').hits
    assert Path(best.path).name == "01.png"
    assert "it may show: yellow heart at the bottom right" in best.chunk.text
    texts = {Path(hit.path).name: hit.chunk.text for hit in home.search("kind:image", k=10).hits}
    assert "red cross at the bottom left" in texts["03.png"]
    assert "heart" not in texts["03.png"]


def own_labels(home: Home) -> dict[str, str]:
    """Of pictures that show any, by their names."""
    texts = {Path(hit.path).name: hit.chunk.text for hit in home.search("kind:image", k=10).hits}
    return {name: text.partition(OWN_LABELS)[2] for name, text in texts.items() if OWN_LABELS in text}


def test_labels_that_are_asked_for_later_are_said_of_pictures_that_are_known(
    open_one: Callable[..., Home], library: Path
) -> None:
    home = open_one(CLIP)
    index(home, library)
    assert own_labels(home) == {}
    before = home.library()
    home.close()

    home = open_one(CLIP, *LABELS)
    events = index(home, library)
    assert looked_at(events) == 0, "the vectors that are there suffice"
    assert isinstance(done := events[-1], IndexDone)
    assert (done.report.indexed, done.report.unchanged, done.report.failed) == (0, 13, ())
    labelled = own_labels(home)
    assert labelled["01.png"] == f"{LABELS[0]}."
    assert labelled["03.png"].startswith("red cross")
    assert len(labelled) < 10
    assert Path(home.search('"heart"').hits[0].path).name == "01.png"
    assert home.library().chunks_embedded == before.chunks
    home.close()

    home = open_one(CLIP, *LABELS[1:])
    told = [event.text for event in index(home, library) if isinstance(event, Notice)]
    assert len(told) == 1, told
    assert not any("heart" in said for said in own_labels(home).values())
    assert own_labels(home)["03.png"].startswith("red cross")
    assert [event for event in index(home, library) if isinstance(event, Notice)] == []
    home.close()

    home = open_one(CLIP)
    index(home, library)
    assert own_labels(home) == {}
    assert home.library().chunks_embedded == home.library().chunks == before.chunks


def test_a_clip_that_comes_later_says_the_labels(open_one: Callable[..., Home], library: Path, tmp_path: Path) -> None:
    missing = tmp_path / "to come"
    home = open_one(missing, *LABELS)
    index(home, library)
    assert own_labels(home) == {}
    home.close()
    shutil.copytree(CLIP, missing)
    home = open_one(missing, *LABELS)
    assert looked_at(index(home, library)) == 10
    assert own_labels(home)["01.png"] == f"{LABELS[0]}."
    assert home.library().chunks_embedded == home.library().chunks
    home.close()

    shutil.rmtree(missing)
    home = open_one(missing, "green circle")
    index(home, library)
    assert own_labels(home)["01.png"] == f"{LABELS[0]}.", "what nobody can compare stays as it was"


def test_looking_compares_with_labels_that_are_asked_for(open_one: Callable[..., Home], library: Path) -> None:
    home = open_one(CLIP)
    seen = home.look(library / "01.png", threading.Event(), labels=LABELS)
    assert seen.compared[0].name == LABELS[0]
    assert seen.compared[0].score > 0.9
    assert seen.labels[0] == seen.compared[0]
    assert [each["name"] for each in seen.to_json()["labels"]] == [each.name for each in seen.compared]
    assert f"It may show: {LABELS[0]}" in seen.caption
    assert home.look(library / "01.png", threading.Event()).compared == ()


def test_labels_without_a_clip(tmp_path: Path, library: Path) -> None:
    """Those of the settings wait for one; those that are asked for are missing one."""
    settings = Settings(clip=ClipSettings(labels=LABELS))
    with closing(open_home(HomePaths(tmp_path / "home"), settings, ocr=Blind(), labeller=Blind())) as home:
        assert home.look(library / "01.png", threading.Event()).compared == ()
        with pytest.raises(WeightsMissing) as raised:
            home.look(library / "01.png", threading.Event(), labels=LABELS)
    assert "models pull --for clip" in raised.value.hint


def test_pictures_in_archives_and_mails_are_found_by_their_looks(
    open_one: Callable[[Path], Home], library: Path, tmp_path: Path
) -> None:
    packed = tmp_path / "packed"
    packed.mkdir()
    scenes = {f"DCIM/{number:02}.png": (library / f"{number:02}.png").read_bytes() for number in range(1, 9)}
    inner = zip_of(scenes)
    (packed / "phone.zip").write_bytes(zip_of({"notes.txt": b"The rent is due in May.", "backup/phone.zip": inner}))
    mail = EmailMessage()
    mail["Subject"], mail["From"] = "Look at this", "ann@example.org"
    mail.set_content("What do you think of it?")
    mail.add_attachment((library / "00.png").read_bytes(), maintype="image", subtype="png", filename="00.png")
    (packed / "mail.eml").write_bytes(mail.as_bytes())
    home = open_one(CLIP)
    assert looked_at(index(home, packed)) == 9
    assert looked_at(index(home, packed)) == 0
    captions = json.loads((CLIP / "scenes" / "captions.json").read_text(encoding="utf-8"))[:9]
    found = 0
    for number, caption in enumerate(captions):
        paths = [hit.path for hit in home.search(f"photo of {caption}", k=3).hits]
        inside = "mail.eml/00.png" if number == 0 else f"phone.zip/backup/phone.zip/DCIM/{number:02}.png"
        found += str(packed / inside) in paths
    assert found >= 7


def test_pytorch_is_asked_for_where_it_is_not_installed(tmp_path: Path, library: Path) -> None:
    if find_spec("torch") is not None:
        pytest.skip("PyTorch is installed: tests/models/test_clip_torch.py tries it")
    for model, hint in {"": "open_clip_config.json", str(CLIP): ".[clip-export]"}.items():
        settings = Settings(clip=ClipSettings(backend="torch", model=model))
        with (
            closing(open_home(HomePaths(tmp_path / "home"), settings)) as home,
            pytest.raises(WeightsMissing) as raised,
        ):
            home.search("", like=library / "04.png")
        assert hint in raised.value.hint
