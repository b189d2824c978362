//! Bodies of the original licensing server's routes, with its field names, and what its README promised beside them: quote, attestation
//! key and certificate.

use alloc::string::String;

use base64ct::{Base64UrlUnpadded, Encoding};
use evidence::{Bytes, Evidence, Proof, Statement};
use names::Digest;
use pki::Certificate;
use serde::{Deserialize, Serialize};
use tpm2::PublicArea;

use crate::Secret;

/// `POST /signup`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Who {
    /// Account name.
    pub username: String,
    /// Its password.
    pub password: Secret,
}

/// `POST /login`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// Account name.
    pub username: String,
    /// Its password.
    pub password: Secret,
    /// With one ([`nonce`]), the answer has a quote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
}

/// `POST /enclave`, at the enclave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Knock {
    /// Account name; the token's `username` must be the same.
    pub username: String,
    /// With one ([`nonce`]), the answer has a quote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
}

/// Answer to [`Knock`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// For people.
    pub message: String,
    /// What was asked for with a nonce.
    #[serde(flatten)]
    pub quoted: Option<Quoted>,
}

/// What a TPM said of an enclave: enough to check the signature over the nonce and the certificate. What the key, the registers and the log
/// are worth is in the whole bundle (docs/formats.md, 3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quoted {
    /// TPMS_ATTEST.
    pub quote: Bytes,
    /// TPMT_SIGNATURE over it.
    pub quote_signature: Bytes,
    /// The statement, which holds nonce and certificate.
    pub statement: Bytes,
    /// How the quote commits to it.
    pub proof: Proof,
    /// The key that signed, SubjectPublicKeyInfo as PEM.
    pub attestation_public_key: String,
    /// The enclave's TLS certificate as PEM.
    pub certificate: String,
}

impl Quoted {
    /// A bundle's, where its statement is over this nonce and its own certificate; none where it is not.
    #[must_use]
    pub fn of(bundle: Evidence, nonce: &[u8; 32]) -> Option<Self> {
        let statement = Statement::parse(&bundle.statement.0).ok()?;
        let certificate = Certificate::from_der(&bundle.certificate?.0).ok()?;
        let stated = statement.certificate == Some(Digest::from_bytes(certificate.sha256()));
        if statement.nonce != *nonce || !stated {
            return None;
        }
        let key = PublicArea::parse(&bundle.ak_public.0).ok()?.spki_der().ok()?;
        Some(Self {
            quote: bundle.quote,
            quote_signature: bundle.signature,
            statement: bundle.statement,
            proof: bundle.proof,
            attestation_public_key: pki::public_key_pem(&key),
            certificate: certificate.to_pem(),
        })
    }
}

/// Reads a nonce: 32 bytes as 64 lower-case hex digits, or as 43 characters of base64url without padding.
#[must_use]
pub fn nonce(text: &str) -> Option<[u8; 32]> {
    if text.len() == 64 {
        return names::unhex(text).ok();
    }
    let mut bytes = [0; 32];
    let length = Base64UrlUnpadded::decode(text, &mut bytes).ok()?.len();
    (length == bytes.len()).then_some(bytes)
}

/// Answer to a sign-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedUp {
    /// `true`.
    pub success: bool,
    /// For people.
    pub message: String,
}

/// Answer to a login.
#[derive(Clone, Serialize, Deserialize)]
pub struct LoggedIn {
    /// `true`.
    pub success: bool,
    /// For people.
    pub message: String,
    /// The user's enclave of the default app.
    #[serde(rename = "enclaveName")]
    pub enclave_name: String,
    /// Where it answers: its name, never resolved, and the edge's port.
    #[serde(rename = "accessPoint")]
    pub access_point: String,
    /// For this enclave, bound to the client certificate.
    pub token: Secret,
    /// What was asked for with a nonce.
    #[serde(flatten)]
    pub quoted: Option<Quoted>,
}

/// A sign-up that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Why.
    pub error: String,
}

/// A login with a wrong name or password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrongPassword {
    /// `Invalid credentials`.
    pub message: String,
}
