//! Certificates, paths, requests and tokens, against OpenSSL and against their own refusals.
#![allow(clippy::unwrap_used)]

mod build;
mod ek;
mod hostile;
mod paths;
mod tokens;

use std::process::Command;

use names::{Part, TrustDomain};
use pki::profile::{self, KeyPurpose};
use pki::{Certificate, Issuer, Oid, Serial, SigningKey, SoftwareKey, Validity, csr, path, path::PathError};

pub(crate) const NOW: u64 = 1_795_000_000;
pub(crate) const HOUR: u64 = 3600;

pub(crate) fn key(seed: u8) -> SoftwareKey {
    SoftwareKey::from_bytes(&[seed; 32]).unwrap()
}

pub(crate) fn serial(seed: u8) -> Serial {
    Serial::from_random([seed; 16])
}

pub(crate) fn domain() -> TrustDomain {
    "sealwright.internal".parse().unwrap()
}

/// A root, an issuing authority and the keys of both.
pub(crate) struct Authorities {
    pub(crate) root: Certificate,
    pub(crate) issuing: Certificate,
    pub(crate) issuing_key: SoftwareKey,
}

pub(crate) fn authorities() -> Authorities {
    let (root_key, issuing_key) = (key(1), key(2));
    let root = profile::Root { common_name: "Sealwright Root" }
        .issue(&root_key, Validity::starting(NOW, profile::ROOT_LIFE), serial(1))
        .unwrap();
    let issuing = profile::Issuing { common_name: "Sealwright Issuing" }
        .issue(
            &Issuer::new(&root, &root_key).unwrap(),
            issuing_key.public_key_spki(),
            Validity::starting(NOW, profile::ISSUING_LIFE),
            serial(2),
        )
        .unwrap();
    Authorities { root, issuing, issuing_key }
}

impl Authorities {
    pub(crate) fn issuer(&self) -> Issuer<'_> {
        Issuer::new(&self.issuing, &self.issuing_key).unwrap()
    }

    pub(crate) fn facade(&self) -> Certificate {
        let enclave = domain().enclave(&names::EnclaveId::from_bytes([7; 16]));
        profile::Facade { dns_name: "notes-alice.enclaves.localhost", enclave: &enclave }
            .issue(&self.issuer(), key(3).public_key_spki(), Validity::starting(NOW, HOUR), serial(3))
            .unwrap()
    }

    pub(crate) fn chain(&self, leaf: &Certificate) -> Vec<Vec<u8>> {
        [leaf, &self.issuing, &self.root].iter().map(|certificate| certificate.der().to_vec()).collect()
    }
}

pub(crate) fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn openssl_verifies_our_chains() {
    let authorities = authorities();
    let part = profile::Part { part: Part::Verifier, trust_domain: &domain(), dns_names: &["localhost"] }
        .issue(&authorities.issuer(), key(4).public_key_spki(), Validity::starting(NOW, HOUR), serial(4))
        .unwrap();
    let node = domain().node("node-1").unwrap();
    let attestation = profile::AttestationKey { node: &node, purpose: KeyPurpose::Enclave }
        .issue(&authorities.issuer(), key(5).public_key_spki(), Validity::starting(NOW, HOUR), serial(5))
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, certificate: &Certificate| {
        let path = folder.path().join(name);
        std::fs::write(&path, certificate.to_pem()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let root = write("root", &authorities.root);
    let issuing = write("issuing", &authorities.issuing);
    let at = (NOW + 60).to_string();
    for (leaf, purpose) in [(authorities.facade(), "sslserver"), (part, "sslclient"), (attestation, "any")] {
        let leaf = write("leaf", &leaf);
        openssl(&[
            "verify",
            "-x509_strict",
            "-attime",
            &at,
            "-purpose",
            purpose,
            "-CAfile",
            &root,
            "-untrusted",
            &issuing,
            &leaf,
        ]);
    }
    let text = openssl(&["x509", "-noout", "-text", "-in", &write("facade", &authorities.facade())]);
    for wanted in [
        "DNS:notes-alice.enclaves.localhost, URI:spiffe://sealwright.internal/enclave/07070707070707070707070707070707",
        "TLS Web Server Authentication",
        "X509v3 Basic Constraints: critical",
        "CA:FALSE",
        "X509v3 Key Usage: critical",
        "Digital Signature",
        "Signature Algorithm: ecdsa-with-SHA256",
    ] {
        assert!(text.contains(wanted), "{wanted} not in {text}");
    }
}

#[test]
fn our_chains_verify_with_and_without_their_root() {
    let authorities = authorities();
    let leaf = authorities.facade();
    let chain = authorities.chain(&leaf);
    for chain in [&chain[..], &chain[..2]] {
        let verified =
            path::verify(chain, std::slice::from_ref(&authorities.root), NOW, Oid::SERVER_AUTH).unwrap();
        assert_eq!(verified.leaf(), &leaf);
        assert_eq!(verified.anchor(), &authorities.root);
    }
    assert_eq!(
        path::verify(&chain, &[authorities.root], NOW, Oid::CLIENT_AUTH).unwrap_err(),
        PathError::Purpose
    );
}

#[test]
fn openssl_reads_our_requests_and_we_read_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let der = csr::build(&key(9), "enclave").unwrap();
    std::fs::write(path("ours.der"), &der).unwrap();
    openssl(&["req", "-inform", "der", "-in", &path("ours.der"), "-verify", "-noout"]);
    openssl(&[
        "req",
        "-new",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        &path("key"),
        "-subj",
        "/CN=x",
        "-addext",
        "subjectAltName=DNS:evil.example",
        "-outform",
        "der",
        "-out",
        &path("theirs.der"),
    ]);
    let theirs = std::fs::read(path("theirs.der")).unwrap();
    assert_eq!(csr::Csr::from_der(&theirs).unwrap().der(), theirs);
    assert_eq!(csr::Csr::from_der(&der).unwrap().spki(), key(9).public_key_spki());
}
