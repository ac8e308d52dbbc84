"""The tables of the library file, as a list of migrations. `user_version` counts those applied.

A migration that has been released is never edited; a change is a new one at the end.

documents  one row a file that the user pointed at. `content_id` is NULL until it was read.
contents   what was in a file, once, however many copies there are (by SHA-256). A content whose state is
           'words' is findable by words; 'embedded' means that every chunk has its vector.
chunks     passages; ids are never used twice, so a stale id in chroma can never name another passage.
vectors    float16, apart from the texts, so that a scan over all of them reads only them.
chroma_pending  what chromadb has not been told yet. Filled in the transaction that changes `vectors`.
"""

from __future__ import annotations

APPLICATION_ID = 0x686F6D65  # "home"

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE meta (
        key   TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE roots (
        root_id    INTEGER PRIMARY KEY,
        path       BLOB NOT NULL UNIQUE,            -- os.fsencode: names need not be UTF-8
        added_at_s REAL NOT NULL
    ) STRICT;

    CREATE TABLE contents (
        content_id INTEGER PRIMARY KEY AUTOINCREMENT,
        sha256     BLOB NOT NULL UNIQUE,
        kind       TEXT NOT NULL CHECK (kind IN ('text', 'image', 'audio')),
        title      TEXT NOT NULL,
        reader     TEXT NOT NULL,
        state      TEXT NOT NULL CHECK (state IN ('words', 'embedded'))
    ) STRICT;

    CREATE TABLE documents (
        document_id INTEGER PRIMARY KEY AUTOINCREMENT,
        path        BLOB NOT NULL UNIQUE,           -- os.fsencode
        path_text   TEXT NOT NULL,                  -- the same, as it may be shown and searched
        size_bytes  INTEGER NOT NULL,
        mtime_ns    INTEGER NOT NULL,
        content_id  INTEGER REFERENCES contents,
        state       TEXT NOT NULL CHECK (state IN ('found', 'read', 'failed')),
        reason      TEXT NOT NULL DEFAULT '',
        hint        TEXT NOT NULL DEFAULT ''
    ) STRICT;
    CREATE INDEX documents_by_content ON documents (content_id);

    CREATE TABLE chunks (
        chunk_id    INTEGER PRIMARY KEY AUTOINCREMENT,
        content_id  INTEGER NOT NULL REFERENCES contents ON DELETE CASCADE,
        ordinal     INTEGER NOT NULL,
        text        TEXT NOT NULL,
        headings    TEXT NOT NULL,                  -- the heading path, one a line, outermost first
        locator     TEXT NOT NULL,                  -- JSON object
        start_char  INTEGER NOT NULL,
        end_char    INTEGER NOT NULL,
        token_count INTEGER NOT NULL,
        UNIQUE (content_id, ordinal)
    ) STRICT;

    CREATE TABLE vectors (
        chunk_id INTEGER PRIMARY KEY REFERENCES chunks ON DELETE CASCADE,
        vector   BLOB NOT NULL                      -- float16, little-endian, unit length
    ) STRICT;

    CREATE TABLE chroma_pending (
        chunk_id  INTEGER PRIMARY KEY,
        operation TEXT NOT NULL CHECK (operation IN ('add', 'remove'))
    ) STRICT;
    CREATE TRIGGER vectors_added AFTER INSERT ON vectors BEGIN
        INSERT OR REPLACE INTO chroma_pending VALUES (new.chunk_id, 'add');
    END;
    CREATE TRIGGER vectors_removed AFTER DELETE ON vectors BEGIN
        INSERT OR REPLACE INTO chroma_pending VALUES (old.chunk_id, 'remove');
    END;

    CREATE VIRTUAL TABLE chunk_words USING fts5 (
        text, headings, content = 'chunks', content_rowid = 'chunk_id',
        tokenize = "porter unicode61 remove_diacritics 2"
    );
    CREATE TRIGGER chunks_added AFTER INSERT ON chunks BEGIN
        INSERT INTO chunk_words (rowid, text, headings) VALUES (new.chunk_id, new.text, new.headings);
    END;
    CREATE TRIGGER chunks_removed AFTER DELETE ON chunks BEGIN
        INSERT INTO chunk_words (chunk_words, rowid, text, headings)
        VALUES ('delete', old.chunk_id, old.text, old.headings);
    END;

    CREATE TABLE conversations (
        conversation_id INTEGER PRIMARY KEY AUTOINCREMENT,
        title           TEXT NOT NULL,
        created_at_s    REAL NOT NULL,
        updated_at_s    REAL NOT NULL
    ) STRICT;

    CREATE TABLE turns (
        turn_id         INTEGER PRIMARY KEY AUTOINCREMENT,
        conversation_id INTEGER NOT NULL REFERENCES conversations ON DELETE CASCADE,
        question        TEXT NOT NULL,
        user_message    TEXT NOT NULL DEFAULT '',   -- as the model saw it, passages included: the KV prefix
        answer_text     TEXT NOT NULL DEFAULT '',
        finish          TEXT NOT NULL DEFAULT 'running'
                        CHECK (finish IN ('running', 'stop', 'length', 'stopped', 'failed', 'interrupted')),
        model           TEXT NOT NULL DEFAULT '',
        details         TEXT NOT NULL DEFAULT '{}', -- JSON: sentences, timings, placement
        asked_at_s      REAL NOT NULL
    ) STRICT;
    CREATE INDEX turns_by_conversation ON turns (conversation_id, turn_id);

    CREATE TABLE citations (
        turn_id   INTEGER NOT NULL REFERENCES turns ON DELETE CASCADE,
        n         INTEGER NOT NULL,
        chunk_id  INTEGER,                          -- no reference: a citation outlives its passage
        path_text TEXT NOT NULL,
        kind      TEXT NOT NULL,
        locator   TEXT NOT NULL,
        quote     TEXT NOT NULL,
        supported INTEGER NOT NULL,
        PRIMARY KEY (turn_id, n)
    ) STRICT, WITHOUT ROWID;

    CREATE VIRTUAL TABLE turn_words USING fts5 (
        question, answer_text, content = 'turns', content_rowid = 'turn_id',
        tokenize = "unicode61 remove_diacritics 2"
    );
    CREATE TRIGGER turns_added AFTER INSERT ON turns BEGIN
        INSERT INTO turn_words (rowid, question, answer_text) VALUES (new.turn_id, new.question, new.answer_text);
    END;
    CREATE TRIGGER turns_removed AFTER DELETE ON turns BEGIN
        INSERT INTO turn_words (turn_words, rowid, question, answer_text)
        VALUES ('delete', old.turn_id, old.question, old.answer_text);
    END;
    CREATE TRIGGER turns_changed AFTER UPDATE OF question, answer_text ON turns BEGIN
        INSERT INTO turn_words (turn_words, rowid, question, answer_text)
        VALUES ('delete', old.turn_id, old.question, old.answer_text);
        INSERT INTO turn_words (rowid, question, answer_text) VALUES (new.turn_id, new.question, new.answer_text);
    END;
    """,
)
