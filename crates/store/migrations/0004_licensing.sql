-- Plans never change: other terms are another plan.
CREATE TABLE plans (
    code       TEXT   PRIMARY KEY NOT NULL,
    terms      TEXT   NOT NULL,           -- JSON
    created_at BIGINT NOT NULL,
    retired_at BIGINT
);

CREATE TABLE licenses (
    id            TEXT   PRIMARY KEY NOT NULL,
    plan          TEXT   NOT NULL REFERENCES plans (code),
    holder        TEXT   NOT NULL REFERENCES users (id),
    node          TEXT,                   -- TPM name of the attestation key of the one node
    issued_at     BIGINT NOT NULL,
    expires_at    BIGINT,
    suspended_at  BIGINT,
    revoked_at    BIGINT,
    checked_in_at BIGINT NOT NULL,
    used_at       BIGINT,
    expiry_told   BIGINT,                 -- the expiry that was told, so that each is told once
    event_seq     BIGINT NOT NULL
);
CREATE INDEX licenses_holder ON licenses (holder);

CREATE TABLE license_users (
    license_id TEXT   NOT NULL REFERENCES licenses (id),
    user_id    TEXT   NOT NULL REFERENCES users (id),
    added_at   BIGINT NOT NULL,
    PRIMARY KEY (license_id, user_id)
);
CREATE INDEX license_users_user ON license_users (user_id);

CREATE TABLE license_entitlements (
    license_id  TEXT NOT NULL REFERENCES licenses (id),
    entitlement TEXT NOT NULL,
    PRIMARY KEY (license_id, entitlement)
);

-- Which licence an enclave was started on last. It counts while the enclave is up.
CREATE TABLE license_leases (
    enclave_id  TEXT   PRIMARY KEY NOT NULL REFERENCES enclaves (id) ON DELETE CASCADE,
    license_id  TEXT   NOT NULL REFERENCES licenses (id),
    user_id     TEXT   NOT NULL REFERENCES users (id),
    started_at  BIGINT NOT NULL,
    pinged_at   BIGINT,
    revived_at  BIGINT,
    died_at     BIGINT,
    stops_at    BIGINT,                   -- announced, not done yet
    stop_reason TEXT
);
CREATE INDEX license_leases_license ON license_leases (license_id);

CREATE TABLE license_events (
    license_id TEXT   NOT NULL REFERENCES licenses (id),
    seq        BIGINT NOT NULL,           -- from 1, without gaps, per licence
    at         BIGINT NOT NULL,
    event      TEXT   NOT NULL,
    subject    TEXT   NOT NULL,           -- user id, enclave id, entitlement or node; may be empty
    PRIMARY KEY (license_id, seq)
);

-- Public halves of the keys that gateways sign licence files with.
CREATE TABLE license_keys (
    kid        TEXT   PRIMARY KEY NOT NULL,
    public_key TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    retires_at BIGINT                     -- no file of it is in force from then on
);
