-- Every statement of `results.py`, by name.

-- name: create_result
-- One answer of one lane to one sample, as JSON in `body`; the columns before it are those that are searched by.
-- `key` names all that the answer depends on: what was sent, where, to which model, with which parameters.
CREATE TABLE IF NOT EXISTS result (
    workload    TEXT NOT NULL,
    set_hash    TEXT NOT NULL,
    sample_hash TEXT NOT NULL,
    lane        TEXT NOT NULL,
    prompt      TEXT NOT NULL,
    key         TEXT NOT NULL,
    model       TEXT NOT NULL,
    endpoint    TEXT NOT NULL,
    settled     INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    body        BLOB NOT NULL,
    PRIMARY KEY (workload, set_hash, sample_hash, lane, prompt, key)
) STRICT;

-- name: create_by_key
CREATE INDEX IF NOT EXISTS result_by_key ON result (key);

-- name: create_call
-- Calls that were about to be made and have not ended: after a crash, those that may have been paid for in vain.
CREATE TABLE IF NOT EXISTS call (
    key  TEXT PRIMARY KEY,
    lane TEXT NOT NULL,
    at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- name: objects
SELECT count(*) FROM sqlite_schema;

-- name: intend
INSERT INTO call (key, lane, at) VALUES (:key, :lane, :at) ON CONFLICT DO UPDATE SET lane = :lane, at = :at;

-- name: end
DELETE FROM call WHERE key = :key;

-- name: lost
SELECT lane, count(*) FROM call GROUP BY lane ORDER BY lane;

-- name: forget
DELETE FROM call;

-- name: put
INSERT INTO result (workload, set_hash, sample_hash, lane, prompt, key, model, endpoint, settled, at, body)
VALUES (:workload, :set_hash, :sample_hash, :lane, :prompt, :key, :model, :endpoint, :settled, :at, :body)
ON CONFLICT DO UPDATE SET model = :model, endpoint = :endpoint, settled = :settled, at = :at, body = :body;

-- name: find
-- One key may stand with several samples that ask the same; an answer is worth more than an error.
SELECT body FROM result WHERE key = :key ORDER BY settled DESC, at DESC LIMIT 1;

-- name: of
-- For each sample, lane and prompt the newest answer of each model and address.
SELECT body FROM result AS one
WHERE (:set_hash IS NULL OR set_hash = :set_hash)
    AND (:workload IS NULL OR workload = :workload)
    AND (:lane IS NULL OR lane = :lane)
    AND (:prompt IS NULL OR prompt = :prompt)
    AND NOT EXISTS (
        SELECT 1 FROM result AS other
        WHERE other.workload = one.workload AND other.set_hash = one.set_hash
            AND other.sample_hash = one.sample_hash AND other.lane = one.lane AND other.prompt = one.prompt
            AND other.model = one.model AND other.endpoint = one.endpoint
            AND (other.at, other.rowid) > (one.at, one.rowid)
    )
ORDER BY workload, set_hash, sample_hash, lane, prompt, key;
