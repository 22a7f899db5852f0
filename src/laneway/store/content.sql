-- Words of people and lanes that were kept on purpose, each piece encrypted. Never the only place of a fact: that is the log.

CREATE TABLE IF NOT EXISTS meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- `until` is UTC in microseconds: from then on a sweep erases the piece. `why` is `review` or `capture`. `subject` is a salted
-- hash of whom or what it is about. `sealed` is a nonce of 12 bytes and the ciphertext, which the row's name is bound to.
CREATE TABLE IF NOT EXISTS piece (
    decision TEXT NOT NULL,
    part     TEXT NOT NULL,
    version  INTEGER NOT NULL,
    why      TEXT NOT NULL,
    subject  TEXT NOT NULL,
    until    INTEGER NOT NULL,
    sealed   BLOB NOT NULL,
    PRIMARY KEY (decision, part, version)
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS piece_by_subject ON piece (subject) WHERE subject <> '';
CREATE INDEX IF NOT EXISTS piece_by_until ON piece (until);

-- name: last
SELECT coalesce(max(version), 0) FROM piece WHERE decision = :decision AND part = :part;

-- name: put
INSERT INTO piece (decision, part, version, why, subject, until, sealed)
VALUES (:decision, :part, :version, :why, :subject, :until, :sealed);

-- name: versions
SELECT version, sealed FROM piece WHERE decision = :decision AND part = :part AND until > :now ORDER BY version;

-- name: pieces
SELECT decision, part, version, why, until FROM piece WHERE :why IS NULL OR why = :why ORDER BY decision, part, version;

-- name: erase_review
DELETE FROM piece WHERE decision = :decision AND why = 'review' AND part <> 'comment'
    AND (part <> :but OR version < (SELECT max(version) FROM piece WHERE decision = :decision AND part = :but));

-- name: shorten
UPDATE piece SET until = min(until, :until) WHERE decision = :decision AND part = :part;

-- name: erase_subject
DELETE FROM piece WHERE subject = :subject AND subject <> '';

-- name: erase_due
DELETE FROM piece WHERE until <= :now;

-- name: put_proof
INSERT INTO meta (name, value) VALUES ('proof', :proof) ON CONFLICT DO NOTHING;

-- name: proof
SELECT value FROM meta WHERE name = 'proof';
