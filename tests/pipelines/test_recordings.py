"""Recordings in the library: their sentences become passages with seconds; without a recogniser they are listed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from models.errors import EngineFailed
from models.speech import LanguageFound
from pipelines.events import IndexDone, IndexProgress, IndexReport
from pipelines.factory import open_home
from pipelines.home import Home
from pipelines.paths import HomePaths
from pipelines.settings import Settings
from pipelines.transcribe import TranscriptDone
from tests.fakes import CountableEmbedder
from tests.pipelines.speaking import FakeRecogniser, sentence
from tests.rag.made_archives import tar_of, zip_of
from tests.rag.made_sound import encoded, tone, wav16


@pytest.fixture
def recogniser() -> FakeRecogniser:
    return FakeRecogniser()


@pytest.fixture
def home(tmp_path: Path, recogniser: FakeRecogniser) -> Iterator[Home]:
    opened = made_home(tmp_path, recogniser)
    yield opened
    opened.close()


def made_home(tmp_path: Path, recogniser: FakeRecogniser | None) -> Home:
    return open_home(HomePaths(tmp_path / "home"), Settings(), embedder=CountableEmbedder(), recogniser=recogniser)


def index(home: Home, folder: Path) -> IndexReport:
    (report,) = (event.report for event in home.index([folder], threading.Event()) if isinstance(event, IndexDone))
    return report


def test_what_is_said_is_found_at_its_second(home: Home, recogniser: FakeRecogniser, folder: Path) -> None:
    (folder / "meeting.wav").write_bytes(wav16(tone(20.0)))
    recogniser.enqueue(LanguageFound("en", 0.9), "We begin.", "The budget for the boiler is nine hundred euros.")
    report = index(home, folder)
    assert (report.failed, report.indexed) == ((), 1)
    (hit,) = home.search("boiler budget").hits
    assert hit.kind == "audio"
    assert hit.chunk.locator.start_s == 1.0
    assert hit.chunk.locator.end_s == pytest.approx(7.5)
    assert str(hit.chunk.locator) == "0:01-0:07"
    assert [each.kind for each in home.documents()] == ["audio"]
    assert not list((home.paths.transcripts_dir).glob("*"))
    assert index(home, folder).unchanged == 1
    assert len(recogniser.history) == 1


def test_passages_of_a_long_recording_are_short_enough_to_be_listened_to(
    home: Home, recogniser: FakeRecogniser, folder: Path
) -> None:
    (folder / "talk.wav").write_bytes(wav16(tone(28.0)))
    recogniser.enqueue(*(sentence(f"Sentence number {n} is here.", 10.0 * n) for n in range(60)))
    index(home, folder)
    hits = home.search("sentence number", k=50).hits
    assert len(hits) >= 3
    for hit in hits:
        start_s, end_s = hit.chunk.locator.start_s, hit.chunk.locator.end_s
        assert start_s is not None
        assert end_s is not None
        assert 0 < end_s - start_s <= 45


def test_indexing_tells_how_far_a_recording_is(home: Home, recogniser: FakeRecogniser, folder: Path) -> None:
    (folder / "meeting.wav").write_bytes(wav16(tone(70.0)))
    recogniser.enqueue("We begin.")
    recogniser.enqueue("The end.")
    told = [event for event in home.index([folder], threading.Event()) if isinstance(event, IndexProgress)]
    heard = [event for event in told if event.heard_s]
    assert {event.path for event in heard} == {str(folder / "meeting.wav")}
    assert {event.length_s for event in heard} == {70.0}
    assert [event.heard_s for event in heard] == sorted(event.heard_s for event in heard)
    assert heard[-1].heard_s == 70.0


def test_a_copy_is_not_listened_to_again(home: Home, recogniser: FakeRecogniser, folder: Path) -> None:
    content = wav16(tone(2.0))
    (folder / "a.wav").write_bytes(content)
    (folder / "b.wav").write_bytes(content)
    recogniser.enqueue("Only once.")
    assert index(home, folder).indexed == 2
    assert len(recogniser.history) == 1


def test_music_is_found_by_what_it_says_of_itself_and_noise_is_listed(
    home: Home, recogniser: FakeRecogniser, folder: Path
) -> None:
    import av

    (folder / "hum.wav").write_bytes(wav16(tone(2.0)))
    with av.open(str(folder / "song.mp3"), "w") as output:
        output.metadata.update({"title": "Harbour Lights", "artist": "The Gulls"})
        source = av.open(str(_flac(folder)))
        stream = output.add_stream("libmp3lame", rate=48_000)
        stream.layout = "mono"
        for frame in source.decode(audio=0):
            frame.pts = None
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        source.close()
    (folder / "source.flac").unlink()
    report = index(home, folder)
    assert len(recogniser.history) == 2
    assert [Path(each.path).name for each in report.failed] == ["hum.wav"]
    assert "nothing is said in hum.wav" in report.failed[0].reason
    (hit,) = home.search("harbour lights").hits
    assert hit.title == "Harbour Lights"


def _flac(folder: Path) -> Path:
    path = folder / "source.flac"
    path.write_bytes(encoded(tone(1.0), "flac", "flac"))
    return path


def test_without_a_recogniser_they_are_listed_with_the_command_and_read_when_there_is_one(
    tmp_path: Path, recogniser: FakeRecogniser, folder: Path
) -> None:
    (folder / "memo.wav").write_bytes(wav16(tone(2.0)))
    without = made_home(tmp_path, None)
    try:
        report = index(without, folder)
        assert (report.failed, dict(report.unsupported)) == ((), {"recordings (homebody models pull --for speech)": 1})
        (row,) = without.documents()
        assert "no speech model" in row.reason
        assert "homebody models pull --for speech" in row.reason
        assert row.state == "unsupported"
        assert index(without, folder).indexed == 0
    finally:
        without.close()
    recogniser.enqueue("Buy bread.")
    home = made_home(tmp_path, recogniser)
    try:
        assert index(home, folder).indexed == 1
        assert home.search("bread").hits
    finally:
        home.close()


def test_an_engine_that_fails_is_the_moments_fault_and_the_next_run_tries_again(
    home: Home, recogniser: FakeRecogniser, folder: Path
) -> None:
    (folder / "memo.wav").write_bytes(wav16(tone(2.0)))
    recogniser.enqueue(EngineFailed("out of memory", hint="close other programs"))
    (failed,) = index(home, folder).failed
    assert "could not be transcribed: out of memory" in failed.reason
    recogniser.enqueue("Buy bread.")
    assert index(home, folder).indexed == 1


def test_a_damaged_recording_is_listed_and_the_others_are_read(
    home: Home, recogniser: FakeRecogniser, folder: Path
) -> None:
    (folder / "a.mp3").write_text("no sound at all")
    (folder / "b.wav").write_bytes(wav16(tone(1.0)))
    recogniser.enqueue("Words.")
    report = index(home, folder)
    assert [Path(each.path).name for each in report.failed] == ["a.mp3"]
    assert report.indexed == 1


def test_recordings_in_archives_and_mails_are_heard_in_their_turn(
    home: Home, recogniser: FakeRecogniser, folder: Path
) -> None:
    voice = encoded(tone(2.0), "ogg", "libopus")
    mail = EmailMessage()
    mail["Subject"], mail["From"] = "Voice message", "ann@example.org"
    mail.set_content("Listen to this.")
    mail.add_attachment(voice, maintype="audio", subtype="ogg", filename="voice.ogg")
    (folder / "mail.eml").write_bytes(mail.as_bytes())
    packed = zip_of({"a.txt": b"The ferry is late.", "memo.wav": wav16(tone(3.0)), "z.txt": b"The boat is early."})
    (folder / "phone.zip").write_bytes(zip_of({"backup.tar": tar_of({"notes.zip": packed})}))
    recogniser.enqueue("The budget is nine hundred euros.")
    recogniser.enqueue("Bring the ladder.")
    report = index(home, folder)
    assert (report.failed, dict(report.unsupported)) == ((), {})
    hit = home.search("budget euros").hits[0]
    assert (hit.path, hit.kind) == (str(folder / "mail.eml" / "voice.ogg"), "audio")
    assert hit.chunk.locator.start_s == 1.0
    hit = home.search("ladder").hits[0]
    assert hit.path == str(folder / "phone.zip" / "backup.tar" / "notes.zip" / "memo.wav")
    assert [round(each.seconds, 1) for each in recogniser.history] == [2.0, 3.0]
    assert [Path(home.search(query).hits[0].path).name for query in ("ferry", "boat")] == ["a.txt", "z.txt"]
    assert index(home, folder).unchanged == 8
    heard = list(home.transcribe(Path(hit.path), threading.Event()))
    assert isinstance(heard[-1], TranscriptDone)
    assert heard[-1].duration_s == pytest.approx(3.0, abs=0.01)


def test_a_recording_in_an_archive_waits_for_a_recogniser_and_costs_only_itself(
    tmp_path: Path, recogniser: FakeRecogniser, folder: Path
) -> None:
    contents = {"broken.mp3": b"no sound at all", "memo.wav": wav16(tone(2.0)), "note.txt": b"The ferry is late."}
    (folder / "phone.zip").write_bytes(zip_of(contents))
    without = made_home(tmp_path, None)
    try:
        report = index(without, folder)
        assert dict(report.unsupported) == {"recordings (homebody models pull --for speech)": 2}
        assert without.search("ferry").hits
        assert index(without, folder).indexed == 0
    finally:
        without.close()
    home = made_home(tmp_path, recogniser)
    try:
        recogniser.enqueue(EngineFailed("out of memory", hint="close other programs"))
        failed = {Path(each.path).name: each.reason for each in index(home, folder).failed}
        assert "no recording that can be read" in failed["broken.mp3"]
        assert "could not be transcribed: out of memory" in failed["memo.wav"]
        recogniser.enqueue("Buy bread.")  # it was the moment's fault: the next run tries again
        assert [Path(each.path).name for each in index(home, folder).failed] == ["broken.mp3"]
        assert home.search("bread").hits
        asked = len(recogniser.history)
        index(home, folder)
        assert len(recogniser.history) == asked
    finally:
        home.close()
