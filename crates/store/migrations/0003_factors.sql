-- Second factors, device codes and identities of other providers.
CREATE TABLE totp (
    user_id    TEXT   PRIMARY KEY NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    secret     TEXT   NOT NULL,           -- sealed with the key file
    last_step  BIGINT NOT NULL,           -- of the newest code that was used: a code works once
    created_at BIGINT NOT NULL
);

-- Secrets that were shown and not confirmed by a code yet.
CREATE TABLE totp_offers (
    user_id    TEXT   PRIMARY KEY NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    secret     TEXT   NOT NULL,           -- sealed with the key file
    expires_at BIGINT NOT NULL
);

CREATE TABLE recovery_codes (
    user_id   TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    code_hash TEXT NOT NULL,              -- SHA-256
    PRIMARY KEY (user_id, code_hash)
);

-- Wrong second factors since the last right one.
CREATE TABLE factor_failures (
    user_id  TEXT   PRIMARY KEY NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    failures BIGINT NOT NULL,
    last_at  BIGINT NOT NULL
);

CREATE TABLE passkeys (
    id         TEXT   PRIMARY KEY NOT NULL, -- the credential's id, hex: unique across accounts
    user_id    TEXT   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name       TEXT   NOT NULL,
    public_key TEXT   NOT NULL,             -- COSE_Key, hex
    counter    BIGINT NOT NULL,             -- the authenticator's; 0 where it does not count
    created_at BIGINT NOT NULL,
    used_at    BIGINT
);
CREATE INDEX passkeys_user ON passkeys (user_id, created_at);

-- Challenges that were answered with a good signature, until their end.
CREATE TABLE spent_challenges (
    hash       TEXT   PRIMARY KEY NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX spent_challenges_expiry ON spent_challenges (expires_at);

CREATE TABLE device_codes (
    device_hash    TEXT   PRIMARY KEY NOT NULL, -- SHA-256 of the device code
    user_code_hash TEXT   NOT NULL UNIQUE,      -- SHA-256 of the user code
    cnf            TEXT,                        -- SHA-256 of the device's client certificate
    address        TEXT   NOT NULL,             -- keyed hash of the device's address
    agent          TEXT   NOT NULL,             -- what the device calls itself
    state          TEXT   NOT NULL,             -- pending, approved, denied, redeemed
    poll_interval  BIGINT NOT NULL,
    polled_at      BIGINT NOT NULL,
    session_id     TEXT,                        -- the session that approved: it has to hold until the code is redeemed
    created_at     BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL
);
CREATE INDEX device_codes_expiry ON device_codes (expires_at);
CREATE INDEX device_codes_address ON device_codes (address, expires_at);

-- Wrong user codes of an account since a time.
CREATE TABLE user_code_failures (
    user_id  TEXT   PRIMARY KEY NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    failures BIGINT NOT NULL,
    since    BIGINT NOT NULL
);

-- Accounts of other providers. The pair is the whole identity: no address or name is ever compared.
CREATE TABLE identities (
    issuer     TEXT   NOT NULL,
    subject    TEXT   NOT NULL,
    user_id    TEXT   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX identities_user ON identities (user_id);
