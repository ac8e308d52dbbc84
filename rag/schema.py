"""The tables of the library file, as a list of migrations. `user_version` counts those applied.

A migration that has been released is never edited; a change is a new one at the end.

documents  one row a file that the user pointed at. `content_id` is NULL until it was read.
contents   what was in a file, once, however many copies there are: the same bytes under the same suffix (the
           suffix decides how bytes are read). A content whose state is 'words' is findable by words;
           'embedded' means that every chunk has its vector. `embed_group` fixes which chunks are embedded
           together, see `embedding_queue.py`.
chunks     passages; ids are never used twice, so a stale id in chroma can never name another passage.
vectors    float16, apart from the texts, so that a scan over all of them reads only them. `vector_id` only
           grows, and `vectors_changed` counts: one look tells a reader what it has not loaded yet.
chroma_pending  what chromadb has not been told yet. Filled in the transaction that changes `vectors`.
document_names  a file's name and its folder's, as words: a question that names a file finds it.
image_vectors  what pictures look like, where a CLIP is installed. Few enough to be compared one by one.
roots, left_out, mounts  what is indexed, what is not, and what may be away for a while: see `roots.py`.
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
        sha256     BLOB NOT NULL,
        suffix     TEXT NOT NULL,                   -- lower case, with its dot
        kind       TEXT NOT NULL CHECK (kind IN ('text', 'image', 'audio')),
        title      TEXT NOT NULL,                   -- '' where it is the file's own name
        reader     TEXT NOT NULL,
        embed_group INTEGER NOT NULL,
        state      TEXT NOT NULL CHECK (state IN ('words', 'embedded')),
        UNIQUE (sha256, suffix)
    ) STRICT;
    CREATE INDEX contents_by_group ON contents (embed_group);
    CREATE INDEX contents_to_embed ON contents (embed_group) WHERE state = 'words';

    CREATE TABLE documents (
        document_id INTEGER PRIMARY KEY AUTOINCREMENT,
        path        BLOB NOT NULL UNIQUE,           -- os.fsencode
        path_text   TEXT NOT NULL,                  -- the same, as it may be shown
        name_text   TEXT NOT NULL,                  -- folder/name, as it may be searched
        size_bytes  INTEGER NOT NULL,
        mtime_ns    INTEGER NOT NULL,
        content_id  INTEGER REFERENCES contents,
        state       TEXT NOT NULL CHECK (state IN ('found', 'read', 'failed')),
        failure     TEXT NOT NULL DEFAULT '',       -- its kind: says whether to try again
        reason      TEXT NOT NULL DEFAULT '',
        hint        TEXT NOT NULL DEFAULT ''
    ) STRICT;
    CREATE INDEX documents_by_content ON documents (content_id);
    CREATE INDEX documents_by_size ON documents (size_bytes);

    CREATE VIRTUAL TABLE document_names USING fts5 (
        name_text, content = 'documents', content_rowid = 'document_id',
        tokenize = "unicode61 remove_diacritics 2"
    );
    CREATE TRIGGER documents_added AFTER INSERT ON documents BEGIN
        INSERT INTO document_names (rowid, name_text) VALUES (new.document_id, new.name_text);
    END;
    CREATE TRIGGER documents_removed AFTER DELETE ON documents BEGIN
        INSERT INTO document_names (document_names, rowid, name_text)
        VALUES ('delete', old.document_id, old.name_text);
    END;

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
        vector_id INTEGER PRIMARY KEY AUTOINCREMENT,
        chunk_id  INTEGER NOT NULL UNIQUE REFERENCES chunks ON DELETE CASCADE,
        vector    BLOB NOT NULL                     -- float16, little-endian, unit length
    ) STRICT;
    CREATE TABLE vectors_changed (                  -- one row
        added   INTEGER NOT NULL,
        removed INTEGER NOT NULL
    ) STRICT;
    INSERT INTO vectors_changed VALUES (0, 0);

    CREATE TABLE chroma_pending (
        chunk_id  INTEGER PRIMARY KEY,
        operation TEXT NOT NULL CHECK (operation IN ('add', 'remove'))
    ) STRICT;
    CREATE TRIGGER vectors_added AFTER INSERT ON vectors BEGIN
        INSERT OR REPLACE INTO chroma_pending VALUES (new.chunk_id, 'add');
        UPDATE vectors_changed SET added = added + 1;
    END;
    CREATE TRIGGER vectors_removed AFTER DELETE ON vectors BEGIN
        INSERT OR REPLACE INTO chroma_pending VALUES (old.chunk_id, 'remove');
        UPDATE vectors_changed SET removed = removed + 1;
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
    """
    -- Files inside files (archive entries, attachments, messages of a mailbox) are documents of their own: their
    -- path is the outer file's, a slash and the inner path; their outermost file is a regular one.
    ALTER TABLE documents ADD COLUMN container_id INTEGER REFERENCES documents (document_id) ON DELETE CASCADE;
    CREATE INDEX documents_by_container ON documents (container_id) WHERE container_id IS NOT NULL;

    ALTER TABLE contents ADD COLUMN author TEXT NOT NULL DEFAULT '';
    ALTER TABLE contents ADD COLUMN written_at_s REAL;          -- Unix time; NULL where the document has no date
    -- 0 while its passages are coming in, -1 while they are going out; only then its hash is a random one.
    ALTER TABLE contents ADD COLUMN complete INTEGER NOT NULL DEFAULT 1;
    CREATE INDEX contents_in_part ON contents (complete) WHERE complete <> 1;
    CREATE INDEX contents_by_reader ON contents (reader);
    -- Of a file that no reader takes: what kind it is, in a word or two, for counting. Its state is 'failed'.
    ALTER TABLE documents ADD COLUMN unsupported TEXT NOT NULL DEFAULT '';
    CREATE INDEX documents_failed ON documents (unsupported, container_id) WHERE state = 'failed';

    -- What tells a drive that is not connected from a folder that was emptied.
    ALTER TABLE roots ADD COLUMN device INTEGER;

    -- Vectors of the embedder that is to be the library's: they take the place of `vectors` when all are there.
    CREATE TABLE next_vectors (
        chunk_id INTEGER PRIMARY KEY REFERENCES chunks ON DELETE CASCADE,
        vector   BLOB NOT NULL                      -- as in `vectors`
    ) STRICT;

    -- Other spellings of what a passage says, found by words like its text: see `spellings.py`.
    ALTER TABLE chunks ADD COLUMN spellings TEXT NOT NULL DEFAULT '';
    UPDATE chunks SET spellings = spellings_column(text, headings);
    DROP TRIGGER chunks_added;
    DROP TRIGGER chunks_removed;
    DROP TABLE chunk_words;
    CREATE VIRTUAL TABLE chunk_words USING fts5 (
        text, headings, spellings, content = 'chunks', content_rowid = 'chunk_id',
        tokenize = "porter unicode61 remove_diacritics 2"
    );
    CREATE TRIGGER chunks_added AFTER INSERT ON chunks BEGIN
        INSERT INTO chunk_words (rowid, text, headings, spellings)
        VALUES (new.chunk_id, new.text, new.headings, new.spellings);
    END;
    CREATE TRIGGER chunks_removed AFTER DELETE ON chunks BEGIN
        INSERT INTO chunk_words (chunk_words, rowid, text, headings, spellings)
        VALUES ('delete', old.chunk_id, old.text, old.headings, old.spellings);
    END;
    INSERT INTO chunk_words (chunk_words) VALUES ('rebuild');
    CREATE INDEX documents_by_mtime ON documents (mtime_ns);
    """,
    """
    -- What the user took out of a root: it stays out until it is asked for by its own name.
    CREATE TABLE left_out (
        path       BLOB PRIMARY KEY,                -- os.fsencode
        added_at_s REAL NOT NULL
    ) STRICT, WITHOUT ROWID;

    -- Mount points below roots that were seen mounted: one that is not now is a drive that is not connected.
    CREATE TABLE mounts (
        path BLOB PRIMARY KEY                       -- os.fsencode
    ) STRICT, WITHOUT ROWID;

    -- A file that was moved keeps its row.
    CREATE TRIGGER documents_moved AFTER UPDATE OF name_text ON documents BEGIN
        INSERT INTO document_names (document_names, rowid, name_text)
        VALUES ('delete', old.document_id, old.name_text);
        INSERT INTO document_names (rowid, name_text) VALUES (new.document_id, new.name_text);
    END;
    """,
    """
    -- What a picture looks like, by the encoder in meta's `image_encoder`: see `image_vectors.py`.
    CREATE TABLE image_vectors (
        content_id INTEGER NOT NULL REFERENCES contents ON DELETE CASCADE,
        place      INTEGER NOT NULL,                -- page of a TIFF, key frame of an animation, from 0
        vector     BLOB NOT NULL,                   -- float16, little-endian, unit length; empty: not to be had
        PRIMARY KEY (content_id, place)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE image_vectors_changed (changes INTEGER NOT NULL);  -- one row
    INSERT INTO image_vectors_changed VALUES (0);
    CREATE TRIGGER image_vectors_added AFTER INSERT ON image_vectors BEGIN
        UPDATE image_vectors_changed SET changes = changes + 1;
    END;
    CREATE TRIGGER image_vectors_removed AFTER DELETE ON image_vectors BEGIN
        UPDATE image_vectors_changed SET changes = changes + 1;
    END;
    """,
    """
    -- Looks through roots that found nothing to do: see `last_looks.py`. What they compared files with is `documents`.
    CREATE TABLE last_looks (
        key       BLOB PRIMARY KEY,
        found     BLOB NOT NULL,
        unchanged INTEGER NOT NULL,
        failed    TEXT NOT NULL                     -- JSON
    ) STRICT, WITHOUT ROWID;
    CREATE TRIGGER looks_after_insert AFTER INSERT ON documents BEGIN DELETE FROM last_looks; END;
    CREATE TRIGGER looks_after_update AFTER UPDATE ON documents BEGIN DELETE FROM last_looks; END;
    CREATE TRIGGER looks_after_delete AFTER DELETE ON documents BEGIN DELETE FROM last_looks; END;
    CREATE TRIGGER looks_after_reading AFTER UPDATE OF reader ON contents BEGIN DELETE FROM last_looks; END;
    """,
    """
    -- Most libraries are of texts alone: one look says so.
    CREATE INDEX contents_of_other_kinds ON contents (kind) WHERE kind <> 'text';
    """,
    """
    -- By which list of labels, and which encoder, a picture's description says what of a user's own labels it shows;
    -- empty: by none. See `picture_labels.py`.
    ALTER TABLE contents ADD COLUMN labelled_by TEXT NOT NULL DEFAULT '';
    """,
)
