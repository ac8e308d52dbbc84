"""The process that opens chromadb's collection first: compares it with SQLite, then tells it what is pending.

Run by `chroma_store.py` as `python -m rag.chroma_child LIBRARY_FILE PLACE`, where the place is a folder or a Chroma
server's URL. It speaks JSON lines on standard output: {"damaged": why}, {"unreachable": why}, {"done": n, "total": m}
after each batch (and then waits for a line on standard input: its parent sets the pace), {"finished": true} at the
end. A crash says the rest. With a third argument, `check`, it only compares.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from rag.chroma_files import changed_file, forget_sums, keep_sums
from rag.chroma_place import (
    ChromaFolder,
    ChromaPlace,
    close_client,
    collection_prefix,
    make_library_id,
    open_collection,
    place_named,
)
from rag.errors import ChromaUnreachable
from rag.identity import stored_identity
from rag.library_db import LibraryDb

if TYPE_CHECKING:
    from chromadb.api.client import Client
    from chromadb.api.models.Collection import Collection

BATCH_RECORDS = 500
ORPHAN_TIMEOUT_S = 120.0
COMPARED_AT_ONCE = 4096
SAMPLED_QUERIES = 16
NEIGHBOURS = 10
ENOUGH_THEMSELVES = 0.9
"""Share of stored vectors that must find themselves first; a whole index finds all, even of random vectors."""
ENOUGH_NEIGHBOURS = 0.3
"""Share of the exact nearest that HNSW must find: 1.0 for texts, but only 0.7 for 20,000 random vectors."""
ROUNDING = 2e-3
"""float16 keeps unit vectors' components to 5e-4; chromadb normalises once more."""


def find_damage(db: LibraryDb, collection: Collection) -> str:
    """What does not agree with SQLite, in a few words; empty when all does.

    Compares the ids and every vector, then asks for the neighbours of some: the first notices lost and garbled
    records, the second a broken graph.
    """
    with db.snapshot():  # indexing may go on meanwhile
        pending = dict(db.query("SELECT chunk_id, operation FROM chroma_pending"))
        stored = db.query("SELECT chunk_id, vector FROM vectors ORDER BY chunk_id")
    certain = [row for row in stored if row[0] not in pending]
    there = {int(each) for each in collection.get(include=[])["ids"]}
    if missing := sum(row[0] not in there for row in certain):
        return f"{missing} of {len(certain)} vectors are missing"
    if strangers := len(there - {row[0] for row in stored} - set(pending)):
        return f"{strangers} vectors are not the library's"
    if collection.count() != len(there):
        return f"it counts {collection.count()} vectors and lists {len(there)}"
    if not certain:
        return ""
    ids = [row[0] for row in certain]
    exact: NDArray[np.float32] = (
        np.frombuffer(b"".join(row[1] for row in certain), "<f2").reshape(len(certain), -1).astype(np.float32)
    )
    return _garbled(collection, ids, exact) or _lost_neighbours(collection, ids, exact, there)


def _garbled(collection: Collection, ids: Sequence[int], exact: NDArray[np.float32]) -> str:
    for start in range(0, len(ids), COMPARED_AT_ONCE):
        some = [str(each) for each in ids[start : start + COMPARED_AT_ONCE]]
        got = collection.get(ids=some, include=["embeddings"])
        row_of = {each: row for row, each in enumerate(got["ids"])}
        embeddings = got["embeddings"]
        if embeddings is None or any(each not in row_of for each in some):
            return "some vectors cannot be read"
        held = np.asarray(embeddings, np.float32)[[row_of[each] for each in some]]
        differences = np.abs(held - exact[start : start + len(some)]).max(axis=1)
        if garbled := int((~(differences < ROUNDING)).sum()):  # so that NaN counts as garbled
            return f"{garbled} vectors are not what the library has"
    return ""


def _lost_neighbours(collection: Collection, ids: Sequence[int], exact: NDArray[np.float32], there: set[int]) -> str:
    row_of = {each: row for row, each in enumerate(ids)}
    sampled = random.SystemRandom().sample(range(len(ids)), min(SAMPLED_QUERIES, len(ids)))
    wanted = min(NEIGHBOURS, len(there))
    answer = collection.query(query_embeddings=exact[sampled], n_results=wanted, include=["distances"])
    shares: list[float] = []
    themselves = 0
    for sample, found in zip(sampled, answer["ids"], strict=True):
        if len(found) < wanted:
            return f"a search for {wanted} neighbours finds {len(found)}"
        cosines = exact @ exact[sample]
        first = row_of.get(int(found[0]))
        themselves += first is None or cosines[first] >= 1 - ROUNDING
        nearest = min(NEIGHBOURS, len(ids))
        bar = np.partition(cosines, -nearest)[-nearest] - ROUNDING
        near = sum(int(each) not in row_of or cosines[row_of[int(each)]] >= bar for each in found)
        shares.append(min(near, nearest) / nearest)
    if themselves < ENOUGH_THEMSELVES * len(sampled):
        return f"{themselves} of {len(sampled)} stored vectors find themselves"
    share = sum(shares) / len(shares)
    return f"a search finds {share:.0%} of the nearest vectors" if share < ENOUGH_NEIGHBOURS else ""


