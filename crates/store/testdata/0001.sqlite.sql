-- A database of the first released schema, with rows; made by Python's sqlite3 iterdump from a database that held them. Frozen: never edit.
BEGIN TRANSACTION;
CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO "_sqlx_migrations" VALUES(1,'start','2025-11-20 10:00:00',1,X'2A4690C8BD03DF88FEBF0C4FCA014521CC3FDB219C28FDABA684C86359AEA051A42532A2131A28A17B439C002CAA3306',1000);
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
INSERT INTO "apps" VALUES('hello','1','7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed','{}','a.b.c','4f03a060b7eb032972dcb327f2c989b14d5e73c35b3d5928a6f875ca39c159ba','01010101010101010101010101010101',1,1750000030);
INSERT INTO "apps" VALUES('hello','2','3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3','{"name":"hello"}','a.b.d','4f03a060b7eb032972dcb327f2c989b14d5e73c35b3d5928a6f875ca39c159ba','01010101010101010101010101010101',2,1750000031);
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
INSERT INTO "enclaves" VALUES('11111111111111111111111111111111','01010101010101010101010101010101','alice','notes','hello','1','7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed','4c1029697ee358715d3a14a2add817c4b01651440de808371f78165ac90dc581','notes-01010101010101010101010101010101.enclaves.localhost','running','running',NULL,2,4242,777,1750000057,1750000067);
INSERT INTO "enclaves" VALUES('12121212121212121212121212121212','01010101010101010101010101010101','alice','wiki','hello','1','7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed','4c1029697ee358715d3a14a2add817c4b01651440de808371f78165ac90dc581','wiki-01010101010101010101010101010101.enclaves.localhost','failed','running','spawn',1,NULL,NULL,1750000058,1750000068);
INSERT INTO "enclaves" VALUES('13131313131313131313131313131313','02020202020202020202020202020202','bob','notes','hello','1','7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed','4c1029697ee358715d3a14a2add817c4b01651440de808371f78165ac90dc581','notes-02020202020202020202020202020202.enclaves.localhost','stopped','stopped',NULL,5,NULL,NULL,1750000059,1750000069);
INSERT INTO "enclaves" VALUES('14141414141414141414141414141414','02020202020202020202020202020202','bob','old','hello','1','7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed','4c1029697ee358715d3a14a2add817c4b01651440de808371f78165ac90dc581','old-02020202020202020202020202020202.enclaves.localhost','stopping','deleted',NULL,1,4243,778,1750000060,1750000070);
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
INSERT INTO "sessions" VALUES('0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a','01010101010101010101010101010101','a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e',3,'03d66dd08835c1ca3f128cceacd1f31ac94163096b20f445ae84285bc0832d72',1750000010,4000000000,NULL);
INSERT INTO "sessions" VALUES('0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b','02020202020202020202020202020202','16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4',0,NULL,1750000011,4000000000,1750000020);
CREATE TABLE spent_refresh_tokens (
    refresh_hash TEXT PRIMARY KEY NOT NULL,
    session_id   TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE
);
INSERT INTO "spent_refresh_tokens" VALUES('7cf467affb88616efc4baa449897088c274d6a0223444cf19437b775ebf50f67','0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a');
CREATE TABLE users (
    id            TEXT   PRIMARY KEY NOT NULL,
    name          TEXT   NOT NULL UNIQUE, -- lower case
    password_hash TEXT   NOT NULL,        -- PHC string
    created_at    BIGINT NOT NULL
);
INSERT INTO "users" VALUES('01010101010101010101010101010101','alice','$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaA',1750000000);
INSERT INTO "users" VALUES('02020202020202020202020202020202','bob','$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaA',1750000001);
CREATE INDEX sessions_user ON sessions (user_id, created_at);
CREATE INDEX sessions_expiry ON sessions (expires_at);
CREATE INDEX spent_refresh_tokens_session ON spent_refresh_tokens (session_id);
COMMIT;
