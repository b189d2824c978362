//! Errors over HTTP (RFC 9457) and the stable codes that programs may rely on.

use alloc::{format, string::String, vec::Vec};

use serde::{Deserialize, Serialize};

/// Start of each problem's `type`; the code follows. A tag URI (RFC 4151): it identifies and needs no server.
pub const TYPE_PREFIX: &str = "tag:sealwright.internal,2026:problem/";

/// Body of every answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// [`TYPE_PREFIX`] and the code.
    #[serde(rename = "type")]
    pub type_: String,
    /// Short, the same for every problem of the code.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// One of [`Code`]; a string so that older clients read newer codes.
    pub code: String,
    /// What went wrong this time; for people.
    pub detail: String,
    /// Id that the operator finds in the logs.
    pub request_id: String,
    /// With `second_factor_required`: which ones the account has, of `totp`, `passkey` and `recovery_code`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub factors: Vec<String>,
    /// With `license_refused`: the code of the validation (docs/formats.md, 10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<String>,
}

impl Problem {
    /// A problem of the given code.
    #[must_use]
    pub fn new(code: Code, detail: String, request_id: String) -> Self {
        Self {
            type_: format!("{TYPE_PREFIX}{}", code.as_str()),
            title: code.title().into(),
            status: code.status(),
            code: code.as_str().into(),
            detail,
            request_id,
            factors: Vec::new(),
            validation: None,
        }
    }

