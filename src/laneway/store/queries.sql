-- Every query the store asks, by name; loaded by `chain.py`.

-- name: put_salt
-- Once in a log's life.
INSERT INTO meta (name, value) VALUES ('salt', :salt) ON CONFLICT DO NOTHING;

-- name: salt
SELECT value FROM meta WHERE name = 'salt';

-- name: tip
-- The end of the chain, to append after.
SELECT seq, hash FROM record ORDER BY seq DESC LIMIT 1;

-- name: append
INSERT INTO record (seq, at, decision, kind, body, hash) VALUES (?, ?, ?, ?, ?, ?);

-- name: archive
INSERT INTO policy (hash, text) VALUES (:hash, :text) ON CONFLICT DO NOTHING;

-- name: policy_text
SELECT text FROM policy WHERE hash = :hash;

-- name: open_intents
-- The last intent of every decision that ends in one, oldest first: without an outcome, or without a comparison.
SELECT body FROM record
WHERE seq IN (
    SELECT max(seq) FROM record WHERE kind IN ('intent', 'outcome', 'compared')
    GROUP BY decision HAVING max(seq) = max(CASE kind WHEN 'intent' THEN seq END)
)
ORDER BY seq;

-- name: newest_first
-- A page of first entries before :seq, one a decision, newest first.
SELECT seq, decision FROM record AS first
WHERE seq < :seq AND at >= :since AND kind IN ('intent', 'outcome') AND length(body) > 0 AND NOT EXISTS (
    SELECT 1 FROM record WHERE decision = first.decision AND seq < first.seq
)
ORDER BY seq DESC LIMIT :page;

-- name: oldest_first
-- A page of first entries after :seq, one a decision, oldest first.
SELECT seq, decision FROM record AS first
WHERE seq > :seq AND at >= :since AND kind IN ('intent', 'outcome') AND length(body) > 0 AND NOT EXISTS (
    SELECT 1 FROM record WHERE decision = first.decision AND seq < first.seq
)
ORDER BY seq LIMIT :page;

-- name: entries
-- A page of entries after :seq as they are stored; texts as bytes, because a damaged one may not be UTF-8.
SELECT seq, at, CAST(decision AS BLOB), CAST(kind AS BLOB), body FROM record NOT INDEXED
WHERE seq > :seq AND at >= :since AND length(body) > 0 ORDER BY seq LIMIT :page;

-- name: story
SELECT seq, at, body FROM record WHERE decision = :decision ORDER BY seq;

-- name: answers
-- A page of ends after :seq, each with its request's first entry, which names the workload.
SELECT ended.seq, ended.body, (
    SELECT body FROM record WHERE decision = ended.decision AND kind = 'intent' ORDER BY seq LIMIT 1
)
FROM record AS ended NOT INDEXED
WHERE ended.seq > :seq AND ended.at >= :since AND ended.kind = 'outcome' AND length(ended.body) > 0
ORDER BY ended.seq LIMIT :page;

-- name: feedback
-- A page of what was said after :seq of answers given since, each with its request's end and first entry. Nothing is
-- said of an answer before it is given. The first condition is what lets SQLite use the index `record_said`.
SELECT said.seq, said.at, said.body, ended.body, (
    SELECT body FROM record WHERE decision = said.decision AND kind = 'intent' ORDER BY seq LIMIT 1
)
FROM record AS said CROSS JOIN record AS ended ON ended.decision = said.decision AND ended.kind = 'outcome'
WHERE said.kind NOT IN ('intent', 'outcome') AND said.kind = 'feedback'
    AND said.seq > :seq AND said.at >= :since AND ended.at >= :since AND length(said.body) > 0
ORDER BY said.seq LIMIT :page;

-- name: shuts
SELECT seq, at, body FROM record
WHERE kind NOT IN ('intent', 'outcome') AND kind = 'shut' AND seq > :seq AND at >= :since
ORDER BY seq LIMIT :page;

-- name: compared
-- A page of comparisons after :seq, each with its request's first entry.
SELECT made.seq, made.at, made.body, (
    SELECT body FROM record WHERE decision = made.decision AND kind = 'intent' ORDER BY seq LIMIT 1
)
FROM record AS made
WHERE made.kind NOT IN ('intent', 'outcome') AND made.kind = 'compared'
    AND made.seq > :seq AND made.at >= :since AND length(made.body) > 0
ORDER BY made.seq LIMIT :page;

-- name: desk
-- A page of what was put before people and what they made of it, after :seq.
SELECT seq, at, body FROM record
WHERE kind NOT IN ('intent', 'outcome') AND kind IN ('review', 'resolution') AND seq > :seq AND at >= :since
    AND length(body) > 0
ORDER BY seq LIMIT :page;

-- name: levers
-- A page of what operators did, after :seq.
SELECT seq, at, body FROM record
WHERE kind NOT IN ('intent', 'outcome') AND kind = 'lever' AND seq > :seq AND at >= :since
ORDER BY seq LIMIT :page;

-- name: erased
-- A page of what was erased, after :seq.
SELECT seq, at, body FROM record
WHERE kind NOT IN ('intent', 'outcome') AND kind = 'erased' AND seq > :seq AND at >= :since
ORDER BY seq LIMIT :page;

-- name: over
-- A page of decisions after :seq that began before :before, ended and are not emptied, each with its first entry and when
-- its last one was written.
SELECT seq, decision, body, (SELECT max(at) FROM record WHERE decision = first.decision),
    (SELECT max(seq) FROM record WHERE decision = first.decision)
