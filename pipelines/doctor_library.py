"""The doctor's checks of the library: its file, its indexes, its embedder, and chromadb's copy of its vectors.

Whether indexes agree with the texts and chromadb with the vectors can only be asked by who may write; while another
homebody holds the library that is said instead.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from itertools import islice

from models.user_files import FileHashes
from pipelines.checkup import Check, Subject
from pipelines.chroma_child import CHROMA_CHILD_COMMAND
from pipelines.embedder_sources import EmbedderSources, embedder_id
from pipelines.models_listing import installed_default
from pipelines.vector_store import chroma_place
from rag.chroma_place import ChromaFolder
from rag.chroma_store import ChromaStore
from rag.embedder_change import change_under_way, next_identity
from rag.errors import ChromaUnreachable, LibraryDamaged, LibraryError
from rag.identity import stored_identity
from rag.library_db import LibraryDb
from rag.library_health import broken_pages, broken_word_indexes, orphans, vanished_files
from rag.vectors import Vectors, count_vectors
from rag.writer_lock import WriterLock

VANISHED_NAMED = 3
REPLACING = "homebody doctor --fix keeps the file, carries your conversations over and reads your files anew"


def checks(subject: Subject) -> Iterator[Check]:
    file = subject.paths.library_file
    if not file.exists():
        yield Check("library", "ok", "empty: nothing was indexed yet")
        return
    try:
        with LibraryDb(file, read_only=True) as library:
            whole = _check_whole(library)
            yield whole
            if whole.status != "ok":
                return  # whatever else is asked of broken pages may be wrong
            if library.behind:
                yield Check("library version", "warn", f"{file} is an older homebody's", "open homebody once")
                return
            yield _check_records(library)
            yield _check_files(library)
            yield _check_embedder(subject, library)
            yield _check_vectors(subject, library)
            yield from _check_what_is_derived(subject, library)
    except LibraryDamaged as error:
        yield Check("library", "fail", str(error), REPLACING, "replace file")
    except LibraryError as error:
        yield Check("library", "fail", str(error), error.hint)
    except sqlite3.Error as error:
        yield Check("library", "warn", f"{file} cannot be examined ({error})", "open homebody once and look again")


def _check_whole(library: LibraryDb) -> Check:
    faults = broken_pages(library)
    if faults:
        return Check("library", "fail", f"{library.file} is damaged: {'; '.join(faults)}", REPLACING, "replace file")
    (documents,) = library.query("SELECT count(*) FROM documents")[0]
    (chunks,) = library.query("SELECT count(*) FROM chunks")[0]
    return Check("library", "ok", f"{documents:,} documents, {chunks:,} passages, whole")


def _check_records(library: LibraryDb) -> Check:
    found = orphans(library)
    if not found:
        return Check("library records", "ok", "everything belongs to something")
    listed = ", ".join(f"{count:,} {name}" for name, count in found.items())
    return Check("library records", "fail", listed, "homebody doctor --fix removes them", "orphans")


def _check_files(library: LibraryDb) -> Check:
    vanished = vanished_files(library)
    named = list(islice(vanished, VANISHED_NAMED))
    if not named:
        return Check("library files", "ok", "every file is where it was")
    more = sum(1 for _ in vanished)
    detail = f"no longer there: {', '.join(named)}" + (f" and {more:,} more" if more else "")
    return Check("library files", "warn", detail, "homebody doctor --fix, or the next indexing, follows", "index")


def _check_embedder(subject: Subject, library: LibraryDb) -> Check:
    name = "library embedder"
    built_by = stored_identity(library)
    if built_by is None:
        return Check(name, "ok", "no vectors yet")
    coming = next_identity(library)
    if coming is not None and coming.model_id != built_by.model_id:
        change = change_under_way(library)
        so_far = f" ({change.embedded:,} of {change.passages:,} so far)" if change is not None else ""
        detail = f"built by {built_by.model_id}; vectors of {coming.model_id} are being made{so_far} and will take over"
        return Check(name, "warn", detail, "homebody index", "index")
    named = embedder_id(subject.settings.embed.model)
    if named not in ("", built_by.model_id):
        remedy = f'homebody index, or set embed.model = "{built_by.model_id}"'
        return Check(name, "fail", f"built by {built_by.model_id}, and {named} is chosen", remedy, "index")
    sources = EmbedderSources(subject.weights, FileHashes(subject.paths.cache_dir / "hashes.json"))
    if not sources.is_here(built_by.model_id):
        known = built_by.model_id in subject.weights.catalog.ids
        another = installed_default(subject.weights, subject.machine, "embed") is not None
        ways = [f"homebody models pull {built_by.model_id}"] * known + ["homebody index --reembed"] * another
        detail = f"built by {built_by.model_id}, which is not installed: only words are compared"
        return Check(name, "fail", detail, " or ".join(ways) or "homebody models pull --for embed")
    if built_by.model_id in subject.weights.catalog.ids:
        expected = subject.weights.catalog.entry(built_by.model_id).files[0].sha256
        if expected is not None and expected != built_by.sha256:
            detail = f"built by another version of {built_by.model_id}"
            return Check(name, "fail", detail, "homebody index --reembed")
    return Check(name, "ok", f"{built_by.model_id}, the one that is used")


def _check_vectors(subject: Subject, library: LibraryDb) -> Check:
    chroma = ChromaStore(library, chroma_place(subject.paths, subject.settings))
    vectors = Vectors(library, chroma, exact_up_to=subject.settings.library.exact_search_up_to_chunks)
    try:
        (chunks,) = library.query("SELECT count(*) FROM chunks")[0]
        waiting = int(chunks) - count_vectors(library)
        (pending,) = library.query("SELECT count(*) FROM chroma_pending")[0]
        detail = vectors.describe()
    finally:
        vectors.close()
    detail += f"; chromadb has {pending:,} changes to come" if pending else "; chromadb knows every change"
    if waiting:
        detail += f"; {waiting:,} passages are not embedded yet and are found by words"
        return Check("vectors", "warn", detail, "homebody index", "index")
    return Check("vectors", "ok", detail)


def _check_what_is_derived(subject: Subject, library: LibraryDb) -> Iterator[Check]:
    """The indexes of words, and chromadb's copy."""
    lock = WriterLock(subject.paths.lock_file)
    if not lock.acquire():
        detail = f"not compared with the texts: {lock.holder()} has the library open"
        yield Check("word indexes", "ok", detail)
        return
    try:
        broken = broken_word_indexes(library.file)
        if broken:
            detail = f"{', '.join(broken)}: not in step with the texts"
            yield Check("word indexes", "fail", detail, "homebody doctor --fix makes them anew", "word indexes")
        else:
            yield Check("word indexes", "ok", "in step with the texts")
        yield _check_chroma(subject, library)
    finally:
        lock.release()


def _check_chroma(subject: Subject, library: LibraryDb) -> Check:
    place = chroma_place(subject.paths, subject.settings)
    if isinstance(place, ChromaFolder) and not place.path.exists():
        return Check("chromadb", "ok", "not made yet: it is, when the library is large enough to need it")
    store = ChromaStore(library, place, child_command=CHROMA_CHILD_COMMAND)
    try:
        damage = store.check(threading.Event())
    except ChromaUnreachable as error:
        return Check("chromadb", "warn", str(error), error.hint)
    finally:
        store.close()
    if damage:
        detail = f"{place}: {damage}; every vector is compared meanwhile"
        return Check("chromadb", "fail", detail, "homebody doctor --fix builds it anew, without embedding", "chroma")
    return Check("chromadb", "ok", f"{place} agrees with the library file")