    /// The code, when this version knows it.
    #[must_use]
    pub fn known_code(&self) -> Option<Code> {
        Code::parse(&self.code)
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $status:literal, $title:literal;)*) => {
        /// Stable reason codes. Names never change their meaning; new ones may come.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// All of them, in the order of their status.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The HTTP status that it is answered with.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// A short title for people.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

codes! {
    /// The request can't be read: not JSON, wrong shape, unknown field, bad query.
    Malformed = "malformed", 400, "the request can't be read";
    /// An account, app or enclave name breaks the rule.
    InvalidName = "invalid_name", 400, "the name is not allowed";
    /// A password is too short or too long.
    InvalidPassword = "invalid_password", 400, "the password is not allowed";
    /// A new passkey's answer is malformed, for another site, or for another challenge.
    InvalidPasskey = "invalid_passkey", 400, "the passkey can't be added";
    /// A password is common, known from a breach, or says little more than a name.
    KnownPassword = "known_password", 400, "the password is easy to guess";
    /// A plan's terms are out of bounds.
    InvalidTerms = "invalid_terms", 400, "the terms are not allowed";
    /// An idle timeout, a greatest age or an extension is outside the operator's bounds.
    InvalidLifetime = "invalid_lifetime", 400, "the time is not allowed";
    /// A digest is not 64 lower-case hex.
    InvalidDigest = "invalid_digest", 400, "the digest is not SHA-256 in lower-case hex";
    /// Uploaded bytes have another digest than their path says.
    DigestMismatch = "digest_mismatch", 400, "the bytes have another digest";
    /// The publisher's record is malformed, its signature wrong, or it is about another manifest.
    InvalidRecord = "invalid_record", 400, "the publisher's record is not valid for this manifest";
    /// Wrong name or password; the same answer for both.
    BadCredentials = "bad_credentials", 401, "wrong name or password";
    /// No `Authorization: Bearer`.
    TokenMissing = "token_missing", 401, "log in first";
    /// Not a token of ours for this audience, or bound to another certificate.
    TokenInvalid = "token_invalid", 401, "the token is not valid here";
    /// It was valid.
    TokenExpired = "token_expired", 401, "the token has expired";
    /// The session has been signed out or revoked.
    SessionRevoked = "session_revoked", 401, "the session has ended";
    /// A refresh token came a second time; the session has been ended.
    RefreshReused = "refresh_reused", 401, "the refresh token was used before; the session has been ended";
    /// The password was right and a second factor is needed too; `factors` says which there are.
    SecondFactorRequired = "second_factor_required", 401, "a second factor is needed";
    /// The second factor is wrong, was used before, or the account has none of this kind.
    SecondFactorInvalid = "second_factor_invalid", 401, "the second factor is not valid";
    /// The passkey is unknown, or what it said is not acceptable.
    PasskeyRefused = "passkey_refused", 401, "the passkey is refused";
    /// The other provider has not let in whom it sent, or what came back is not acceptable.
    OidcRefused = "oidc_refused", 401, "the sign-in at the other provider is refused";
    /// This changes how the account is opened: the password or a second factor has to be given again, and the one given is wrong.
    ProofRequired = "proof_required", 403, "prove again that it is you";
    /// The sign-in at the other provider was right, and no account here belongs to it.
    IdentityUnknown = "identity_unknown", 403, "no account belongs to this sign-in";
    /// A page of another origin sent this.
    CrossSite = "cross_site", 403, "the request comes from another site";
    /// The password was right, and an admin has disabled the account.
    AccountDisabled = "account_disabled", 403, "the account is disabled";
    /// The old password is wrong.
    WrongPassword = "wrong_password", 403, "the old password is wrong";
    /// This needs a TLS client certificate.
    CertificateRequired = "certificate_required", 403, "a client certificate is needed";
    /// No licence of the caller's allows it; `validation` says why.
    LicenseRefused = "license_refused", 403, "no license allows this";
    /// The client certificate's key is not the enclave's owner.
    NotTheOwner = "not_the_owner", 403, "the client certificate is not the enclave's owner";
    /// There is nothing of that name that is yours.
    NotFound = "not_found", 404, "not found";
    /// There is no such path.
    NoSuchRoute = "no_such_route", 404, "no such path";
    /// The path has other methods.
    MethodNotAllowed = "method_not_allowed", 405, "the method is not allowed here";
    /// The request took too long to arrive.
    RequestTimeout = "request_timeout", 408, "the request took too long";
    /// The name is in use.
    NameTaken = "name_taken", 409, "the name is in use";
    /// The same name and version were published with another content or by another publisher.
    VersionConflict = "version_conflict", 409, "this version was published with other content";
    /// Blobs of the manifest have not been uploaded.
    BlobsMissing = "blobs_missing", 409, "upload the files first";
    /// This sign-in at another provider opens another account.
    IdentityTaken = "identity_taken", 409, "this sign-in opens another account";
    /// This passkey is registered, or the account has as many as allowed.
    PasskeyConflict = "passkey_conflict", 409, "the passkey can't be added to this account";
    /// The enclave is in a state that does not allow this.
    WrongState = "wrong_state", 409, "the enclave's state does not allow this";
    /// An admin can't do this to the own account.
    OwnAccount = "own_account", 409, "not to your own account";
    /// The licence or plan is in a state that does not allow this: revoked, retired, perpetual.
    LicenseState = "license_state", 409, "the license's state does not allow this";
    /// The user has as many active enclaves as allowed.
    QuotaExceeded = "quota_exceeded", 409, "no more enclaves allowed";
    /// A request with the same `Idempotency-Key` is being done; see `Retry-After`.
    IdempotencyRunning = "idempotency_running", 409, "a request with this key is being done";
    /// The user stores as many bytes as allowed.
    StorageQuotaExceeded = "storage_quota_exceeded", 409, "no more files allowed";
    /// `If-Match` names none of the tags that the thing has now.
    PreconditionFailed = "precondition_failed", 412, "it has changed";
    /// The body exceeds its bound.
    TooLarge = "too_large", 413, "the body is too large";
    /// The body's media type is not the one needed.
    UnsupportedMediaType = "unsupported_media_type", 415, "the media type is not supported";
    /// The `Idempotency-Key` came with another request before.
    IdempotencyMismatch = "idempotency_mismatch", 422, "the key was used for another request";
    /// Too many attempts at this account or its second factors, from this address, or devices that wait; see `Retry-After`.
    TooManyAttempts = "too_many_attempts", 429, "too many attempts";
    /// Enclaves are started too often; see `Retry-After`.
    TooManyStarts = "too_many_starts", 429, "too many starts";
    /// Our fault; the request id leads to the cause.
    Internal = "internal", 500, "an error of ours";
    /// The enclave, or its node, gives no evidence.
    EvidenceUnavailable = "evidence_unavailable", 502, "the enclave gives no evidence";
    /// Too much work at once; see `Retry-After`.
    Busy = "busy", 503, "busy, try again";
    /// The database does not answer or is busy; nothing has happened. See `Retry-After`.
    DatabaseUnavailable = "database_unavailable", 503, "the database does not answer";
    /// The server has no room left; nothing has happened. See `Retry-After`.
    StorageFull = "storage_full", 503, "the server's storage is full";
    /// The connection to the database was lost while a change was being made to last: look before asking again.
    OutcomeUnknown = "outcome_unknown", 503, "whether it was done is not known";
    /// What passwords are checked against can't be read, and the operator wants no unchecked one.
    PasswordsUnchecked = "passwords_unchecked", 503, "new passwords can't be checked now";
    /// Another provider does not answer, or not as it should.
    OidcUnavailable = "oidc_unavailable", 503, "the other provider does not answer";
    /// The node has no room for another enclave now; see `Retry-After`.
    NoCapacity = "no_capacity", 503, "no capacity";
    /// The controller does not answer.
    ControllerUnavailable = "controller_unavailable", 503, "server operations do not answer";
    /// It took too long here; whether it will be done is not known.
    ServerTimeout = "server_timeout", 504, "it took too long";
}

impl Code {
    /// Reads [`Code::as_str`] back.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_read_back_and_are_distinct() {
        for code in Code::ALL {
            assert_eq!(Code::parse(code.as_str()), Some(*code));
        }
    }

    #[test]
    fn statuses_are_sorted_errors() {
        assert!(Code::ALL.is_sorted_by_key(|code| code.status()));
        assert!(Code::ALL.iter().all(|code| (400..600).contains(&code.status())));
    }
}
