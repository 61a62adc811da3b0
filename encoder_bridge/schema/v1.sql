-- Version 1.  Times are milliseconds since 1970 UTC.  JSON columns hold the shapes of encoder_bridge.wire.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE job (
    job_id           INTEGER PRIMARY KEY AUTOINCREMENT,   -- order of arrival; also the card's sequence number
    access_method_id TEXT    NOT NULL,
    state            TEXT    NOT NULL,
    open             INTEGER,                             -- 1 until the job has ended, then NULL
    place            INTEGER NOT NULL,                    -- moment of joining the end of the queue
    not_before       INTEGER NOT NULL DEFAULT 0,
    attempt          INTEGER NOT NULL DEFAULT 0,
    faults           INTEGER NOT NULL DEFAULT 0,          -- ends in doubt or by a broken driver
    encoder          TEXT,
    profile          TEXT,
    credential       TEXT    NOT NULL,                    -- without fields and data
    origin           TEXT    NOT NULL,
    event_id         TEXT    NOT NULL,
    occurred_at      INTEGER,
    is_reissue       INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    state_at         INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL,
    intended_at      INTEGER,
    intent           TEXT,
    receipt          TEXT,
    issued_at        INTEGER,
    card_uid         TEXT,                                -- of the card that was issued
    error            TEXT
) STRICT;
CREATE INDEX job_of_method ON job (access_method_id);
CREATE INDEX job_in_turn ON job (place, job_id) WHERE open;
CREATE INDEX job_by_expiry ON job (expires_at) WHERE open;
CREATE INDEX job_on_card ON job (card_uid) WHERE card_uid IS NOT NULL;
CREATE INDEX job_ended ON job (state_at) WHERE open IS NULL;

-- Guests' names and rooms, erasable without touching the history.
CREATE TABLE personal (
    job_id INTEGER PRIMARY KEY,
    fields TEXT NOT NULL
) STRICT;

-- Card contents that the trigger brought; gone when the job ends.
CREATE TABLE contents (
    job_id INTEGER PRIMARY KEY,
    data   TEXT NOT NULL
) STRICT;

-- Every message that was taken in: the same id is the same need.
CREATE TABLE event (
    event_id    TEXT    PRIMARY KEY,
    digest      BLOB    NOT NULL,
    received_at INTEGER NOT NULL,
    job_id      INTEGER,
    reply_to    TEXT,
    correlation BLOB
) STRICT;
CREATE INDEX event_by_age ON event (received_at);
CREATE INDEX event_to_answer ON event (job_id) WHERE reply_to IS NOT NULL;

-- What is known of an access method beside its jobs.
CREATE TABLE method (
    access_method_id TEXT PRIMARY KEY,
    deleted_at       INTEGER,
    issued_at        INTEGER,                             -- by somebody else
    known_at         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE attempt (
    attempt_id INTEGER PRIMARY KEY,
    job_id     INTEGER NOT NULL,
    attempt    INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    what       TEXT    NOT NULL,
    encoder    TEXT,
    card       TEXT,
    detail     TEXT
) STRICT;
CREATE INDEX attempt_of_job ON attempt (job_id);
CREATE TRIGGER attempt_is_append_only BEFORE UPDATE ON attempt
BEGIN SELECT RAISE(ABORT, 'the attempts log is append-only'); END;

CREATE TABLE outbox (
    report_id   INTEGER PRIMARY KEY AUTOINCREMENT,
    kind        TEXT    NOT NULL,                         -- event, state, response
    name        TEXT    NOT NULL,                         -- event type, access method, verb
    reply_to    TEXT,
    correlation BLOB,
    body        TEXT    NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT;

-- Messages nobody can act on, kept for a week; every value that may be personal or secret is hidden.
CREATE TABLE poison (
    poison_id   INTEGER PRIMARY KEY,
    received_at INTEGER NOT NULL,
    verb        TEXT    NOT NULL,
    size        INTEGER NOT NULL,
    error       TEXT    NOT NULL,
    shown       TEXT    NOT NULL
) STRICT;
