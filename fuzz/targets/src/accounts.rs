//! Licence files, passkeys, and tokens of other providers.
//!
//! Signatures stand between an attacker and what is behind them; here they are made to hold, so that what is behind is reached too.

use std::sync::OnceLock;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64ct::{Base64UrlUnpadded, Encoding};
use factors::webauthn::{self, PublicKey, RegistrationParts, Site};
use licensing::{LicenseFile, VerifyKey};
use oidc::{Expected, Keys};

/// The time at which the seeds are in force.
const NOW: u64 = 1_800_000_000;
/// The key whose id the seeds name.
const KEY: [u8; 32] = [7; 32];

pub(crate) fn license_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let keys = [VerifyKey::from_bytes(KEY)];
    let Ok(read) = LicenseFile::verify(text, &keys, |_, _, _| true, NOW) else { return };
    let content = read.dataset();
    assert_eq!(content.expiry, content.issued + content.ttl);
    assert!(content.issued <= NOW + 60 && NOW < content.expiry, "accepted only while it is in force");
    let again = licensing::assemble(content.enc(), &[0; 64]);
    assert_eq!(LicenseFile::verify(&again, &keys, |_, _, _| true, NOW).as_ref(), Ok(&read));
}

const SITE: Site<'_> = Site { origin: "https://portal.example", id: "portal.example" };
const CHALLENGE: &[u8] = b"0123456789abcdef";
const CREATED: &[u8] =
    br#"{"type":"webauthn.create","challenge":"MDEyMzQ1Njc4OWFiY2RlZg","origin":"https://portal.example","crossOrigin":false}"#;

/// What a browser says about a passkey: its JSON.
pub(crate) fn passkey_client_data(bytes: &[u8]) {
    let Ok(challenge) = webauthn::challenge(bytes) else { return };
    let parts = RegistrationParts { id: b"a credential", client_data: bytes, attestation_object: b"\xa0" };
    assert!(webauthn::register(SITE, &challenge, &parts).is_err(), "an empty attestation object makes no passkey");
}

/// What an authenticator says: CBOR around authenticator data.
pub(crate) fn passkey_attestation(bytes: &[u8]) {
    let parts = RegistrationParts { id: b"a credential", client_data: CREATED, attestation_object: bytes };
    let Ok(made) = webauthn::register(SITE, CHALLENGE, &parts) else { return };
    assert!(PublicKey::from_hex(&made.public_key()).is_ok(), "a passkey that is kept can be checked");
}

/// A public key of an authenticator.
pub(crate) fn passkey_key(bytes: &[u8]) {
    let Ok(key) = PublicKey::parse(bytes) else { return };
    let parts = webauthn::AssertionParts {
        id: b"a credential",
        client_data: CREATED,
        authenticator_data: bytes,
        signature: bytes,
    };
    assert!(webauthn::verify(SITE, CHALLENGE, &key, &parts).is_err(), "nothing was signed");
}

/// A whole ID token, as a provider sends it; nobody has signed it.
pub(crate) fn id_token(bytes: &[u8]) {
    let Ok(token) = std::str::from_utf8(bytes) else { return };
    assert!(oidc::check_id_token(token, &signer().1, &EXPECTED).is_err(), "nobody has signed it");
}

/// The claims of an ID token that its provider did sign.
pub(crate) fn id_token_claims(bytes: &[u8]) {
    let (key, keys) = signer();
    let encode = Base64UrlUnpadded::encode_string;
    let signed = format!("{}.{}", encode(br#"{"alg":"EdDSA","kid":"a"}"#), encode(bytes));
    let token = format!("{signed}.{}", encode(key.sign(signed.as_bytes()).as_ref()));
    let Ok(who) = oidc::check_id_token(&token, keys, &EXPECTED) else { return };
    assert_eq!(who.issuer(), EXPECTED.issuer);
    assert!(!who.subject().is_empty() && who.subject().is_ascii());
}

/// Keys of a provider.
pub(crate) fn id_token_keys(bytes: &[u8]) {
    let Ok(keys) = Keys::parse(bytes) else { return };
    assert!(oidc::check_id_token("e30.e30.AA", &keys, &EXPECTED).is_err(), "that is no token");
}

const EXPECTED: Expected<'_> =
    Expected { issuer: "https://id.example", client_id: "sealwright", nonce: "a nonce", now: NOW };

fn signer() -> &'static (Ed25519KeyPair, Keys) {
    static SIGNER: OnceLock<(Ed25519KeyPair, Keys)> = OnceLock::new();
    SIGNER.get_or_init(|| {
        let key = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).expect("32 bytes are a seed");
        let x = Base64UrlUnpadded::encode_string(key.public_key().as_ref());
        let set = format!(r#"{{"keys":[{{"kid":"a","kty":"OKP","crv":"Ed25519","use":"sig","x":"{x}"}}]}}"#);
        let keys = Keys::parse(set.as_bytes()).expect("a key set of one key");
        (key, keys)
    })
}
