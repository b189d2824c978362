-- Requests that came with an Idempotency-Key, and their answers, for a day.
CREATE TABLE idempotency (
    user_id     TEXT   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key_hash    TEXT   NOT NULL,  -- SHA-256 of the key
    fingerprint TEXT   NOT NULL,  -- SHA-256 of what was asked
    run         TEXT   NOT NULL,  -- which execution it is
    started_at  BIGINT NOT NULL,
    status      BIGINT,           -- null while it runs
    media_type  TEXT,
    body        TEXT,
    PRIMARY KEY (user_id, key_hash)
);
CREATE INDEX idempotency_age ON idempotency (started_at);
