from __future__ import annotations

from pathlib import Path

from rag.embed_first import embed_first
from rag.library_db import LibraryDb
from tests.fakes import CountableEmbedder
from tests.rag.stored_library import embed_all, record


def content_id(db: LibraryDb, path: str) -> int:
    ((found,),) = db.query("SELECT content_id FROM documents WHERE path_text = ?", (path,))
    return int(found)


def test_what_was_found_comes_first_and_then_its_folder(tmp_path: Path) -> None:
    with LibraryDb(tmp_path / "library.sqlite") as db:
        record(db, "/notes/done.txt", ["embedded already"])
        embed_all(db, CountableEmbedder())
        for path in ("/notes/a.txt", "/notes/deep/b.txt", "/other/c.txt", "/notes-2/d.txt", "/notes/e.txt"):
            record(db, path, [f"text of {path}"])
        ids = {path: content_id(db, path) for path in ("/notes/done.txt", "/notes/e.txt", "/other/c.txt")}
        first = embed_first(db, [ids["/notes/done.txt"], ids["/notes/e.txt"]])
        assert first[0] == ids["/notes/e.txt"]
        assert set(first) == {content_id(db, f"/notes/{name}") for name in ("a.txt", "deep/b.txt", "e.txt")}
        assert embed_first(db, []) == []
        embed_all(db, CountableEmbedder())
        assert embed_first(db, [ids["/other/c.txt"]]) == [], "nothing waits"
