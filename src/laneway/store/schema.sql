-- The log: one append-only chain of entries, and the policies they were decided under.
-- There is no column for prompt text or answers, on purpose.

BEGIN IMMEDIATE;

-- `salt`: 32 random bytes. Keys the commitments, and is where the chain begins.
CREATE TABLE IF NOT EXISTS meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- `seq` counts from 1 without a gap and is the order; `at` is UTC in microseconds and may jump.
-- `body` is the entry as JSON; `hash` covers the hash before it and every column of this row.
CREATE TABLE IF NOT EXISTS record (
    seq      INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    decision TEXT NOT NULL,
    kind     TEXT NOT NULL CHECK (kind IN ('intent', 'outcome')),
    body     BLOB NOT NULL,
    hash     BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

-- Finds a story, its first entry, and the decisions that never ended, without reading a body.
CREATE INDEX IF NOT EXISTS record_by_decision ON record (decision, kind);

-- Policy texts as they were served, by their SHA-256.
CREATE TABLE IF NOT EXISTS policy (
    hash TEXT PRIMARY KEY,
    text TEXT NOT NULL
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 1;

COMMIT;
