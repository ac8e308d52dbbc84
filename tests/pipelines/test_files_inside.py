"""Files inside files through the front door: archives, mails in archives, and what people make of them to do harm."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import threading
from pathlib import Path

import pytest

from pipelines.events import IndexDone, IndexReport, Notice
from pipelines.home import Home
from rag.reading import fingerprint
from tests.rag.made_archives import overlapping_zip, tar_of, zip_of, zip_that_lies, zip_with_encrypted

MAIL = b"""From: Ann <ann@example.org>
To: Bob <bob@example.org>
Subject: The boat
Date: Mon, 06 May 2024 10:00:00 +0000
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b"

--b
Content-Type: text/plain

The ferry is late today.
--b
Content-Type: application/zip; name="plans.zip"
Content-Disposition: attachment; filename="plans.zip"
Content-Transfer-Encoding: base64

%s
--b--
"""


def index(home: Home, *roots: Path) -> IndexReport:
    *_, last = home.index(roots, threading.Event())
    assert isinstance(last, IndexDone)
    return last.report


def states(home: Home, folder: Path) -> dict[str, str]:
    return {str(Path(row.path).relative_to(folder)): row.state for row in home.documents()}


def failures(report: IndexReport, folder: Path) -> dict[str, str]:
    return {str(Path(each.path).relative_to(folder)): each.reason for each in report.failed}


def found(home: Home, query: str) -> list[str]:
    return [Path(hit.path).name for hit in home.search(query, k=3).hits]


def test_what_is_in_an_archive_is_found_and_named_by_both_paths(home: Home, folder: Path) -> None:
    (folder / "trip.zip").write_bytes(
        zip_of({"notes/ferry.txt": "The ferry leaves at nine.", "road.md": "# Road\n\nThe island has one road."})
    )
    report = index(home, folder)
    assert (report.indexed, report.failed) == (3, ())
    assert states(home, folder) == {
        "trip.zip": "words",
        "trip.zip/notes/ferry.txt": "words",
        "trip.zip/road.md": "words",
    }
    (best, *_) = home.search("when does the ferry leave", k=1).hits
    assert best.path == str(folder / "trip.zip" / "notes" / "ferry.txt")
    assert home.passage(best.chunk.chunk_id) is not None
    again = index(home, folder)
    assert (again.indexed, again.unchanged, again.removed, again.failed) == (0, 3, 0, ())


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tars_of_all_packings_are_folders(home: Home, folder: Path, mode: str) -> None:
    (folder / "a.tar.gz").write_bytes(tar_of({"x/a.txt": "Some words.", "b.txt": "Other words."}, mode=mode))
    assert index(home, folder).failed == ()
    assert set(states(home, folder)) == {"a.tar.gz", "a.tar.gz/x/a.txt", "a.tar.gz/b.txt"}


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)])
def test_a_packed_file_is_read_as_what_it_is(home: Home, folder: Path, suffix: str, pack: object) -> None:
    assert callable(pack)
    (folder / f"notes.md{suffix}").write_bytes(pack(b"# Dues\n\nThe harbour asks for five euros."))
    assert index(home, folder).failed == ()
    assert found(home, "harbour dues") == ["notes.md"]


def test_a_mail_in_a_zip_in_a_tar_with_a_zip_attached(home: Home, folder: Path) -> None:
    import base64

    plans = base64.encodebytes(zip_of({"deep/plan.txt": "We meet at the lighthouse."}))
    inner = zip_of({"mail.eml": MAIL % plans})
    (folder / "all.tar").write_bytes(tar_of({"year/2024.zip": inner}))
    assert index(home, folder).failed == ()
    assert "all.tar/year/2024.zip/mail.eml/plans.zip/deep/plan.txt" in states(home, folder)
    assert found(home, "lighthouse")[0] == "plan.txt"
    assert home.forget(folder / "all.tar") == 5
    assert states(home, folder) == {}
    assert home.library().chunks == 0


def test_a_changed_archive_keeps_what_is_the_same_and_loses_what_is_gone(home: Home, folder: Path) -> None:
    archive = folder / "a.zip"
    archive.write_bytes(zip_of({"same.txt": "These words stay.", "gone.txt": "These words go.", "x.txt": "Old words."}))
    index(home, folder)
    kept = home.search("stay", k=1).hits[0].chunk.chunk_id
    archive.write_bytes(zip_of({"same.txt": "These words stay.", "new.txt": "These come.", "x.txt": "Fresh words."}))
    report = index(home, folder)
    assert (report.removed, report.failed) == (1, ())
    assert set(states(home, folder)) == {"a.zip", "a.zip/same.txt", "a.zip/new.txt", "a.zip/x.txt"}
    assert home.search("stay", k=1).hits[0].chunk.chunk_id == kept
    assert "old" not in " ".join(hit.chunk.text.lower() for hit in home.search("old words go", k=10).hits)


def test_a_copied_and_a_moved_archive_are_not_read_again(home: Home, folder: Path) -> None:
    (folder / "a.zip").write_bytes(zip_of({"one.txt": "These words.", "two.txt": "Those words.", "p.psd": b"8BPS"}))
    index(home, folder)
    chunks = home.library().chunks
    (folder / "b.zip").write_bytes((folder / "a.zip").read_bytes())
    report = index(home, folder)
    assert (report.chunks, report.failed) == (0, ())
    assert {"b.zip", "b.zip/one.txt", "b.zip/two.txt", "b.zip/p.psd"} <= set(states(home, folder))
    (folder / "a.zip").rename(folder / "c.zip")
    index(home, folder)
    assert set(states(home, folder)) == {
        f"{name}.zip{inner}" for name in "bc" for inner in ("", "/one.txt", "/two.txt", "/p.psd")
    }
    assert home.library().chunks == chunks
    (folder / "b.zip").unlink()
    (folder / "c.zip").unlink()
    assert index(home, folder).removed == 8
    assert home.library().chunks == 0


def test_names_that_lead_elsewhere_stay_inside_and_nothing_is_written(home: Home, folder: Path, tmp_path: Path) -> None:
    names = ["../../evil.txt", "/etc/passwd.txt", "C:\\Windows\\a.txt", "a\x1b[2J\nb.txt", "./x.txt", "x.txt", "X.txt"]
    (folder / "a.zip").write_bytes(zip_of({name: f"Words of number {n}." for n, name in enumerate(names)}))

    def files() -> list[Path]:
        own = tmp_path / "home"
        return [each for each in sorted(tmp_path.rglob("*")) if each != own and own not in each.parents]

    before = files()
    index(home, folder)
    inside = {path.removeprefix("a.zip/") for path in states(home, folder)} - {"a.zip"}
    assert inside == {"evil.txt", "etc/passwd.txt", "Windows/a.txt", "a[2Jb.txt", "x.txt", "x (2).txt", "X (3).txt"}
    assert files() == before


def test_junk_and_links_in_archives_are_passed_over(home: Home, folder: Path) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, kind in (("link.txt", tarfile.SYMTYPE), ("hard.txt", tarfile.LNKTYPE), ("dev", tarfile.CHRTYPE)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, "/etc/passwd"
            archive.addfile(entry)
        entry = tarfile.TarInfo("a.txt")
        entry.size = 5
        archive.addfile(entry, io.BytesIO(b"Words"))
    (folder / "a.tar").write_bytes(made.getvalue())
    junk = ("__MACOSX/._b.txt", ".DS_Store", "node_modules/x/index.js", ".git/config", "venv/lib/x.py", "Thumbs.db")
    (folder / "b.zip").write_bytes(zip_of({**dict.fromkeys(junk, "Junk."), "b.txt": "Words of b."}))
    assert index(home, folder).failed == ()
    assert set(states(home, folder)) == {"a.tar", "a.tar/a.txt", "b.zip", "b.zip/b.txt"}


def test_a_file_inside_that_cannot_be_read_costs_only_itself(home: Home, folder: Path) -> None:
    broken: dict[str, bytes | str] = {
        "broken.pdf": b"%PDF-1.4 cut off",
        "empty.txt": b"",
        "fine.txt": "These words are fine.",
    }
    (folder / "a.zip").write_bytes(zip_with_encrypted("secret.txt", broken))
    report = index(home, folder)
    assert set(failures(report, folder)) == {"a.zip/secret.txt", "a.zip/broken.pdf", "a.zip/empty.txt"}
    assert "password" in failures(report, folder)["a.zip/secret.txt"]
    assert states(home, folder)["a.zip"] == states(home, folder)["a.zip/fine.txt"] == "words"
    again = index(home, folder)
    assert (again.indexed, again.unchanged) == (0, 2)
    assert failures(again, folder) == failures(report, folder)


def test_a_bomb_is_one_line_and_the_next_file_is_read(home: Home, folder: Path) -> None:
    bomb = zip_of({"a.txt": "Words before it.", "zeros.txt": b"0" * (300 << 20), "z.txt": "Words behind it."})
    assert len(bomb) < 1 << 20
    (folder / "a.zip").write_bytes(bomb)
    (folder / "b.txt").write_text("Words beside it.")
    report = index(home, folder)
    assert list(failures(report, folder)) == ["a.zip/zeros.txt"]
    assert "a.zip unpacks to more than 256 MB" in report.failed[0].reason
    assert set(found(home, "words")) == {"a.txt", "b.txt"}


def test_entries_that_overlap_are_a_bomb(home: Home, folder: Path) -> None:
    (folder / "a.zip").write_bytes(overlapping_zip(100, 5 << 20))
    report = index(home, folder)
    assert list(failures(report, folder)) == ["a.zip"]
    assert "share" in report.failed[0].reason


def test_archives_inside_each_other_end_somewhere(home: Home, folder: Path) -> None:
    content = zip_of({"deep.txt": "Too deep."})
    for depth in range(8):
        content = zip_of({f"{depth}.zip": content})
    (folder / "a.zip").write_bytes(content)
    report = index(home, folder)
    assert len(report.failed) == 1
    assert "inside each other" in report.failed[0].reason


@pytest.mark.parametrize("claimed", [0, 3, 1 << 30])
def test_sizes_that_lie_do_no_harm(home: Home, folder: Path, claimed: int) -> None:
    (folder / "a.zip").write_bytes(zip_that_lies("liar.txt", b"These are the words that it has.", claimed))
    report = index(home, folder)
    assert set(states(home, folder)) == {"a.zip", "a.zip/liar.txt"}
    assert len(report.failed) <= 1


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "gz"])
def test_archives_that_are_cut_off_or_flipped_are_told_and_keep_what_is_whole(
    home: Home, folder: Path, kind: str
) -> None:
    contents = {f"{number}.txt": f"Words of {number}. " * 400 for number in range(8)}
    whole = {
        "zip": lambda: zip_of(contents),
        "tar": lambda: tar_of(contents),
        "tar.gz": lambda: tar_of(contents, mode="w:gz"),
        "gz": lambda: gzip.compress(os.urandom(2000).hex().encode()),
    }[kind]()
    for part in (0.1, 0.5, 0.9):
        (folder / f"{part}.{kind}").write_bytes(whole[: int(part * len(whole))])
        flipped = bytearray(whole)
        flipped[int(part * len(whole))] ^= 0xFF
        (folder / f"flipped {part}.{kind}").write_bytes(flipped)
    (folder / "z.txt").write_text("Words at the end.")
    report = index(home, folder)
    assert all(each.reason and "\n" not in each.reason for each in report.failed)
    assert states(home, folder)["z.txt"] == "words"
    assert "found" not in states(home, folder).values()


def test_a_file_in_place_of_an_archive_and_a_folder_in_place_of_that(home: Home, folder: Path) -> None:
    thing = folder / "thing.zip"
    thing.write_bytes(zip_of({"a.txt": "Words in an archive."}))
    index(home, folder)
    thing.unlink()
    thing.mkdir()
    (thing / "a.txt").write_text("Words in a folder.")
    assert index(home, folder).failed == ()
    assert states(home, folder) == {"thing.zip/a.txt": "words"}
    (thing / "a.txt").unlink()
    thing.rmdir()
    thing.write_bytes(zip_of({"b.txt": "Words in an archive."}))
    assert index(home, folder).failed == ()
    assert set(states(home, folder)) == {"thing.zip", "thing.zip/b.txt"}
    thing.write_bytes(b"no archive at all")
    assert set(failures(index(home, folder), folder)) == {"thing.zip"}
    assert states(home, folder) == {"thing.zip": "failed"}


def test_a_file_inside_that_has_the_rights_of_nobody_is_still_read(home: Home, folder: Path) -> None:
    archive = folder / "a.zip"
    archive.write_bytes(zip_of({"a.txt": "Words."}))
    digest = fingerprint(archive).sha256
    index(home, folder)
    assert fingerprint(archive).sha256 == digest


def test_what_no_reader_takes_is_listed_and_counted_but_no_failure(home: Home, folder: Path) -> None:
    for name in ("a.iso", "b.ISO", "c.psd", "d.exe", "e.7z"):
        (folder / name).write_bytes(b"\x00\x01 binary")
    (folder / "tool").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(100))
    (folder / "notes").write_text("Words without an extension.")
    (folder / "f.zip").write_bytes(zip_of({"p.psd": b"8BPS", "a.txt": "Words."}))
    report = index(home, folder)
    assert report.failed == ()
    assert dict(report.unsupported) == {".iso": 2, ".7z": 1, ".exe": 1, ".psd": 2, "no extension": 1}
    assert report.to_json()["unsupported"] == 7
    rows = {Path(row.path).name: row for row in home.documents()}
    assert rows["a.iso"].state == "unsupported"
    assert "disk image" in rows["a.iso"].reason
    assert "picture" in rows["c.psd"].reason
    assert "ELF" in rows["tool"].reason
    assert rows["notes"].state == "words"
    assert (home.library().failed, sum(home.library().unsupported.values())) == (0, 7)
    again = index(home, folder)
    assert (again.indexed, again.unchanged, dict(again.unsupported)) == (0, 3, dict(report.unsupported))
    (folder / "a.iso").unlink()
    assert index(home, folder).removed == 1


def test_a_file_named_by_the_user_is_opened_whatever_it_is_called(home: Home, folder: Path) -> None:
    (folder / "words.iso").write_text("Just some words.")
    assert index(home, folder).indexed == 0
    assert index(home, folder / "words.iso").indexed == 1


def test_notes_of_files_inside_are_told(home: Home, folder: Path) -> None:
    (folder / "a.zip").write_bytes(zip_of({"latin.txt": "Caf\xe9 au lait".encode("latin-1")}))
    events = list(home.index([folder], threading.Event()))
    assert any(isinstance(event, Notice) and "latin.txt" in event.text for event in events)


def test_what_is_inside_is_opened_by_other_programs_as_a_copy(home: Home, folder: Path) -> None:
    (folder / "papers.zip").write_bytes(zip_of({"letter.txt": b"Words.", "page.html": b"<p>Words</p>"}))
    copy = Path(home.on_disk(str(folder / "papers.zip" / "letter.txt")))
    assert (copy.name, copy.read_bytes()) == ("letter.txt", b"Words.")
    assert copy.is_relative_to(home.paths.cache_dir)
    for path in (folder / "papers.zip", folder / "papers.zip" / "page.html"):
        assert home.on_disk(str(path)) == str(path)
