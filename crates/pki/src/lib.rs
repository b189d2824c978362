//! Certificates, requests and signed tokens as values.
//!
//! What it is: strict parsing of X.509 and PKCS#10, the project's certificate profiles with every field
//! set by us, path checks, compact ES256 tokens, JWK sets and access tokens.
//!
//! What it is not: a place for keys (see `attested-tls` and `signer`), a clock or a source of randomness:
//! callers pass the time, the validity and the serial number.
//!
//! Callers: every part that reads or makes a certificate or a token.
//!
//! X.509 is read and written here on top of `der` alone: every field is set and checked by us, one form for each, and
//! what we do not know is refused instead of kept.
#![no_std]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod asn1;
mod build;
mod certificate;
pub mod csr;
pub mod ek;
pub mod enrolment;
mod extensions;
mod issue;
pub mod jwk;
pub mod jws;
mod oid;
pub mod path;
mod pem;
pub mod profile;
mod signature;
pub mod token;

pub use certificate::{Certificate, CertificateError};
pub use extensions::{BasicConstraints, KeyUsage};
pub use issue::{IssueError, Issuer, Serial, Validity};
pub use oid::Oid;
pub use pem::public_key_pem;
pub use signature::{
    PublicKey, PublicKeyError, SignatureAlgorithm, SignatureError, SigningError, SigningKey, SoftwareKey,
    ecdsa_der_to_raw, ecdsa_raw_to_der, p256_spki,
};

use sha2::{Digest, Sha256};

/// SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
