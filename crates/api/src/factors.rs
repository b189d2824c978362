//! Second factors: authenticator apps, recovery codes, passkeys.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::Secret;

/// What proves that it is the account's owner besides the password: exactly one of these.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SecondFactor {
    /// Six digits of an authenticator app; they work once.
    Totp(Secret),
    /// One of the account's recovery codes; it works once. Case, hyphens and spaces do not matter.
    RecoveryCode(Secret),
    /// A passkey's answer to a challenge of `POST /v1/sessions/passkey-challenge`.
    Passkey(Box<Assertion>),
}

/// The body of requests that change how an account is opened: the password or a second factor, fresh.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// The account's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// A second factor of the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_factor: Option<SecondFactor>,
}

/// Answer of `GET /v1/me/factors`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Factors {
    /// Since when there is an authenticator app, unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totp_since: Option<u64>,
    /// Passkeys.
    pub passkeys: Vec<Passkey>,
    /// Recovery codes that are left.
    pub recovery_codes: u64,
}

/// Answer of `POST /v1/me/totp`: to be shown once, as text or as a QR code. Nothing changes until a code of it is sent by `PUT /v1/me/totp`.
#[derive(Clone, Serialize, Deserialize)]
pub struct TotpOffer {
    /// The secret in base32.
    pub secret: Secret,
    /// `otpauth://totp/…`.
    pub uri: Secret,
    /// Until when it can be confirmed, unix seconds.
    pub expires_at: u64,
}

/// `PUT /v1/me/totp`: the first code of the offered secret. Answered 204.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TotpCode {
    /// Six digits.
    pub code: Secret,
}

/// Answer of `POST /v1/me/recovery-codes`: a new set, shown once; all older ones are void.
#[derive(Clone, Serialize, Deserialize)]
pub struct RecoveryCodes {
    /// Ten of them.
    pub codes: Vec<Secret>,
}

/// A passkey of the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passkey {
    /// The credential's id, base64url.
    pub id: String,
    /// What its owner calls it.
    pub name: String,
    /// Unix seconds.
    pub created_at: u64,
    /// Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<u64>,
}

/// `AuthenticationResponseJSON` (WebAuthn L3, 5.1.8.1); byte strings are base64url without padding.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Assertion {
    /// The credential's id.
    pub id: String,
    /// The same.
    pub raw_id: String,
    /// `public-key`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the authenticator said.
    pub response: AssertionResponse,
    /// Not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticator_attachment: Option<String>,
    /// Not looked at: none were asked for.
    #[serde(default)]
    pub client_extension_results: Extensions,
}

/// `AuthenticatorAssertionResponseJSON`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AssertionResponse {
    /// The client data, whose hash is signed.
    #[serde(rename = "clientDataJSON")]
    pub client_data_json: String,
    /// The authenticator data, which is signed.
    pub authenticator_data: String,
    /// The signature.
    pub signature: String,
    /// Whose passkey it says it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_handle: Option<String>,
}

/// `RegistrationResponseJSON` (WebAuthn L3, 5.1.8.1).
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Registration {
    /// The credential's id.
    pub id: String,
    /// The same.
    pub raw_id: String,
    /// `public-key`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the authenticator said.
    pub response: RegistrationResponse,
    /// Not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticator_attachment: Option<String>,
    /// Not looked at: none were asked for.
    #[serde(default)]
    pub client_extension_results: Extensions,
}

/// `AuthenticatorAttestationResponseJSON`. What a browser takes out of the attestation object for convenience is not looked at.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegistrationResponse {
    /// The client data.
    #[serde(rename = "clientDataJSON")]
    pub client_data_json: String,
    /// Authenticator data and attestation, CBOR.
    pub attestation_object: String,
    /// Not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticator_data: Option<String>,
    /// Not looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transports: Vec<String>,
    /// Not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// Not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key_algorithm: Option<i64>,
}

/// Outputs of extensions that nobody asked for; their values are skipped.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Extensions {}

/// `POST /v1/me/passkeys`. Answered 201 with [`Passkey`].
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddPasskey {
    /// What its owner calls it, see [`crate::bounds::PASSKEY_NAME_BYTES`].
    pub name: String,
    /// The browser's answer to the challenge.
    pub credential: Registration,
}

/// Answer of `POST /v1/me/passkeys/challenge`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RegistrationChallenge {
    /// For `PublicKeyCredential.parseCreationOptionsFromJSON`.
    pub public_key: CreationOptions,
}

/// `PublicKeyCredentialCreationOptionsJSON` (WebAuthn L3, 5.1.9).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreationOptions {
    /// base64url.
    pub challenge: String,
    /// For which site.
    pub rp: RelyingParty,
    /// For whom.
    pub user: PasskeyUser,
    /// Key types, the preferred one first.
    pub pub_key_cred_params: Vec<KeyType>,
    /// Milliseconds.
    pub timeout: u64,
    /// `none`.
    pub attestation: String,
    /// A passkey that verifies its user and is found without a name.
    pub authenticator_selection: Selection,
    /// Passkeys that the account has.
    pub exclude_credentials: Vec<Descriptor>,
}

/// `PublicKeyCredentialRpEntity`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RelyingParty {
    /// The host of the public origin.
    pub id: String,
    /// For people.
    pub name: String,
}

/// `PublicKeyCredentialUserEntityJSON`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PasskeyUser {
    /// The account's opaque id, base64url.
    pub id: String,
    /// The account's name.
    pub name: String,
    /// The same.
    pub display_name: String,
}

/// `PublicKeyCredentialParameters`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyType {
    /// `public-key`.
    #[serde(rename = "type")]
    pub kind: String,
    /// A COSE algorithm.
    pub alg: i32,
}

/// `PublicKeyCredentialDescriptorJSON`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Descriptor {
    /// `public-key`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The credential's id, base64url.
    pub id: String,
}

/// `AuthenticatorSelectionCriteria`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Selection {
    /// `required`.
    pub resident_key: String,
    /// The same for older browsers.
    pub require_resident_key: bool,
    /// `required`.
    pub user_verification: String,
}

/// Answer of `POST /v1/sessions/passkey-challenge`, of the same shape for everybody.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SignInChallenge {
    /// For `PublicKeyCredential.parseRequestOptionsFromJSON`.
    pub public_key: RequestOptions,
}

/// `PublicKeyCredentialRequestOptionsJSON` (WebAuthn L3, 5.1.10), without a list of passkeys: whoever asks learns of none.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestOptions {
    /// base64url.
    pub challenge: String,
    /// The host of the public origin.
    pub rp_id: String,
    /// Milliseconds.
    pub timeout: u64,
    /// `required`.
    pub user_verification: String,
}

/// `POST /v1/sessions/passkey`: a passkey instead of a name and a password. Answered 200 with [`crate::accounts::Tokens`].
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasskeySignIn {
    /// The browser's answer to the challenge.
    pub credential: Assertion,
}
