-- Ids and digests are lower-case hex, times unix seconds. Only SQL that PostgreSQL understands as well.
CREATE TABLE users (
    id            TEXT   PRIMARY KEY NOT NULL,
    name          TEXT   NOT NULL UNIQUE, -- lower case
    password_hash TEXT   NOT NULL,        -- PHC string
    created_at    BIGINT NOT NULL
);

CREATE TABLE sessions (
    id           TEXT   PRIMARY KEY NOT NULL,
    user_id      TEXT   NOT NULL REFERENCES users (id),
    refresh_hash TEXT   NOT NULL UNIQUE,  -- SHA-256 of the newest refresh token
    generation   BIGINT NOT NULL,         -- counts refreshes
    cnf          TEXT,                    -- SHA-256 of the client certificate that it is bound to
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    revoked_at   BIGINT
);
CREATE INDEX sessions_user ON sessions (user_id, created_at);
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- Refresh tokens that were exchanged: seeing one again means that somebody has a copy.
CREATE TABLE spent_refresh_tokens (
    refresh_hash TEXT PRIMARY KEY NOT NULL,
    session_id   TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE
);
CREATE INDEX spent_refresh_tokens_session ON spent_refresh_tokens (session_id);

CREATE TABLE apps (
    name       TEXT   NOT NULL,
    version    TEXT   NOT NULL,
    digest     TEXT   NOT NULL,           -- version digest
    manifest   TEXT   NOT NULL,           -- JSON
    record     TEXT   NOT NULL,           -- the publisher's JWS
    publisher  TEXT   NOT NULL,           -- SHA-256 of the publisher's SPKI
    owner      TEXT   NOT NULL REFERENCES users (id),
    position   BIGINT NOT NULL UNIQUE,    -- order of publishing
    created_at BIGINT NOT NULL,
    PRIMARY KEY (name, version)
);

CREATE TABLE enclaves (
    id             TEXT   PRIMARY KEY NOT NULL,
    user_id        TEXT   NOT NULL REFERENCES users (id),
    user_name      TEXT   NOT NULL,
    name           TEXT   NOT NULL,
    app            TEXT   NOT NULL,
    version        TEXT   NOT NULL,
    version_digest TEXT   NOT NULL,
    owner          TEXT   NOT NULL,       -- SHA-256 of the owner's SPKI
    host           TEXT   NOT NULL UNIQUE,
    state          TEXT   NOT NULL,
    desired        TEXT   NOT NULL,
    reason         TEXT,
    incarnation    BIGINT NOT NULL,
    root_pid       BIGINT,
    pid_start_time BIGINT,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    UNIQUE (user_id, name),
    FOREIGN KEY (app, version) REFERENCES apps (name, version)
);
