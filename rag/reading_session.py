"""One file being read in the worker process: its text, then the files inside it, depth first, each as a file.

Everything is told in frames, in this order for each file (`rag.reading` follows them):

    member {place, path, …}   a file inside is looked at (not for the outermost one)
    begin  {sha256, reader}   its bytes are known; the answer says what is wanted of it: text, members, nothing
    through 0.37              so much of the outermost file was gone through: between its texts, or files inside it
    blocks […]                some of its text, any number of times
    drawing {…}, its pixels   what stands in the place of text; any answer says that it was looked at
    recording                 its text is what is heard in it; any answer says that it was listened to
    text   {title, …}         that was its text; its files follow
    end                       or `failed` from anywhere after `member`: this file is over, its outer one goes on

and for the outermost file `done`, `changed` (it changed while it was read) or `error` in place of `end`.

Sizes that a file claims are never believed: what comes out of files inside is counted while it is read, in bytes
and in text, against one budget for the outermost file. Knows nothing of processes and of any format.
"""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any, Literal

from rag.error_frames import error_to_json
from rag.errors import DamagedFile, EmptyFile, ReadError, TooLarge
from rag.member_budget import Budget, Exhausted, open_member
from rag.member_opening import open_anywhere
from rag.member_paths import REST, MemberPaths, is_junk
from rag.path_text import path_text
from rag.readers.clean_text import clean_title
from rag.readers.contract import (
    CONTAINER_READERS,
    Member,
    OpenedFile,
    Reader,
    Reading,
    ReadLimits,
    check_file_size,
    has_changed,
    sha256_of,
)
from rag.records import Block

FRAME_CHARS = 200_000
"""Blocks are sent together until they have this many characters."""
TELL_SHARE = 0.002
"""Of a large file, until how far it is is told again."""

Frame = dict[str, Any]
Wanted = Literal["text", "members", "nothing"]
"""Of a file: everything; only the files inside it, since its own text is known; nothing at all."""

ChooseReader = Callable[[OpenedFile], tuple[Reader, str]]
RefuseName = Callable[[str], None]
"""Raises UnsupportedFile for a name that tells enough: such a file is not even opened."""