def tell_pending(db: LibraryDb, client: Client, collection: Collection, said: TextIO, heard: TextIO) -> bool:
    """Carry out what is pending, batch by batch; each is forgotten once chromadb has it. Returns whether all was told.

    Killed between the two it is told again, which changes nothing.
    """
    ((total,),) = db.query("SELECT count(*) FROM chroma_pending")
    batch_size = min(BATCH_RECORDS, client.get_max_batch_size())
    done = 0
    while done < total:
        batch = db.query(
            "SELECT chunk_id, operation, vector FROM chroma_pending LEFT JOIN vectors USING (chunk_id)"
            " ORDER BY chunk_id LIMIT ?",
            (batch_size,),
        )
        if not batch:
            break
        added = [(str(chunk_id), vector) for chunk_id, operation, vector in batch if operation == "add" and vector]
        removed = [str(chunk_id) for chunk_id, operation, _ in batch if operation == "remove"]
        if added:
            matrix = np.frombuffer(b"".join(vector for _, vector in added), "<f2").reshape(len(added), -1)
            collection.upsert(ids=[chunk_id for chunk_id, _ in added], embeddings=matrix.astype(np.float32))
        if removed:
            collection.delete(ids=removed)
        with db.transaction() as connection:
            # An id is never used again, so 'add' can only have become 'remove' meanwhile: that one stays.
            connection.executemany(
                "DELETE FROM chroma_pending WHERE chunk_id = ? AND operation = ?", [row[:2] for row in batch]
            )
        done += len(batch)
        _say(said, {"done": min(done, total), "total": total})
        if not heard.readline():  # the parent has gone, or had enough
            return False
    return True


def _say(said: TextIO, message: dict[str, object]) -> None:
    said.write(json.dumps(message) + "\n")
    said.flush()


def main(arguments: Sequence[str]) -> int:
    library_file, place = Path(arguments[0]), place_named(arguments[1])
    # What chromadb prints must not be taken for ours.
    said, sys.stdout = sys.stdout, sys.stderr
    # A child whose parent was killed ends at its next word; until then nobody else may have the collection.
    lock = FileLock(library_file.with_name("chroma.lock"), timeout=ORPHAN_TIMEOUT_S)
    only_check = arguments[2:] == ["check"]
    with lock, LibraryDb(library_file, read_only=only_check) as db:
        nothing_there = only_check and isinstance(place, ChromaFolder) and not place.path.exists()
        if stored_identity(db) is None or nothing_there:
            _say(said, {"finished": True})
            return 0
        try:
            damage = _compare(db, place, said) if only_check else _bring_in_step(db, place, said)
        except ChromaUnreachable as error:
            _say(said, {"unreachable": str(error)})
            return 1
        if damage:
            _say(said, {"damaged": damage})
            return 1
    return 0


def _bring_in_step(db: LibraryDb, place: ChromaPlace, said: TextIO) -> str:
    """Returns what is damaged; empty when all was well and what was pending has been told."""
    if isinstance(place, ChromaFolder):
        if damage := changed_file(place.path):
            return damage
        forget_sums(place.path)
    make_library_id(db)
    identity = stored_identity(db)
    assert identity is not None
    client, collection = open_collection(db, place, identity)
    prefix = collection_prefix(db, place)
    for other in client.list_collections():  # another embedder's: its vectors are gone from SQLite
        if other.name != collection.name and other.name.startswith(prefix):
            client.delete_collection(other.name)
    if damage := find_damage(db, collection):
        return damage
    complete = tell_pending(db, client, collection, said, sys.stdin)
    if complete and collection.count():
        # Asking is what makes chromadb write its HNSW files; from here on nobody changes them.
        collection.query(query_embeddings=np.ones((1, identity.dimension), np.float32), n_results=1, include=[])
    close_client(place, client)
    if isinstance(place, ChromaFolder) and complete:
        keep_sums(place.path)
    if complete:
        _say(said, {"finished": True})
    return ""


def _compare(db: LibraryDb, place: ChromaPlace, said: TextIO) -> str:
    """Returns what is damaged. What is pending stays so."""
    if isinstance(place, ChromaFolder) and (damage := changed_file(place.path)):
        return damage
    identity = stored_identity(db)
    assert identity is not None
    client, collection = open_collection(db, place, identity)
    damage = find_damage(db, collection)
    close_client(place, client)
    if damage:
        return damage
    if isinstance(place, ChromaFolder):
        keep_sums(place.path)  # being opened may have made chromadb write what it had only logged
    _say(said, {"finished": True})
    return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
