-- The life of an enclave: who does the work, what has happened, when it ends by itself.

-- Controllers that are at work. A beat is a counter, not a time: whoever sees it stand still by its own clock may bury it.
CREATE TABLE controllers (
    id         TEXT   PRIMARY KEY NOT NULL,
    node       TEXT   NOT NULL,           -- on which node it starts processes
    host       TEXT   NOT NULL,           -- within which process ids mean something: boot and pid namespace
    pid        BIGINT NOT NULL,
    start_time BIGINT NOT NULL,
    beat       BIGINT NOT NULL
);

ALTER TABLE enclaves ADD COLUMN controller TEXT;                   -- who has claimed it
ALTER TABLE enclaves ADD COLUMN node TEXT;                         -- where it was started last
ALTER TABLE enclaves ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;   -- counts claims; fences whoever lost one
ALTER TABLE enclaves ADD COLUMN since BIGINT NOT NULL DEFAULT 0;   -- when the state was entered
ALTER TABLE enclaves ADD COLUMN progress_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE enclaves ADD COLUMN cause TEXT;                        -- code below the reason: the verifier's, the exit status
ALTER TABLE enclaves ADD COLUMN message TEXT;                      -- the reason as a sentence
ALTER TABLE enclaves ADD COLUMN idle_timeout BIGINT;               -- seconds
ALTER TABLE enclaves ADD COLUMN max_age BIGINT;                    -- seconds
ALTER TABLE enclaves ADD COLUMN extend_until BIGINT;               -- a wish, until the controller has taken it
ALTER TABLE enclaves ADD COLUMN stops_at BIGINT;
ALTER TABLE enclaves ADD COLUMN stop_reason TEXT;
ALTER TABLE enclaves ADD COLUMN orphaned_at BIGINT;                -- its user waits for it no more; `name` and `host` are free
ALTER TABLE enclaves ADD COLUMN event_seq BIGINT NOT NULL DEFAULT 0;
UPDATE enclaves SET since = updated_at, progress_at = updated_at;
-- An enclave that failed is wanted again only when its user says so.
UPDATE enclaves SET desired = 'stopped' WHERE state = 'failed' AND desired = 'running';
UPDATE enclaves SET state = 'deleting' WHERE desired = 'deleted';
CREATE INDEX enclaves_controller ON enclaves (controller, state);

CREATE TABLE enclave_events (
    enclave_id TEXT   NOT NULL REFERENCES enclaves (id) ON DELETE CASCADE,
    seq        BIGINT NOT NULL,           -- from 1, without gaps, per enclave
    at         BIGINT NOT NULL,
    state      TEXT   NOT NULL,
    stage      TEXT   NOT NULL,
    message    TEXT   NOT NULL,
    reason     TEXT,
    cause      TEXT,
    progress   BIGINT NOT NULL,
    PRIMARY KEY (enclave_id, seq)
);

-- Token buckets: when each is full again.
CREATE TABLE rates (
    name    TEXT   PRIMARY KEY NOT NULL,
    full_at BIGINT NOT NULL
);

-- Who brought which file, to bound what one user stores.
CREATE TABLE blob_owners (
    digest      TEXT   NOT NULL,
    user_id     TEXT   NOT NULL REFERENCES users (id),
    size        BIGINT NOT NULL,
    uploaded_at BIGINT NOT NULL,
    PRIMARY KEY (digest, user_id)
);
CREATE INDEX blob_owners_user ON blob_owners (user_id);