class ReadingSession:
    """Reads one outermost file after the other. `ask` tells a frame and waits for the answer to it."""

    def __init__(
        self,
        limits: ReadLimits,
        choose_reader: ChooseReader,
        refuse_name: RefuseName,
        tell: Callable[[Frame], None],
        ask: Callable[[Frame], Wanted],
    ) -> None:
        self._limits = limits
        self._choose_reader = choose_reader
        self._refuse_name = refuse_name
        self._tell = tell
        self._ask = ask
        self._budget = Budget("", 0, 0, 0)
        self._told_share = 0.0

    def read(self, path: str, *, with_members: bool, resume: Sequence[int] = ()) -> None:
        """Read a file and, `with_members`, the files inside it. Whatever a parser throws ends as a frame.

        `resume` is the place of the file inside at which an earlier process was lost: its text and what comes
        before that place are passed over, and so is the file at that place.
        """
        try:
            self._read(path, with_members, tuple(resume))
        except ReadError as error:
            self._tell({"error": error_to_json(error)})
        except Exception as error:
            self._tell({"error": error_to_json(self._as_read_error(error, _name(path)))})

    def _read(self, path: str, with_members: bool, resume: tuple[int, ...]) -> None:
        with open_anywhere(path, self._limits, self._choose_reader) as (file, on_disk):
            _, version = self._choose_reader(file)
            if version.partition("/")[0] not in CONTAINER_READERS:
                check_file_size(file, self._limits)
            self._budget = Budget.of(on_disk, self._limits)
            self._told_share = 0.0
            failure: Exception | None = None
            try:
                self._document(file, (), resume, with_members)
            except Exception as error:
                failure = error
            if has_changed(on_disk):
                self._tell({"changed": True})  # whatever came of it: these are not one file's bytes
                return
            if failure is not None:
                raise failure
        self._tell({"done": True})

    def _document(self, file: OpenedFile, place: tuple[int, ...], resume: tuple[int, ...], with_members: bool) -> bool:
        """Whether anything was wanted of it."""
        sha256 = b""
        if not resume:
            file, sha256 = self._measured(file)
        reader, version = self._choose_reader(file)
        wanted: Wanted = "members"
        if not resume:
            begin = {
                "sha256": sha256.hex(),
                "reader": version,
                "size_bytes": file.size_bytes,
                "mtime_ns": file.mtime_ns,
            }
            wanted = self._ask({"begin": begin})
            if wanted == "nothing":
                return False
        reading = reader(file, self._limits)
        if reading.is_to_be_heard and wanted == "text":
            self._ask({"recording": True})
        self._send_text(file, reading, inside=bool(place), silent=wanted == "members")
        members = self._members(reading) if with_members else iter(())
        first = next(members, None)
        if not resume:
            self._tell(
                {
                    "text": {
                        "title": clean_title(reading.title) or clean_title(file.name),
                        "author": clean_title(reading.author),
                        "kind": reading.kind,
                        "written_at_s": reading.written_at_s,
                        "notes": reading.notes,
                        "has_members": first is not None,
                    }
                }
            )
        if first is not None:
            self._visit(file, reading, first, members, place, resume)
        return True

    def _measured(self, file: OpenedFile) -> tuple[OpenedFile, bytes]:
        """The file with the size it really has (one inside another may claim any), and its hash."""
        sha256 = sha256_of(file.stream)
        size_bytes = file.stream.tell()
        if not size_bytes:
            raise EmptyFile(f"{file.name} is empty", hint="there is nothing in it to find")
        file.stream.seek(0)
        return replace(file, size_bytes=size_bytes), sha256

    def _send_text(self, file: OpenedFile, reading: Reading, *, inside: bool, silent: bool) -> None:
        held: list[list[Any]] = []
        held_chars = total_chars = 0
        for block in reading.blocks:
            if block.drawing is not None:
                if not silent:
                    if held:
                        self._tell({"blocks": held})
                        held, held_chars = [], 0
                    # Asked, not told: one drawing at a time lies in memory, on either side.
                    self._ask({"drawing": block.drawing.header(), "payload": block.drawing.rgb})
                    self._tell_through(reading, inside=inside)
                continue
            total_chars += len(block.text)
            if total_chars > self._limits.max_text_chars:
                raise TooLarge(
                    f"{file.name} holds more than {self._limits.max_text_chars:,} characters of text",
                    hint="split it, or raise library.max_file_mb in the settings",
                )
            if inside:
                self._budget.spend_bytes(len(block.text))
            if silent:
                continue
            held.append(block_to_json(block))
            held_chars += len(block.text)
            if held_chars > FRAME_CHARS:
                self._tell({"blocks": held})
                held, held_chars = [], 0
                self._tell_through(reading, inside=inside)
        if held:
            self._tell({"blocks": held})

    def _members(self, reading: Reading) -> Iterator[Member | ReadError]:
        """The files inside, and last the error that kept the others from being listed."""
        try:
            yield from reading.members
        except ReadError as error:
            yield error
        except Exception as error:
            yield self._as_read_error(error, "the rest of it")

    def _tell_through(self, reading: Reading, *, inside: bool) -> None:
        if inside or reading.through is None:
            return
        share = min(reading.through(), 1.0)
        if share - self._told_share >= TELL_SHARE:
            self._told_share = share
            self._tell({"through": share})

    def _visit(
        self,
        outer: OpenedFile,
        reading: Reading,
        first: Member | ReadError,
        others: Iterator[Member | ReadError],
        place: tuple[int, ...],
        resume: tuple[int, ...],
    ) -> None:
        paths = MemberPaths()
        member: Member | ReadError | None = first
        ordinal = 0
        while member is not None:
            self._tell_through(reading, inside=bool(place))
            here = (*place, ordinal)
            told = REST if isinstance(member, ReadError) else paths.take(member.path)
            seen_before = bool(resume) and (ordinal < resume[0] or resume == (ordinal,))
            if not seen_before and not is_junk(told):
                deeper = resume[1:] if resume and ordinal == resume[0] else ()
                try:
                    self._member(outer, member, told, here, deeper)
                except Exhausted as exhausted:
                    if not exhausted.was_told:
                        self._rest(outer, here, exhausted.error)
                        exhausted.was_told = True
                    if place:
                        raise
                    return
            member = next(others, None)
            ordinal += 1

    def _rest(self, outer: OpenedFile, place: tuple[int, ...], error: ReadError) -> None:
        self._tell({"member": self._announced(f"{outer.path}/{REST}", place, 0, 0)})
        self._tell({"failed": error_to_json(error)})

    def _member(
        self, outer: OpenedFile, member: Member | ReadError, told: str, place: tuple[int, ...], resume: tuple[int, ...]
    ) -> None:
        path = f"{outer.path}/{told}"
        if isinstance(member, ReadError):
            self._tell({"member": self._announced(path, place, 0, 0)})
            self._tell({"failed": error_to_json(member)})
            return
        if not resume:
            self._budget.spend_member()
            self._tell({"member": self._announced(path, place, member.size_bytes, member.mtime_ns)})
        try:
            self._refuse_name(told)
            wanted = self._opened_member(member, path, place, resume)
        except Exhausted as exhausted:
            if exhausted.was_told:  # by what is inside this one: as far as it goes it was read
                self._tell({"end": True})
            else:
                self._tell({"failed": error_to_json(exhausted.error)})
                exhausted.was_told = True
            raise
        except ReadError as error:
            self._tell({"failed": error_to_json(error)})
        except Exception as error:
            self._tell({"failed": error_to_json(self._as_read_error(error, _name(path)))})
        else:
            if wanted:
                self._tell({"end": True})

    def _opened_member(self, member: Member, path: str, place: tuple[int, ...], resume: tuple[int, ...]) -> bool:
        if len(place) > self._limits.max_nesting:
            raise TooLarge(
                f"{_name(path)} lies in more than {self._limits.max_nesting} files inside each other",
                hint="unpack the outer ones, and index the folder",
            )
        with open_member(member, path, self._budget, self._limits) as file:
            return self._document(file, place, resume, with_members=True)

    def _announced(self, path: str, place: tuple[int, ...], size_bytes: int, mtime_ns: int) -> Frame:
        return {"path": path, "place": place, "size_bytes": size_bytes, "mtime_ns": mtime_ns}

    def _as_read_error(self, error: Exception, name: str) -> ReadError:
        """What a parser threw that was not made for the user."""
        if isinstance(error, MemoryError):
            gc.collect()
            return TooLarge(
                f"{name} needs more memory than {self._limits.memory_bytes >> 20:,} MB to be read",
                hint="raise library.reader_memory_mb in the settings, or split it",
            )
        traceback.print_exception(error)
        return DamagedFile(
            f"{name} cannot be read ({type(error).__name__}: {clean_title(str(error))})",
            hint="get it again from where it came; it may have been cut off",
        )


def block_to_json(block: Block) -> list[Any]:
    return [block.text, block.locator.to_json(), block.heading_path, block.syntax]


def _name(path: str) -> str:
    return path_text(PurePath(path).name)