FROM record AS first
WHERE seq > :seq AND at < :before AND kind IN ('intent', 'outcome') AND length(body) > 0 AND NOT EXISTS (
    SELECT 1 FROM record WHERE decision = first.decision AND seq < first.seq
) AND EXISTS (SELECT 1 FROM record WHERE decision = first.decision AND kind = 'outcome')
ORDER BY seq LIMIT :page;

-- name: emptied
-- How many decisions were emptied, of those that began since.
SELECT count(DISTINCT decision) FROM record WHERE kind = 'outcome' AND length(body) = 0 AND at >= :since;

-- name: last_of
SELECT max(seq) FROM record WHERE decision = :decision;

-- name: moments
-- A page of when records were written, before :seq, the newest first.
SELECT seq, at FROM record NOT INDEXED WHERE seq < :seq ORDER BY seq DESC LIMIT :page;

-- name: left_of
-- What is left of a decision's records that are emptied, each with the hash of the record before; the first record's is
-- where the chain begins.
SELECT seq, at, CAST(decision AS BLOB), CAST(kind AS BLOB), hash, (SELECT hash FROM record WHERE seq = mine.seq - 1)
FROM record AS mine
WHERE decision = :decision AND kind NOT IN ('shut', 'lever', 'erased') ORDER BY seq;

-- name: empty
UPDATE record SET body = x'' WHERE decision = :decision AND kind NOT IN ('shut', 'lever', 'erased');

-- name: starting_with
-- Two are enough to know whether a prefix is unique; the exact id would come first.
SELECT DISTINCT decision FROM record
WHERE decision >= :prefix AND decision < :beyond AND kind IN ('intent', 'outcome')
ORDER BY decision LIMIT 2;

-- name: latest_ids
-- The ids a person most likely meant, to search for a near one.
SELECT DISTINCT decision FROM (
    SELECT decision FROM record WHERE kind IN ('intent', 'outcome') ORDER BY seq DESC LIMIT :page
);

-- name: records
-- A page of records after :seq, whole.
SELECT seq, at, decision, kind, body, hash FROM record NOT INDEXED WHERE seq > :seq ORDER BY seq LIMIT :page;

-- name: records_of
SELECT seq, at, decision, kind, body, hash FROM record WHERE decision = :decision ORDER BY seq;

-- name: first_down
-- A page of first entries before :before, newest first, of decisions that may be those looked for: what must stand in
-- the first entry, or in the end, does. An empty blob stands in everything.
SELECT seq, decision FROM record AS first
WHERE seq > :after AND seq < :before AND kind IN ('intent', 'outcome') AND instr(body, CAST('"opening":' AS BLOB))
    AND instr(body, :workload) AND instr(body, :sensitivity) AND instr(body, :rule) AND instr(body, :lane)
    AND (:ended_lane || :status = x'' OR EXISTS (
        SELECT 1 FROM record WHERE decision = first.decision AND kind = 'outcome'
            AND instr(body, :status) AND instr(body, :ended_lane)
    ))
    AND NOT (:open AND EXISTS (SELECT 1 FROM record WHERE decision = first.decision AND kind = 'outcome'))
ORDER BY seq DESC LIMIT :most;

-- name: first_up
-- The same after :after, oldest first.
SELECT seq, decision FROM record AS first
WHERE seq > :after AND seq < :before AND kind IN ('intent', 'outcome') AND instr(body, CAST('"opening":' AS BLOB))
    AND instr(body, :workload) AND instr(body, :sensitivity) AND instr(body, :rule) AND instr(body, :lane)
    AND (:ended_lane || :status = x'' OR EXISTS (
        SELECT 1 FROM record WHERE decision = first.decision AND kind = 'outcome'
            AND instr(body, :status) AND instr(body, :ended_lane)
    ))
    AND NOT (:open AND EXISTS (SELECT 1 FROM record WHERE decision = first.decision AND kind = 'outcome'))
ORDER BY seq LIMIT :most;

-- name: places
SELECT seq, kind, hash FROM record WHERE decision = :decision ORDER BY seq;

-- name: moment
-- When the record of this number, or the next one there is, was written.
SELECT at FROM record WHERE seq >= :seq ORDER BY seq LIMIT 1;

-- name: window
-- The first and the last record of a time, as far as any was written in it; NULL where none was.
SELECT min(seq), max(seq) FROM record NOT INDEXED WHERE at >= :start AND at < :end;

-- name: last_seq
SELECT coalesce(max(seq), 0) FROM record NOT INDEXED;

-- name: chain
-- Texts as bytes, because a damaged one may not be UTF-8.
SELECT
    seq, at, CAST(decision AS BLOB), CAST(kind AS BLOB), body, hash,
    typeof(at) = 'integer' AND typeof(decision) = 'text' AND typeof(kind) = 'text'
        AND typeof(body) = 'blob' AND typeof(hash) = 'blob'
FROM record NOT INDEXED WHERE seq > :after ORDER BY seq;

-- name: hash_of
SELECT hash FROM record WHERE seq = :seq;

-- name: hashes
-- A page of the tree's leaves.
SELECT seq, hash FROM record NOT INDEXED WHERE seq > :after AND seq <= :until ORDER BY seq LIMIT :page;

-- name: objects
-- Whether a file without a format holds something of somebody else's.
SELECT count(*) FROM sqlite_schema;

-- name: policies
SELECT CAST(hash AS BLOB), CAST(text AS BLOB) FROM policy ORDER BY hash;

-- name: integrity
PRAGMA integrity_check(1);

-- name: policy_hashes
SELECT hash FROM policy WHERE hash >= :hash AND hash < :beyond ORDER BY hash LIMIT 2;
