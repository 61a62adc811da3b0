-- Version 2: whose card, which encoder, which number; guests' data and card contents sealed (text that begins with "{"
-- is from before and is sealed at the next start).

ALTER TABLE job ADD COLUMN requester TEXT;               -- who asked: a signer, or local:<user>
ALTER TABLE job ADD COLUMN route     TEXT;               -- JSON list of the encoders that may make it; NULL: all
ALTER TABLE job ADD COLUMN backup    TEXT;               -- JSON list of those that may take over
ALTER TABLE job ADD COLUMN sequence  INTEGER;            -- the card's number, minted when an encoder first takes it
ALTER TABLE job ADD COLUMN scope     TEXT;               -- JSON list of what the number counts for
ALTER TABLE job ADD COLUMN warnings  TEXT;               -- JSON list of type and message
UPDATE job SET sequence = job_id WHERE attempt > 0;

ALTER TABLE attempt ADD COLUMN requester TEXT;
ALTER TABLE attempt ADD COLUMN operator  TEXT;           -- who was at the desk, or who asked

-- Numbers of cards, for an entrance, or for a stay that names none.
CREATE TABLE sequence (
    profile TEXT    NOT NULL,
    scope   TEXT    NOT NULL,
    last    INTEGER NOT NULL,                            -- minted
    begun   INTEGER NOT NULL,                            -- the highest that a card was begun with
    met     INTEGER NOT NULL,                            -- what the lock is presumed to know
    issued  INTEGER,                                     -- what it is presumed to know from used_at on
    used_at INTEGER,
    shared  INTEGER NOT NULL,                            -- 1: a copy was given the last one as well
    at      INTEGER NOT NULL,
    PRIMARY KEY (profile, scope)
) STRICT, WITHOUT ROWID;
INSERT INTO sequence
SELECT profile, scope, max(job_id), max(job_id), max(job_id), NULL, NULL, 1, max(state_at)
FROM (
    SELECT profile, 'entrance:' || value AS scope, job_id, state_at FROM job, json_each(credential, '$.entrances')
    WHERE attempt > 0
    UNION ALL
    SELECT profile, ifnull('grant:' || json_extract(origin, '$.access_grant_ids[0]'), 'method:' || access_method_id),
           job_id, state_at
    FROM job WHERE attempt > 0 AND json_array_length(credential, '$.entrances') = 0
)
WHERE profile IS NOT NULL GROUP BY profile, scope;
INSERT INTO meta SELECT 'sequence_floor', ifnull(max(job_id), 0) FROM job;

-- Cards that were blanked, or are half so.
CREATE TABLE erasure (
    erasure_id       INTEGER PRIMARY KEY AUTOINCREMENT,
    state            TEXT    NOT NULL,                   -- erasing, erased, unsure, given_up
    encoder          TEXT    NOT NULL,
    card_uid         TEXT,
    access_method_id TEXT,                               -- what the card carried, as far as it was made here
    intent           TEXT    NOT NULL,
    receipt          TEXT,
    error            TEXT,
    requester        TEXT,
    operator         TEXT,
    begun_at         INTEGER NOT NULL,
    state_at         INTEGER NOT NULL
) STRICT;
CREATE INDEX erasure_of_card ON erasure (card_uid) WHERE card_uid IS NOT NULL;
CREATE INDEX erasure_unsettled ON erasure (encoder) WHERE state IN ('erasing', 'unsure');

-- Cards started in the last minute.
CREATE TABLE pace (
    at        INTEGER NOT NULL,
    encoder   TEXT    NOT NULL,
    requester TEXT
) STRICT;
