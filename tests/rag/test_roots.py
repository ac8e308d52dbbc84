from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.documents import Documents
from rag.library_db import LibraryDb
from rag.listing import list_documents
from rag.mounted import Mount, is_below, is_on_network, mounts
from rag.roots import Roots
from tests.rag.stored_library import record

OTHER_DEVICE = 2**62


@pytest.fixture
def db(tmp_path: Path) -> Iterator[LibraryDb]:
    with LibraryDb(tmp_path / "library.sqlite") as opened:
        yield opened


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "stick"
    made.mkdir()
    (made / "a.txt").write_text("words")
    return made


@pytest.fixture
def roots(db: LibraryDb, root: Path) -> Roots:
    record(db, str(root / "a.txt"), ["words"])
    roots = Roots(db)
    roots.add([str(root)])
    return roots


def was_on_another_device(db: LibraryDb) -> None:
    """As if the roots had been indexed when another file system was mounted there."""
    with db.transaction() as connection:
        connection.execute("UPDATE roots SET device = ?", (OTHER_DEVICE,))


def test_a_root_that_is_there_is_connected(roots: Roots, root: Path) -> None:
    assert roots.why_away(str(root)) == ""
    assert [(row.path, row.away) for row in roots.listed()] == [(str(root), "")]
    assert roots.why_away("/no/root/of/ours") == ""


def test_a_missing_root_is_away(roots: Roots, root: Path) -> None:
    root.rename(root.with_name("elsewhere"))
    assert "not there" in roots.why_away(str(root))
    assert "not there" in roots.listed()[0].away


def test_an_emptied_folder_is_connected_and_an_empty_mount_point_is_not(
    roots: Roots, root: Path, db: LibraryDb
) -> None:
    (root / "a.txt").unlink()
    assert roots.why_away(str(root)) == "", "the user has emptied it"
    was_on_another_device(db)
    assert "empty folder" in roots.why_away(str(root))
    assert "empty folder" in roots.why_away(str(root), named=True), "naming it does not bring the drive back"


def test_another_drive_in_its_place_counts_only_when_it_is_named(roots: Roots, root: Path, db: LibraryDb) -> None:
    (root / "a.txt").rename(root / "something else.txt")
    was_on_another_device(db)
    assert "another drive" in roots.why_away(str(root))
    assert roots.why_away(str(root), named=True) == ""


def test_a_drive_with_another_number_is_known_by_its_files(roots: Roots, root: Path, db: LibraryDb) -> None:
    was_on_another_device(db)
    assert roots.why_away(str(root)) == ""
    roots.add([str(root)])
    (root / "a.txt").unlink()
    assert roots.why_away(str(root)) == "", "the new number was remembered"


def test_a_file_system_below_a_root_may_be_away(roots: Roots, root: Path, db: LibraryDb) -> None:
    point = root / "mounted"
    with db.transaction() as connection:
        connection.execute("INSERT INTO mounts VALUES (?)", (str(point).encode(),))
    assert roots.away_below([str(root)]) == (str(point),), "gone with its folder"
    point.mkdir()
    assert roots.away_below([str(root)]) == (str(point),)
    assert roots.away_below(["/elsewhere"]) == ()
    roots.note_mounts([str(root)])
    assert roots.away_below([str(root)]) == (str(point),), "a look while it is away does not forget it"
    (point / "b.txt").write_text("put there by hand")
    assert roots.away_below([str(root)]) == ()
    roots.note_mounts([str(root)])
    (point / "b.txt").unlink()
    assert roots.away_below([str(root)]) == (), "it is no mount point any more"


def test_what_is_forgotten_inside_a_root_stays_out_until_it_is_named(roots: Roots, root: Path, db: LibraryDb) -> None:
    record(db, str(root / "sub" / "b.txt"), ["other words"])
    assert roots.forget(root / "sub") == 1
    assert roots.left_out() == {str(root / "sub")}
    roots.add([str(root)])
    assert roots.left_out() == {str(root / "sub")}
    roots.add([str(root / "sub")])
    assert roots.left_out() == frozenset()


def test_what_is_forgotten_with_its_root_leaves_nothing(roots: Roots, root: Path) -> None:
    roots.forget(root / "sub")
    roots.forget(root)
    assert (roots.paths(), roots.left_out()) == ((), frozenset())
    roots.forget(root / "sub")
    assert roots.left_out() == frozenset(), "it is in no root"


def test_network_file_systems_are_told_by_the_deepest_mount() -> None:
    mounted = (Mount("/", False), Mount("/net", True), Mount("/net/local", False))
    assert [is_on_network(path, mounted) for path in ("/home", "/net", "/net/x", "/netx", "/net/local/x")] == [
        False,
        True,
        True,
        False,
        False,
    ]
    assert is_below("/a/b", "/a")
    assert is_below("/a", "/a")
    assert is_below("/a", "/")
    assert not is_below("/ab", "/a")


def test_this_machine_has_a_file_system() -> None:
    assert mounts()


def test_a_move_keeps_the_row_and_what_is_inside(db: LibraryDb) -> None:
    record(db, "/old/a.txt", ["words of a"])
    record(db, "/new/a.txt", ["what was there"])
    before = db.query("SELECT document_id FROM documents WHERE path_text = '/old/a.txt'")
    Documents(db).move([("/old/a.txt", "/new/a.txt")])
    assert [row.path for row in list_documents(db)] == ["/new/a.txt"]
    assert db.query("SELECT document_id FROM documents") == before
    assert db.query("SELECT text FROM chunks") == [("words of a",)]
    assert db.query("SELECT rowid FROM document_names WHERE document_names MATCH 'new'") == before
    assert db.query("SELECT rowid FROM document_names WHERE document_names MATCH 'old'") == []
    assert Documents(db).read_files() == {("/new/a.txt", len("words of a"), 1)}
