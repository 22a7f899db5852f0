-- The log: one append-only chain of entries, and the policies they were decided under.
-- There is no column for prompt text or answers, on purpose.
--
-- Each part below brings a file from one format to the next, in one transaction: a new file goes through all of them, an
-- older one through those that it lacks. A part is never edited once it was released; a change is a new part.

-- format 1
BEGIN IMMEDIATE;

-- `salt`: 32 random bytes. Keys the commitments, and is where the chain begins.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- `seq` counts from 1 without a gap and is the order; `at` is UTC in microseconds and may jump.
-- `body` is the entry as JSON; `hash` covers the hash before it and every column of this row.
CREATE TABLE record (
    seq      INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    decision TEXT NOT NULL,
    kind     TEXT NOT NULL CHECK (kind IN ('intent', 'outcome')),
    body     BLOB NOT NULL,
    hash     BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

-- Finds a story, its first entry, and the decisions that never ended, without reading a body.
CREATE INDEX record_by_decision ON record (decision, kind);

-- Policy texts as they were served, by their SHA-256.
CREATE TABLE policy (
    hash TEXT PRIMARY KEY,
    text TEXT NOT NULL
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 1;

COMMIT;

-- format 2
BEGIN IMMEDIATE;

-- No program changes the past by accident. (On purpose it can: that is what the chain and checkpoints show.)
CREATE TRIGGER record_unchanged BEFORE UPDATE ON record BEGIN SELECT raise(ABORT, 'records are never changed'); END;
CREATE TRIGGER record_kept BEFORE DELETE ON record BEGIN SELECT raise(ABORT, 'records are never deleted'); END;
CREATE TRIGGER policy_unchanged BEFORE UPDATE ON policy BEGIN SELECT raise(ABORT, 'policies are never changed'); END;
CREATE TRIGGER policy_kept BEFORE DELETE ON policy BEGIN SELECT raise(ABORT, 'policies are never deleted'); END;
CREATE TRIGGER meta_unchanged BEFORE UPDATE ON meta BEGIN SELECT raise(ABORT, 'the salt is never changed'); END;
CREATE TRIGGER meta_kept BEFORE DELETE ON meta BEGIN SELECT raise(ABORT, 'the salt is never deleted'); END;

PRAGMA user_version = 2;

COMMIT;

-- format 3
BEGIN IMMEDIATE;

-- What was said of an answer, lanes found to be another model, and answers that were compared. SQLite cannot change a CHECK, so the table is made
-- anew: the same rows under the same numbers, so that hashes, chain and checkpoints stay what they were.
CREATE TABLE rebuilt (
    seq      INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    decision TEXT NOT NULL,
    kind     TEXT NOT NULL CHECK (kind IN ('intent', 'outcome', 'feedback', 'shut', 'compared')),
    body     BLOB NOT NULL,
    hash     BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
INSERT INTO rebuilt (seq, at, decision, kind, body, hash)
SELECT seq, at, decision, kind, body, hash FROM record ORDER BY seq;
DROP TABLE record;
ALTER TABLE rebuilt RENAME TO record;

CREATE INDEX record_by_decision ON record (decision, kind);

-- The few among the many: requests do not pay for it.
CREATE INDEX record_said ON record (kind, seq, at) WHERE kind IN ('feedback', 'shut', 'compared');

CREATE TRIGGER record_unchanged BEFORE UPDATE ON record BEGIN SELECT raise(ABORT, 'records are never changed'); END;
CREATE TRIGGER record_kept BEFORE DELETE ON record BEGIN SELECT raise(ABORT, 'records are never deleted'); END;

PRAGMA user_version = 3;

COMMIT;

-- format 4
BEGIN IMMEDIATE;

-- What people, operators and time do: reviews, resolutions, levers, erasures. Which kinds there are is for the entries to
-- say, so that a new one needs no copy of the table; and a body can be emptied, once its time is over, and nothing else.
CREATE TABLE rebuilt (
    seq      INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    decision TEXT NOT NULL,
    kind     TEXT NOT NULL,
    body     BLOB NOT NULL,
    hash     BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
INSERT INTO rebuilt (seq, at, decision, kind, body, hash)
SELECT seq, at, decision, kind, body, hash FROM record ORDER BY seq;
DROP TABLE record;
ALTER TABLE rebuilt RENAME TO record;

CREATE INDEX record_by_decision ON record (decision, kind);

-- The few among the many: requests do not pay for it.
CREATE INDEX record_said ON record (kind, seq, at) WHERE kind NOT IN ('intent', 'outcome');

CREATE TRIGGER record_unchanged BEFORE UPDATE ON record
WHEN NOT (
    NEW.seq = OLD.seq AND NEW.at = OLD.at AND NEW.decision = OLD.decision AND NEW.kind = OLD.kind
    AND NEW.hash = OLD.hash AND length(NEW.body) = 0
)
BEGIN SELECT raise(ABORT, 'records are never changed'); END;
CREATE TRIGGER record_kept BEFORE DELETE ON record BEGIN SELECT raise(ABORT, 'records are never deleted'); END;

PRAGMA user_version = 4;

COMMIT;
