"""Conversations in the library file: the question before generation starts, the answer as it streams.

Knows the tables `conversations`, `turns`, `citations` and `turn_words`. Knows nothing of models, of prompts or
of what `details` holds: that is a JSON object whose keys belong to the caller.
"""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from rag.library_db import LibraryDb, translated_errors
from rag.records import Kind, Locator

TurnFinish = Literal["running", "stop", "length", "stopped", "failed", "interrupted"]
"""running: being written by a live process. interrupted: that process ended in the middle."""

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class StoredConversation:
    conversation_id: int
    title: str
    turns: int
    created_at_s: float
    updated_at_s: float
    """Unix time."""


@dataclass(frozen=True, slots=True)
class StoredCitation:
    n: int
    chunk_id: int | None
    """May name a passage that has left the library since: ids are never used twice."""
    path: str
    kind: Kind
    locator: Locator
    quote: str
    supported: bool


@dataclass(frozen=True, slots=True)
class StoredTurn:
    turn_id: int
    question: str
    user_message: str
    """What the model saw, passages included; empty when no model was asked or the turn ended before."""
    answer_text: str
    finish: TurnFinish
    model: str
    details: Mapping[str, Any]
    asked_at_s: float
    citations: tuple[StoredCitation, ...] = field(default=())


class ConversationStore:
    """The conversations of one library. Thread-safe, as its database is.

    Every write is one transaction. Raises what `LibraryDb.transaction` does.
    """

    def __init__(self, db: LibraryDb, *, clock: Callable[[], float] = time.time) -> None:
        self._db = db
        self._clock = clock

    @property
    def read_only(self) -> bool:
        return self._db.read_only

    # Writing a turn, in the order in which it happens

    def begin_turn(self, question: str, *, conversation_id: int | None, title: str) -> tuple[int, int] | None:
        """Save a question before anything is done about it; returns (conversation id, turn id).

        None as the id starts a conversation of that title. Returns None when the id names no conversation.
        """
        now_s = self._clock()
        with self._db.transaction() as connection:
            if conversation_id is None:
                conversation_id = _inserted_id(
                    connection.execute(
                        "INSERT INTO conversations (title, created_at_s, updated_at_s) VALUES (?, ?, ?)",
                        (title, now_s, now_s),
                    )
                )
            elif not _touch(connection, conversation_id, now_s):
                return None
            turn_id = _inserted_id(
                connection.execute(
                    "INSERT INTO turns (conversation_id, question, asked_at_s) VALUES (?, ?, ?)",
                    (conversation_id, question, now_s),
                )
            )
        return conversation_id, turn_id

    def write_user_message(
        self, turn_id: int, user_message: str, *, model: str, details: Mapping[str, Any] | None = None
    ) -> None:
        """What the model is about to read, so that the next turn can repeat it word by word."""
        with self._db.transaction() as connection:
            connection.execute(
                "UPDATE turns SET user_message = ?, model = ?, details = ? WHERE turn_id = ?",
                (user_message, model, json.dumps(details or {}, ensure_ascii=False), turn_id),
            )

    def write_answer(self, turn_id: int, answer_text: str) -> None:
        """The answer so far, while it is still being written."""
        with self._db.transaction() as connection:
            connection.execute("UPDATE turns SET answer_text = ? WHERE turn_id = ?", (answer_text, turn_id))

    def end_turn(
        self,
        turn_id: int,
        *,
        answer_text: str,
        finish: TurnFinish,
        model: str,
        details: Mapping[str, Any],
        citations: Sequence[StoredCitation] = (),
    ) -> None:
        """The whole answer and what was found out about it; replaces what `write_answer` saved."""
        with self._db.transaction() as connection:
            connection.execute(
                "UPDATE turns SET answer_text = ?, finish = ?, model = ?, details = ? WHERE turn_id = ?",
                (answer_text, finish, model, json.dumps(details, ensure_ascii=False), turn_id),
            )
            connection.execute("DELETE FROM citations WHERE turn_id = ?", (turn_id,))
            connection.executemany(
                "INSERT INTO citations (turn_id, n, chunk_id, path_text, kind, locator, quote, supported)"
                " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 WHERE EXISTS (SELECT 1 FROM turns WHERE turn_id = ?1)",
                [
                    (turn_id, c.n, c.chunk_id, c.path, c.kind, json.dumps(c.locator.to_json()), c.quote, c.supported)
                    for c in citations
                ],
            )
            connection.execute(
                "UPDATE conversations SET updated_at_s = ?"
                " WHERE conversation_id = (SELECT conversation_id FROM turns WHERE turn_id = ?)",
                (self._clock(), turn_id),
            )

    def mark_interrupted(self) -> int:
        """Give every turn that is still 'running' its true end, keeping its text; returns how many there were.

        Only for the one writer, when it opens the library: no other process can then be writing an answer.
        """
        with self._db.transaction() as connection:
            return connection.execute("UPDATE turns SET finish = 'interrupted' WHERE finish = 'running'").rowcount

    # Reading

    def latest(self, *, limit: int = 200) -> list[StoredConversation]:
        """Latest first."""
        return self._conversations("1", (), limit)

    def search(self, words: str, *, limit: int = 50) -> list[StoredConversation]:
        """Those in whose title, or in one of whose turns, all the words occur; latest first.

        A word also finds longer words that begin with it. When no word is found this way (parts of words,
        scripts without spaces) the whole text is looked for as it stands. No words: all conversations.
        """
        looked_for = words.strip()
        if not looked_for:
            return self.latest(limit=limit)
        like = "%" + re.sub(r"([\\%_])", r"\\\1", looked_for) + "%"
        if tokens := _WORD.findall(looked_for):
            fts_query = " AND ".join(f'"{token}"*' for token in tokens)
            found = self._conversations(
                "title LIKE ? ESCAPE '\\' OR conversation_id IN (SELECT t.conversation_id FROM turn_words"
                " JOIN turns t ON t.turn_id = turn_words.rowid WHERE turn_words MATCH ?)",
                (like, fts_query),
                limit,
            )
            if found:
                return found
        return self._conversations(
            "title LIKE ?1 ESCAPE '\\' OR conversation_id IN (SELECT conversation_id FROM turns"
            " WHERE question LIKE ?1 ESCAPE '\\' OR answer_text LIKE ?1 ESCAPE '\\')",
            (like,),
            limit,
        )

    def conversation(self, conversation_id: int) -> StoredConversation | None:
        found = self._conversations("conversation_id = ?", (conversation_id,), 1)
        return found[0] if found else None

    def _conversations(self, condition: str, values: Sequence[object], limit: int) -> list[StoredConversation]:
        with translated_errors(self._db.file):
            rows = self._db.connection.execute(
                "SELECT conversation_id, title,"
                " (SELECT count(*) FROM turns t WHERE t.conversation_id = conversations.conversation_id),"
                f" created_at_s, updated_at_s FROM conversations WHERE {condition}"
                f" ORDER BY updated_at_s DESC, conversation_id DESC LIMIT {int(limit)}",
                values,
            ).fetchall()
        return [StoredConversation(*row) for row in rows]

    def turns(self, conversation_id: int) -> list[StoredTurn]:
        """Oldest first; empty for an id that names no conversation."""
        with translated_errors(self._db.file):
            connection = self._db.connection
            rows = connection.execute(
                "SELECT turn_id, question, user_message, answer_text, finish, model, details, asked_at_s"
                " FROM turns WHERE conversation_id = ? ORDER BY turn_id",
                (conversation_id,),
            ).fetchall()
            cited = connection.execute(
                "SELECT c.turn_id, c.n, c.chunk_id, c.path_text, c.kind, c.locator, c.quote, c.supported"
                " FROM citations c JOIN turns t USING (turn_id) WHERE t.conversation_id = ? ORDER BY c.turn_id, c.n",
                (conversation_id,),
            ).fetchall()
        citations: dict[int, list[StoredCitation]] = {}
        for turn_id, n, chunk_id, path, kind, locator, quote, supported in cited:
            citations.setdefault(turn_id, []).append(
                StoredCitation(
                    n, chunk_id, path, cast(Kind, kind), Locator.from_json(json.loads(locator)), quote, bool(supported)
                )
            )
        return [
            StoredTurn(
                turn_id=row[0],
                question=row[1],
                user_message=row[2],
                answer_text=row[3],
                finish=cast(TurnFinish, row[4]),
                model=row[5],
                details=json.loads(row[6]),
                asked_at_s=row[7],
                citations=tuple(citations.get(row[0], ())),
            )
            for row in rows
        ]

    # Changing

    def rename(self, conversation_id: int, title: str) -> bool:
        """False when there is no such conversation. Its place in the list stays."""
        with self._db.transaction() as connection:
            changed = connection.execute(
                "UPDATE conversations SET title = ? WHERE conversation_id = ?", (title, conversation_id)
            ).rowcount
        return changed > 0

    def delete(self, conversation_id: int) -> bool:
        """With all its turns and citations. False when there is no such conversation."""
        with self._db.transaction() as connection:
            changed = connection.execute(
                "DELETE FROM conversations WHERE conversation_id = ?", (conversation_id,)
            ).rowcount
        return changed > 0


def _inserted_id(cursor: sqlite3.Cursor) -> int:
    assert cursor.lastrowid is not None  # an INSERT has just succeeded
    return cursor.lastrowid


def _touch(connection: sqlite3.Connection, conversation_id: int, now_s: float) -> bool:
    return (
        connection.execute(
            "UPDATE conversations SET updated_at_s = ? WHERE conversation_id = ?", (now_s, conversation_id)
        ).rowcount
        > 0
    )
