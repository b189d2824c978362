ALTER TABLE users ADD COLUMN role TEXT NOT NULL DEFAULT 'user';
ALTER TABLE users ADD COLUMN disabled_at BIGINT;

ALTER TABLE sessions ADD COLUMN used_at BIGINT NOT NULL DEFAULT 0; -- to within a few minutes
ALTER TABLE sessions ADD COLUMN client TEXT NOT NULL DEFAULT '';   -- what the client said it is

-- Attempts, counted before anything is hashed. A bucket is a keyed hash of an account's name or of an address.
CREATE TABLE limits (
    bucket     TEXT   PRIMARY KEY NOT NULL,
    failures   BIGINT NOT NULL,  -- of an account, since the last success
    until      BIGINT NOT NULL,  -- unix milliseconds: an account is locked until then; an address's bucket is full again then
    expires_at BIGINT NOT NULL   -- unix seconds
);
CREATE INDEX limits_expiry ON limits (expires_at);

-- The key of each day's address tags. Yesterday's key is deleted, and with it what its tags could be linked to.
CREATE TABLE address_keys (
    day BIGINT PRIMARY KEY NOT NULL, -- days since 1970
    key TEXT   NOT NULL              -- 32 random bytes
);

-- Public halves of the keys that gateways sign tokens with. A running gateway keeps its own from expiring.
CREATE TABLE token_keys (
    kid        TEXT   PRIMARY KEY NOT NULL,
    jwk        TEXT   NOT NULL,      -- JSON of the public key
    created_at BIGINT NOT NULL,
    retires_at BIGINT NOT NULL       -- no token of it is accepted from then on
);

CREATE TABLE audit (
    seq     BIGINT PRIMARY KEY NOT NULL, -- 1, 2, 3 and so on
    at      BIGINT NOT NULL,
    actor   TEXT   NOT NULL,         -- user id, or empty: nobody who is known
    action  TEXT   NOT NULL,
    subject TEXT   NOT NULL,         -- user id, session id or name
    result  TEXT   NOT NULL,         -- ok, or the code of the refusal
    request TEXT   NOT NULL,
    address TEXT   NOT NULL,         -- the day's tag of the address
    prev    TEXT   NOT NULL,         -- hash of the entry before
    hash    TEXT   NOT NULL UNIQUE
);
CREATE INDEX audit_actor ON audit (actor, seq);
CREATE INDEX audit_subject ON audit (subject, seq);

-- One row: the end of the chain. Whoever appends changes it first, and so appends one after another.
CREATE TABLE audit_head (
    id   BIGINT PRIMARY KEY NOT NULL,
    seq  BIGINT NOT NULL,
    hash TEXT   NOT NULL
);
INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');
