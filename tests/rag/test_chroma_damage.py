"""What can happen to chromadb's folder: all of it is noticed, and repaired from SQLite without an embedder."""

from __future__ import annotations

import random
import shutil
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rag.chroma_place import ChromaFolder
from rag.chroma_store import ChromaStore
from rag.library_db import LibraryDb
from rag.vectors import ExactVectors
from tests.fakes import CountableEmbedder
from tests.rag.stored_library import embed_all, record

RECORDS = 1200
"""chromadb writes its HNSW files every 1,000 records; with fewer there is nothing to damage."""


class RandomEmbedder(CountableEmbedder):
    """Vectors in all directions, the same for the same text."""

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = np.array(
            [np.random.default_rng(zlib.crc32(text.encode())).normal(size=self.dimension) for text in texts]
        )
        unit: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        return unit


@dataclass(frozen=True)
class Sound:
    """A library and a sound folder of chromadb, to be copied."""

    db: LibraryDb
    folder: Path


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sound]:
    folder = tmp_path_factory.mktemp("large")
    with LibraryDb(folder / "library.sqlite") as db:
        record(db, "/a.txt", [f"passage {n}" for n in range(RECORDS)])
        embed_all(db, RandomEmbedder(dimension=16))
        for _ in ChromaStore(db, ChromaFolder(folder / "chroma")).bring_in_step(threading.Event()):
            pass
        yield Sound(db, folder / "chroma")


def copied(sound: Sound, to: Path) -> Path:
    folder = to / "chroma"
    shutil.copytree(sound.folder, folder)
    shutil.copy(sound.folder.with_name("chroma.sums.json"), to)
    return folder


def cut(file: Path, *, keep: float = 0.5) -> None:
    with file.open("r+b") as stream:
        stream.truncate(int(file.stat().st_size * keep))


def cut_last_byte(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.truncate(file.stat().st_size - 1)


def garble(file: Path, *, most_bytes: int = 4096) -> None:
    content = bytearray(file.read_bytes())
    start = len(content) // 2
    length = min(most_bytes, len(content) - start)
    content[start : start + length] = random.Random(1).randbytes(length)
    file.write_bytes(content)


def fill_with_zeros(file: Path) -> None:
    file.write_bytes(bytes(file.stat().st_size))


DAMAGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "vectors cut in half": ("*/data_level0.bin", cut),
    "vectors without their last byte": ("*/data_level0.bin", cut_last_byte),
    "vectors overwritten in the middle": ("*/data_level0.bin", garble),
    "vectors missing": ("*/data_level0.bin", Path.unlink),
    "graph cut in half": ("*/link_lists.bin", cut),
    "graph overwritten": ("*/link_lists.bin", garble),
    "graph zeroed": ("*/link_lists.bin", fill_with_zeros),
    "lengths cut in half": ("*/length.bin", cut),
    "header overwritten": ("*/header.bin", garble),
    "labels cut in half": ("*/index_metadata.pickle", cut),
    "labels missing": ("*/index_metadata.pickle", Path.unlink),
    "everything missing": ("..", lambda folder: shutil.rmtree(folder / "chroma")),
    "segment missing": ("*-*-*", shutil.rmtree),
    "database cut in half": ("chroma.sqlite3", partial(cut, keep=0.5)),
    "database overwritten": ("chroma.sqlite3", partial(garble, most_bytes=65_536)),  # some pages hold nothing
    "database missing": ("chroma.sqlite3", Path.unlink),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_noticed_and_repaired_from_sqlite(sound: Sound, tmp_path: Path, name: str) -> None:
    folder = copied(sound, tmp_path)
    pattern, damage = DAMAGES[name]
    (target,) = [folder.parent] if pattern == ".." else folder.glob(pattern)
    damage(target)
    store = ChromaStore(sound.db, ChromaFolder(folder))
    told = [progress.done for progress in store.bring_in_step(threading.Event())]
    assert told[-1:] == [RECORDS], "noticed, and told anew: every vector comes from SQLite"
    assert folder.with_name("chroma.damaged").exists() or pattern == "..", "what was there is kept"
    store.open_in_background()
    assert store.wait_until_opened(60)
    exact = ExactVectors(sound.db)
    for number in (3, 400, 1100):
        query = RandomEmbedder(dimension=16).embed_query(f"passage {number}")
        found = store.query(query, 1)
        assert found is not None
        assert found[0][0] == exact.search(query, limit=1)[0].chunk_id
    store.close()


def test_a_sound_folder_is_left_alone_however_often_it_was_asked(sound: Sound, tmp_path: Path) -> None:
    folder = copied(sound, tmp_path)
    for _ in range(2):
        store = ChromaStore(sound.db, ChromaFolder(folder))
        store.open_in_background()
        assert store.wait_until_opened(60)
        for number in range(20):
            assert store.query(RandomEmbedder(dimension=16).embed_query(f"passage {number}"), 5)
        store.close()
    assert not folder.with_name("chroma.damaged").exists()


def test_a_folder_that_breaks_while_it_is_open_answers_no_more_and_is_checked_again(
    sound: Sound, tmp_path: Path
) -> None:
    folder = copied(sound, tmp_path)
    store = ChromaStore(sound.db, ChromaFolder(folder))
    store.open_in_background()
    assert store.wait_until_opened(60)
    (folder / "chroma.sqlite3").write_bytes(b"not a database any more")
    query = RandomEmbedder(dimension=16).embed_query("passage 7")
    if store.query(query, 1) is None:
        assert "being checked" in store.why_not_ready
    store.close()
    again = ChromaStore(sound.db, ChromaFolder(folder))
    assert [progress.done for progress in again.bring_in_step(threading.Event())][-1] == RECORDS
