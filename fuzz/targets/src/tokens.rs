//! Certificates, requests and tokens.

use pki::csr::Csr;
use pki::jwk::Jwks;
use pki::jws::Unverified;
use pki::{Certificate, Oid, PublicKey};

pub(crate) fn certificate(bytes: &[u8]) {
    let Ok(certificate) = Certificate::from_der(bytes) else { return };
    assert_eq!(certificate.der(), bytes, "a certificate keeps its bytes");
    assert_eq!(Certificate::from_pem(&certificate.to_pem()).as_ref(), Ok(&certificate));
    if let Ok(key) = certificate.public_key() {
        let _ = certificate.verify_signature(&key);
    }
    let _ = pki::path::verify(
        &[bytes],
        std::slice::from_ref(&certificate),
        certificate.not_before(),
        Oid::AK_ENCLAVE,
    );
}

pub(crate) fn csr(bytes: &[u8]) {
    let Ok(request) = Csr::from_der(bytes) else { return };
    assert_eq!(request.der(), bytes, "a request keeps its bytes");
    assert!(PublicKey::from_spki(request.spki()).is_ok(), "a request has a key of ours");
}

pub(crate) fn jws(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(token) = Unverified::parse(text) else { return };
    let _ = (token.typ(), token.key_id());
    let first = token.chain().and_then(|chain| chain.first()).and_then(|der| Certificate::from_der(der).ok());
    if let Some(key) = first.and_then(|leaf| leaf.public_key().ok()) {
        let _ = token.verify(&key).map(|verified| verified.claims::<serde_json::Value>().is_ok());
    }
}

pub(crate) fn jwks(bytes: &[u8]) {
    let Ok(keys) = Jwks::parse(bytes) else { return };
    assert_eq!(Jwks::parse(keys.to_json().as_bytes()).as_ref(), Ok(&keys));
}
