"""The doctor's checks of what homebody keeps: its folder, its settings and its weights."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from models.errors import ModelError
from models.user_files import FileHashes
from models.user_gguf import mmproj_beside
from models.weights import InstalledModel
from pipelines.checkup import Check, Subject
from pipelines.embedder_sources import EmbedderSources, embedder_id, is_path
from pipelines.models_listing import installed_default

LEAST_FREE_BYTES = 100 * 2**20
COMFORTABLE_FREE_BYTES = 2 * 2**30
_DONE_WITHOUT: Mapping[str, str] = MappingProxyType(
    {
        "rerank": "the best hits are not read once more",
        "clip": "pictures are found by their words and labels",
        "speech": "recordings are not heard, and nothing can be dictated",
        "vision": "questions about pictures are answered from the text and the labels found on them",
    }
)
"""Tasks that no model need be there for, and what is so without one."""


def checks(subject: Subject) -> Iterator[Check]:
    yield check_folder(subject)
    yield check_space(subject)
    yield check_settings(subject)
    yield check_weights(subject, "chat")
    yield check_weights(subject, "embed")
    yield check_weights(subject, "rerank")
    yield check_clip(subject)
    yield check_weights(subject, "speech")
    yield check_vision(subject)


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
        detail = f"{root} can be seen by others (mode {mode})"
        return Check("data folder", "warn", detail, f"chmod 700 '{root}'", "permissions")
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


def check_weights(subject: Subject, task: Literal["chat", "embed", "rerank", "speech"]) -> Check:
    """The model that the task would use: installed, and its bytes those of the catalogue."""
    name, settings = f"{task} weights", subject.settings
    named = {"chat": settings.chat.model, "embed": settings.embed.model, "speech": settings.speech.model}.get(task, "")
    try:
        if task == "embed" and named and is_path(named):
            hashes = FileHashes(subject.paths.cache_dir / "hashes.json")
            source = EmbedderSources(subject.weights, hashes).open(embedder_id(named))
            return Check(name, "ok", f"{source.model_id}, your own files")
        if task == "chat" and named and named not in subject.weights.catalog.ids:
            file = subject.weights.open_user_gguf(Path(named).expanduser())
            return Check(name, "ok", f"{file.path}, your own file")
        if named:
            model = subject.weights.require(named)
        else:
            entry = installed_default(subject.weights, subject.machine, task)
            if entry is None and task in _DONE_WITHOUT:
                return _none_installed(task)
            if entry is None:
                return Check(name, "fail", f"no model for {task} is installed", f"homebody models pull --for {task}")
            model = subject.weights.require(entry.id)
    except ModelError as error:
        return Check(name, "fail", str(error), error.hint)
    return _verified(name, model)


def check_vision(subject: Subject) -> Check:
    """What would be shown pictures: the model that the settings name for it, the chat model where it sees, or an
    installed one; of the user's own files, whether the mmproj file belongs to the model."""
    name, settings = "vision weights", subject.settings.chat
    try:
        for named, is_for_pictures in ((settings.vision_model, True), (settings.model, False)):
            if named and named not in subject.weights.catalog.ids:
                own = subject.weights.open_user_gguf(Path(named).expanduser())
                if (mmproj := mmproj_beside(own.header)) is not None:
                    return Check(name, "ok", f"{own.path} with {mmproj.name}, your own files")
            elif named and "vision" in subject.weights.catalog.entry(named).tasks:
                return _verified(name, subject.weights.require(named))
            if named and is_for_pictures:
                remedy = "name a model that reads pictures: homebody models list --for vision"
                return Check(name, "fail", f"{named} reads text only, and chat.vision_model names it", remedy)
        entry = installed_default(subject.weights, subject.machine, "vision")
        return _verified(name, subject.weights.require(entry.id)) if entry is not None else _none_installed("vision")
    except ModelError as error:
        return Check(name, "fail", str(error), error.hint)


def _verified(name: str, model: InstalledModel) -> Check:
    return Check(name, "ok", f"{model.id}, {model.bytes_on_disk / 1e6:,.0f} MB, verified")


def _none_installed(task: str) -> Check:
    return Check(f"{task} weights", "ok", f"none: {_DONE_WITHOUT[task]} (homebody models pull --for {task})")


def check_clip(subject: Subject) -> Check:
    """The CLIP that pictures would be found with: there, and what its copy in 8 bits keeps of it."""
    from models.clip_files import find_clip

    name, named = "clip weights", subject.settings.clip.model
    if subject.settings.clip.backend == "torch":
        return _check_clip_for_torch(name, named)
    try:
        if named and is_path(named):
            folder = Path(named).expanduser()
            model_id, told = str(folder), "your own files"
        else:
            entry = installed_default(subject.weights, subject.machine, "clip")
            if not named and entry is None:
                return _none_installed("clip")
            model = subject.weights.require(named or (entry.id if entry is not None else ""))
            folder, model_id, told = model.folder, model.id, "verified"
        files = find_clip(folder)
    except ModelError as error:
        return Check(name, "fail", str(error), error.hint)
    detail = f"{model_id}, {files.bytes / 1e6:,.0f} MB, {told}"
    if files.quantized is not None:
        detail += f"; quantized here, cosine with the float model {files.quantized.least_cosine:.4f} at worst"
    return Check(name, "ok", detail)


def _check_clip_for_torch(name: str, named: str) -> Check:
    from models.export_clip import check_installed, local_files, parse_source

    try:
        check_installed()
        bytes_on_disk = sum(file.stat().st_size for file in local_files(parse_source(named)))
    except ModelError as error:
        return Check(name, "fail", str(error), error.hint)
    return Check(name, "ok", f"{named}, {bytes_on_disk / 1e6:,.0f} MB, through PyTorch")
