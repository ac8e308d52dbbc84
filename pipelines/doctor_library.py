"""The doctor's checks of what homebody keeps: its folder, settings, weights and the library."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from models.errors import ModelError
from pipelines.checkup import Check, Subject
from pipelines.models_listing import installed_default
from rag.chroma_place import ChromaFolder
from rag.chroma_store import ChromaStore
from rag.errors import LibraryError
from rag.identity import stored_identity
from rag.library_db import LibraryDb
from rag.schema import MIGRATIONS
from rag.vectors import Vectors, count_vectors

LEAST_FREE_BYTES = 100 * 2**20
COMFORTABLE_FREE_BYTES = 2 * 2**30


def checks(subject: Subject) -> Iterator[Check]:
    yield check_folder(subject)
    yield check_space(subject)
    yield check_settings(subject)
    yield check_weights(subject, "chat")
    yield check_weights(subject, "embed")
    yield from check_library(subject)


def check_folder(subject: Subject) -> Check:
    """There, ours alone, and writable. Writes nothing to find out."""
    root = subject.paths.root
    try:
        state = root.stat()
    except FileNotFoundError:
        return Check("data folder", "ok", f"{root} does not exist yet; it is made when something is kept")
    except OSError as error:
        remedy = "set HOMEBODY_HOME to a folder that you may use"
        return Check("data folder", "fail", f"{root} cannot be looked at ({error.strerror})", remedy)
    if not stat.S_ISDIR(state.st_mode):
        return Check("data folder", "fail", f"{root} is not a folder", "set HOMEBODY_HOME to a folder")
    if not os.access(root, os.W_OK | os.X_OK):
        remedy = "make it yours, or set HOMEBODY_HOME elsewhere"
        return Check("data folder", "fail", f"{root} cannot be written to", remedy)
    if os.name == "posix" and state.st_mode & 0o077:
        mode = f"{stat.S_IMODE(state.st_mode):o}"
        return Check("data folder", "warn", f"{root} can be seen by others (mode {mode})", f"chmod 700 '{root}'")
    return Check("data folder", "ok", f"{root}, yours alone")


def check_space(subject: Subject) -> Check:
    folder = next(each for each in (subject.paths.root, *subject.paths.root.parents) if each.exists())
    free = shutil.disk_usage(folder).free
    detail = f"{free / 1e9:.1f} GB free at {folder}"
    if free < LEAST_FREE_BYTES:
        return Check("disk space", "fail", detail, "free some space: indexing and conversations need it")
    if free < COMFORTABLE_FREE_BYTES:
        return Check("disk space", "warn", detail, "free some space before pulling a model")
    return Check("disk space", "ok", detail)


def check_settings(subject: Subject) -> Check:
    file = subject.paths.settings_file
    if subject.settings_error is not None:
        message, hint = subject.settings_error
        return Check("settings", "fail", message, hint)
    return Check("settings", "ok", f"{file} is valid" if file.exists() else f"all defaults: there is no {file}")


def check_weights(subject: Subject, task: Literal["chat", "embed"]) -> Check:
    """The model that the task would use: installed, and its bytes those of the catalogue."""
    name = f"{task} weights"
    named = subject.settings.chat.model if task == "chat" else subject.settings.embed.model
    try:
        if task == "chat" and named and named not in subject.weights.catalog.ids:
            file = subject.weights.open_user_gguf(Path(named).expanduser())
            return Check(name, "ok", f"{file.path}, your own file")
        if named:
            model = subject.weights.require(named)
        else:
            entry = installed_default(subject.weights, subject.machine, task)
            if entry is None:
                return Check(name, "fail", f"no model for {task} is installed", f"homebody models pull --for {task}")
            model = subject.weights.require(entry.id)
    except ModelError as error:
        return Check(name, "fail", str(error), error.hint)
    return Check(name, "ok", f"{model.id}, {model.bytes_on_disk / 1e6:,.0f} MB, verified")


def check_library(subject: Subject) -> Iterator[Check]:
    file = subject.paths.library_file
    if not file.exists():
        yield Check("library", "ok", "empty: nothing was indexed yet")
        return
    try:
        with LibraryDb(file, read_only=True) as library:
            yield _check_whole(library)
            yield _check_embedder(subject, library)
            yield _check_vectors(subject, library)
    except LibraryError as error:
        yield Check("library", "fail", str(error), error.hint)
    except sqlite3.Error as error:
        # A file behind on migrations, opened read-only, may lack a table.
        yield Check(
            "library", "warn", f"{file} cannot be examined ({error})", "open homebody once: it brings it up to date"
        )


def _check_whole(library: LibraryDb) -> Check:
    version = int(library.query("PRAGMA user_version")[0][0])
    faults = [str(row[0]) for row in library.query("PRAGMA quick_check(5)")]
    if faults != ["ok"]:
        remedy = "keep a copy of it (it holds your conversations), move it away, and run `homebody index` again"
        return Check("library", "fail", f"{library.file} is damaged: {'; '.join(faults)}", remedy)
    (documents,) = library.query("SELECT count(*) FROM documents")[0]
    (chunks,) = library.query("SELECT count(*) FROM chunks")[0]
    behind = "" if version == len(MIGRATIONS) else f"; schema {version} of {len(MIGRATIONS)}, brought up on next use"
    return Check("library", "ok", f"{documents:,} documents, {chunks:,} passages, whole{behind}")


def _check_embedder(subject: Subject, library: LibraryDb) -> Check:
    name = "library embedder"
    built_by = stored_identity(library)
    if built_by is None:
        return Check(name, "ok", "no vectors yet")
    wanted = subject.settings.embed.model
    if not wanted:
        default = installed_default(subject.weights, subject.machine, "embed")
        wanted = default.id if default is not None else ""
    if not wanted:
        remedy = f"homebody models pull {built_by.model_id}"
        return Check(name, "fail", f"built by {built_by.model_id}, which is not installed", remedy)
    if wanted != built_by.model_id:
        remedy = f'homebody index --reembed, or set embed.model = "{built_by.model_id}"'
        return Check(name, "fail", f"built by {built_by.model_id}, and {wanted} would be used", remedy)
    if wanted in subject.weights.catalog.ids:
        expected = subject.weights.catalog.entry(wanted).files[0].sha256
        if expected is not None and expected != built_by.sha256:
            return Check(name, "fail", f"built by another version of {wanted}", "homebody index --reembed")
    return Check(name, "ok", f"{built_by.model_id}, the one that is used")


def _check_vectors(subject: Subject, library: LibraryDb) -> Check:
    chroma = ChromaStore(library, ChromaFolder(subject.paths.chroma_dir))
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
        return Check("vectors", "warn", detail, "homebody index")
    return Check("vectors", "ok", detail)
