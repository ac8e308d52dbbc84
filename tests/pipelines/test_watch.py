"""Following real folders with real notices of the system, and scripted ones where the system cannot be asked to err."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path

import pytest

from pipelines.watch import MOST_PATHS, fewest_paths
from rag.errors import WatchFailed
from rag.listing import list_documents
from rag.mounted import Mount
from tests.pipelines.following import Follower, ScriptedWatch


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "files"
    (made / "sub" / "deep").mkdir(parents=True)
    (made / "a.txt").write_text("The ferry leaves at nine.")
    (made / "sub" / "b.md").write_text("# Dues\n\nThe harbour asks for five euros.\n")
    (made / "sub" / "deep" / "c.txt").write_text("The island has one road.")
    return made


def test_changed_new_and_deleted_files(tmp_path: Path, folder: Path) -> None:
    with Follower(tmp_path) as follower:
        follower.add(folder)
        (folder / "a.txt").write_text("The ferry leaves at ten, or so they say.")
        follower.until(lambda: follower.finds("ferry leaves at ten"))
        assert not follower.finds("ferry leaves at nine")
        follower.until(lambda: follower.document(folder / "a.txt") == "embedded")
        (folder / "sub" / "new.md").write_text("Gulls nest on the cliff.")
        follower.until(lambda: follower.finds("gulls nest"))
        (folder / "sub" / "new.md").unlink()
        follower.until(lambda: not follower.finds("gulls nest"))
        assert {("a.txt", "read"), ("new.md", "read"), ("new.md", "removed")} <= set(follower.changes())


def test_new_folders_are_followed_however_deep(tmp_path: Path, folder: Path) -> None:
    with Follower(tmp_path) as follower:
        follower.add(folder)
        shutil.copytree(folder / "sub", folder / "copy" / "of" / "sub")
        copied = folder / "copy" / "of" / "sub" / "deep" / "c.txt"
        follower.until(lambda: follower.document(copied))
        follower.quiet()
        copied.write_text("The island has two roads now.")
        follower.until(lambda: follower.finds("two roads now"))
        shutil.rmtree(folder / "copy")
        follower.until(lambda: not follower.finds("two roads now"))
        assert follower.finds("one road")


def test_moved_files_and_folders_are_neither_read_nor_embedded_again(tmp_path: Path, folder: Path) -> None:
    with Follower(tmp_path) as follower:
        follower.add(folder)
        rows = "SELECT document_id FROM documents WHERE name_text LIKE '%c.txt'"
        document_id = follower.db.query(rows)
        follower.reader.history.clear()
        follower.embedder.history.clear()
        (folder / "sub").rename(folder / "outings")
        follower.until(lambda: follower.document(folder / "outings" / "deep" / "c.txt"))
        follower.until(lambda: follower.document(folder / "sub" / "deep" / "c.txt") is None)
        (folder / "outings" / "b.md").rename(folder / "renamed.md")
        follower.until(lambda: follower.document(folder / "renamed.md"))
        assert follower.reader.history == []
        assert follower.embedder.history == []
        assert follower.db.query(rows) == document_id, "a moved file keeps its row"
        assert {("c.txt", "moved"), ("b.md", "moved")} <= set(follower.changes())
        (folder / "outings" / "deep" / "c.txt").write_text("The island has three roads.")
        follower.until(lambda: follower.finds("three roads"))


def test_what_editors_do_while_they_save_is_passed_over(tmp_path: Path, folder: Path) -> None:
    with Follower(tmp_path) as follower:
        follower.add(folder)
        target = folder / "a.txt"
        (folder / ".a.txt.swp").write_text("swap")  # vim
        (folder / "4913").touch()
        (folder / "4913").unlink()
        target.rename(folder / "a.txt~")
        target.write_text("The ferry leaves at eleven.")
        (folder / "a.txt~").unlink()
        (folder / "~$b.docx").write_text("Word holds it")
        (folder / "film.pdf.crdownload").write_text("half")
        follower.until(lambda: follower.finds("at eleven"))
        (folder / ".goutputstream-X1").write_text("The ferry leaves at twelve.")  # GNOME's editor, and many others
        (folder / ".goutputstream-X1").rename(target)
        follower.until(lambda: follower.finds("at twelve"))
        assert sorted(follower.files()) == ["a.txt", "b.md", "c.txt"]
        assert {name for name, _ in follower.changes()} <= {"a.txt", "quiet.txt"}


def test_a_changed_ignore_file_holds_for_its_folder_at_once(tmp_path: Path, folder: Path) -> None:
    with Follower(tmp_path) as follower:
        follower.add(folder)
        (folder / "sub" / ".homebodyignore").write_text("*.txt\n")
        follower.until(lambda: follower.document(folder / "sub" / "deep" / "c.txt") is None)
        assert follower.document(folder / "a.txt") == "embedded"
        (folder / "sub" / ".homebodyignore").unlink()
        follower.until(lambda: follower.document(folder / "sub" / "deep" / "c.txt"))


def test_a_root_that_goes_away_keeps_its_files_and_is_followed_when_it_is_back(tmp_path: Path, folder: Path) -> None:
    with Follower(tmp_path) as follower:
        follower.add(folder)
        before = sorted(follower.files())
        folder.rename(tmp_path / "unplugged")
        follower.until(lambda: follower.following().away == (str(folder),))
        assert sorted(follower.files()) == before
        assert follower.finds("one road")
        (tmp_path / "unplugged" / "a.txt").write_text("Changed elsewhere.")
        (tmp_path / "unplugged").rename(folder)
        follower.until(lambda: follower.finds("changed elsewhere"))
        assert follower.following().away == ()
        (folder / "sub" / "b.md").unlink()
        follower.until(lambda: follower.document(folder / "sub" / "b.md") is None)


def test_a_forgotten_folder_stays_out_until_it_is_named(tmp_path: Path, folder: Path) -> None:
    with Follower(tmp_path) as follower:
        follower.add(folder)
        assert follower.watch.forget(folder / "sub") == 2
        follower.watch.look_again()
        (folder / "sub" / "b.md").write_text("Changed, but nobody wants to know.")
        follower.quiet()
        assert follower.files() == ["a.txt"]
        follower.add(folder / "sub")
        assert sorted(follower.files()) == ["a.txt", "b.md", "c.txt"]
        assert follower.roots.left_out() == frozenset()


def test_a_root_may_be_a_file_that_editors_replace(tmp_path: Path, folder: Path) -> None:
    with Follower(tmp_path) as follower:
        follower.watch.look_again([folder / "a.txt"])
        follower.until(lambda: follower.finds("at nine"))
        for hour in ("ten", "eleven"):
            (tmp_path / "new").write_text(f"The ferry leaves at {hour}, they say.")
            (tmp_path / "new").rename(folder / "a.txt")
            follower.until(partial(follower.finds, f"at {hour}"))
        assert follower.files() == ["a.txt"]


def test_words_do_not_wait_for_vectors(tmp_path: Path, folder: Path) -> None:
    for number in range(40):
        (folder / f"{number}.txt").write_text(f"Note number {number}. " * 300)
    with Follower(tmp_path) as follower:
        follower.watch.look_again([folder])
        follower.until(lambda: follower.embedder.history)
        (folder / "urgent.txt").write_text("Read this before all others.")
        follower.until(lambda: follower.finds("before all others"))
        follower.until(lambda: {row.state for row in list_documents(follower.db)} == {"embedded"})


def test_following_waits_while_somebody_is_answered(tmp_path: Path, folder: Path) -> None:
    with Follower(tmp_path) as follower:
        follower.add(folder)
        with follower.foreground.busy():
            (folder / "new.txt").write_text("Nobody reads this yet.")
            follower.until(lambda: follower.document(folder / "new.txt") == "found")
            assert not follower.finds("nobody reads this")
        follower.until(lambda: follower.finds("nobody reads this"))


def test_what_changed_is_listed_while_somebody_is_answered_and_words_are_scattered(
    tmp_path: Path, folder: Path
) -> None:
    with Follower(tmp_path) as follower:
        follower.add(folder)
        with follower.foreground.busy():
            (folder / "sub" / "b.md").unlink()  # its words leave in a part of their own, to be put together at rest
            follower.until(lambda: follower.document(folder / "sub" / "b.md") is None)
            (folder / "new.txt").write_text("Nobody reads this yet.")
            follower.until(lambda: follower.document(folder / "new.txt") == "found")


# --- when the system does not tell ---


def test_lost_notices_lead_to_a_look_through_everything(tmp_path: Path, folder: Path) -> None:
    watches: list[ScriptedWatch] = []

    def open_watch() -> ScriptedWatch:
        watches.append(ScriptedWatch())
        return watches[-1]

    with Follower(tmp_path, open_watch=open_watch) as follower:
        follower.watch.look_again([folder])
        follower.until(lambda: follower.finds("at nine"))
        (folder / "a.txt").write_text("The ferry leaves at ten, nobody was told.")
        (folder / "sub" / "deep").rename(folder / "moved")
        watches[0].lose()
        follower.until(lambda: follower.finds("nobody was told"))
        follower.until(lambda: follower.document(folder / "moved" / "c.txt"))
        assert len(watches) == 2
        assert watches[0].closed
        assert set(watches[1].followed) == {str(folder), str(folder / "sub"), str(folder / "moved")}


def test_without_notices_folders_are_looked_through_now_and_then(tmp_path: Path, folder: Path) -> None:
    failed = WatchFailed("the system allows no more folders to be followed", hint="sudo sysctl fs.inotify…")
    with Follower(tmp_path, open_watch=lambda: ScriptedWatch(fails=failed), poll_s=0.05) as follower:
        follower.watch.look_again([folder])
        follower.until(lambda: follower.finds("at nine"))
        assert follower.notices()[0].hint == failed.hint
        assert follower.following().polled == (str(folder),)
        (folder / "a.txt").write_text("The ferry leaves at ten, nobody tells.")
        follower.until(lambda: follower.finds("nobody tells"))
        (folder / "a.txt").unlink()
        follower.until(lambda: follower.document(folder / "a.txt") is None)


def test_network_drives_are_looked_through_and_others_followed(tmp_path: Path, folder: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    mounted = (Mount("/", False), Mount(str(other), True))
    with Follower(tmp_path, mounted=lambda: mounted, poll_s=0.05) as follower:
        follower.watch.look_again([folder, other])
        follower.until(lambda: follower.finds("at nine"))
        follower.until(lambda: follower.following().polled == (str(other),))
        (other / "remote.txt").write_text("Written on another machine.")
        follower.until(lambda: follower.finds("another machine"))


def test_very_many_changes_are_one_look_through_everything(tmp_path: Path, folder: Path) -> None:
    watch = ScriptedWatch()
    with Follower(tmp_path, open_watch=lambda: watch) as follower:
        follower.watch.look_again([folder])
        follower.until(lambda: follower.finds("at nine"))
        (folder / "new.txt").write_text("Among very many.")
        watch.tell(*(folder / f"{number}" / "x.txt" for number in range(MOST_PATHS + 1)))
        follower.until(lambda: follower.finds("among very many"))


def test_paths_to_look_at_are_as_few_as_can_be(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    paths = [tmp_path / "d" / ".gitignore", tmp_path / "d" / "x.txt", tmp_path / "d-2.txt", tmp_path / "gone" / "y"]
    assert fewest_paths(map(str, paths)) == [
        str(tmp_path / "d"),
        str(tmp_path / "d-2.txt"),
        str(tmp_path / "gone" / "y"),
    ]
    many = [os.fspath(tmp_path / "d" / f"{number}") for number in range(MOST_PATHS + 1)]
    assert fewest_paths(many) == [str(tmp_path / "d")]
