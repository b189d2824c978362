//! Endorsement certificates as a real manufacturer tool (swtpm_setup) makes them.

use std::{fs, path::Path, process::Command};

use names::Level;
use pki::{
    Certificate,
    ek::{self, EkAnchor},
    path::PathError,
};

use crate::{NOW, authorities};

/// In the year 2100: after every certificate was made, whenever the test runs.
const LATER: u64 = 4_102_444_800;

struct Manufacturer {
    root: Certificate,
    issuer: Certificate,
    rsa_ek: Certificate,
    p384_ek: Certificate,
}

fn manufacturer(folder: &Path) -> Manufacturer {
    let at = |name: &str| folder.join(name).display().to_string();
    fs::create_dir_all(folder.join("state")).unwrap();
    fs::create_dir_all(folder.join("out")).unwrap();
    fs::write(
        at("ca.conf"),
        format!(
            "statedir = {}\nsigningkey = {}\nissuercert = {}\ncertserial = {}\n",
            at(""),
            at("signkey.pem"),
            at("issuer.pem"),
            at("serial")
        ),
    )
    .unwrap();
    fs::write(at("options"), "").unwrap();
    fs::write(
        at("setup.conf"),
        format!(
            "create_certs_tool = /usr/bin/swtpm_localca\ncreate_certs_tool_config = {}\ncreate_certs_tool_options = {}\n",
            at("ca.conf"),
            at("options")
        ),
    )
    .unwrap();
    let output = Command::new("swtpm_setup")
        .args(["--tpm2", "--create-ek-cert", "--config", &at("setup.conf"), "--tpmstate", &at("state")])
        .args(["--write-ek-cert-files", &at("out")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let pem = |name: &str| Certificate::from_pem(&fs::read_to_string(folder.join(name)).unwrap()).unwrap();
    let der = |name: &str| Certificate::from_der(&fs::read(folder.join("out").join(name)).unwrap()).unwrap();
    Manufacturer {
        root: pem("swtpm-localca-rootca-cert.pem"),
        issuer: pem("issuer.pem"),
        rsa_ek: der("ek-rsa2048.crt"),
        p384_ek: der("ek-secp384r1.crt"),
    }
}

fn anchor(certificate: &Certificate) -> EkAnchor {
    EkAnchor { certificate: certificate.clone(), level: Level::Simulated, name: "swtpm".into() }
}

#[test]
fn real_endorsement_chains_verify_with_their_anchors_level() {
    let folder = tempfile::tempdir().unwrap();
    let made = manufacturer(folder.path());
    let ours = authorities();
    for leaf in [&made.rsa_ek, &made.p384_ek] {
        assert_eq!(leaf.directory_names().len(), 1);
        assert_eq!(leaf.not_after(), 253_402_300_799);
        let anchors = [anchor(&ours.root), anchor(&made.root)];
        let verified = ek::verify(&[leaf.der(), made.issuer.der()], &anchors, LATER).unwrap();
        assert_eq!((verified.level(), verified.anchor_name()), (Level::Simulated, "swtpm"));
        assert_eq!(verified.certificate(), leaf);
        // Without the intermediate there is no way; with the issuer as the anchor there is a short one.
        let missing = ek::verify(&[leaf.der()], &anchors, LATER).unwrap_err();
        assert_eq!(missing, PathError::UnknownAnchor);
        ek::verify(&[leaf.der()], &[anchor(&made.issuer)], LATER).unwrap();
    }
}

#[test]
fn other_certificates_are_no_endorsement_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let made = manufacturer(folder.path());
    // An authority's own certificate, and a TLS certificate below a trusted anchor.
    let refused = ek::verify(&[made.issuer.der()], &[anchor(&made.root)], LATER).unwrap_err();
    assert_eq!(refused, PathError::LeafIsAuthority);
    let ours = authorities();
    let facade = ours.facade();
    let refused = ek::verify(&[facade.der(), ours.issuing.der()], &[anchor(&ours.root)], NOW).unwrap_err();
    assert_eq!(refused, PathError::KeyUsage { at: 0 });
    // An endorsement certificate below nobody that we know.
    let refused =
        ek::verify(&[made.rsa_ek.der(), made.issuer.der()], &[anchor(&ours.root)], LATER).unwrap_err();
    assert_eq!(refused, PathError::UnknownAnchor);
}
