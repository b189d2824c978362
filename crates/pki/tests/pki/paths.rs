//! Every `PathError`, `CertificateError` and `IssueError` by a certificate that deserves it.

use pki::{
    Certificate, CertificateError, IssueError, Issuer, Oid, SigningKey, Validity,
    path::{self, PathError},
    profile,
};

use crate::{
    HOUR, NOW, authorities,
    build::{self, Draft},
    domain, key, serial,
};

fn root() -> Draft {
    Draft::authority("root", 20, "root", 20)
}

fn verify(chain: &[Vec<u8>]) -> Result<(), PathError> {
    let root = Certificate::from_der(&root().der()).unwrap();
    path::verify(chain, &[root], NOW, Oid::SERVER_AUTH).map(drop)
}

fn check(chain: &[Draft], expected: Result<(), PathError>) {
    let chain: Vec<Vec<u8>> = chain.iter().map(Draft::der).collect();
    assert_eq!(verify(&chain), expected);
}

#[test]
fn the_plain_chains_pass() {
    check(&[Draft::leaf("root", 20)], Ok(()));
    check(&[Draft::leaf("root", 20), root()], Ok(()));
    check(&[Draft::leaf("middle", 21), Draft::authority("middle", 21, "root", 20)], Ok(()));
}

#[test]
fn empty_and_long_chains_are_refused() {
    check(&[], Err(PathError::Empty));
    check(&[root()], Err(PathError::Empty));
    let links = || Draft::authority("middle", 21, "middle", 21);
    check(&[Draft::leaf("middle", 21), links(), links(), links(), root()], Err(PathError::TooLong));
}

#[test]
fn unreadable_certificates_are_refused() {
    let leaf = Draft::leaf("root", 20).der();
    let source = CertificateError::Der;
    assert_eq!(verify(&[leaf, vec![0x30]]), Err(PathError::Certificate { at: 1, source }));
}

#[test]
fn links_must_fit() {
    check(
        &[Draft::leaf("other", 21), Draft::authority("middle", 21, "root", 20)],
        Err(PathError::NameChain { at: 0 }),
    );
    check(&[Draft::leaf("elsewhere", 20)], Err(PathError::UnknownAnchor));
    check(&[Draft::leaf("root", 25)], Err(PathError::Signature { at: 0 }));
    check(
        &[Draft::leaf("middle", 25), Draft::authority("middle", 21, "root", 20)],
        Err(PathError::Signature { at: 0 }),
    );
    check(
        &[Draft::leaf("middle", 21), Draft::authority("middle", 21, "root", 25)],
        Err(PathError::Signature { at: 1 }),
    );
}

#[test]
fn validity_is_checked_everywhere() {
    let late = |draft: Draft| Draft { not_before: build::AFTER, not_after: b"280101000000Z", ..draft };
    let gone = |draft: Draft| Draft { not_before: b"250101000000Z", not_after: build::BEFORE, ..draft };
    let middle = || Draft::authority("middle", 21, "root", 20);
    check(&[late(Draft::leaf("root", 20))], Err(PathError::NotYetValid { at: 0 }));
    check(&[gone(Draft::leaf("root", 20))], Err(PathError::Expired { at: 0 }));
    check(&[Draft::leaf("middle", 21), late(middle())], Err(PathError::NotYetValid { at: 1 }));
    check(&[Draft::leaf("middle", 21), gone(middle())], Err(PathError::Expired { at: 1 }));
    let old_root = Certificate::from_der(&gone(root()).der()).unwrap();
    let leaf = Draft::leaf("root", 20).der();
    let refused = path::verify(&[leaf], &[old_root], NOW, Oid::SERVER_AUTH).unwrap_err();
    assert_eq!(refused, PathError::Expired { at: 1 });
}

#[test]
fn only_authorities_issue() {
    let chain = |extensions| {
        [Draft::leaf("middle", 21), Draft { extensions, ..Draft::authority("middle", 21, "root", 20) }]
    };
    check(&chain(vec![build::cert_sign()]), Err(PathError::NotAnAuthority { at: 1 }));
    check(
        &chain(vec![build::digital_signature(), build::server_auth()]),
        Err(PathError::NotAnAuthority { at: 1 }),
    );
    check(&chain(vec![build::ca(None), build::digital_signature()]), Err(PathError::KeyUsage { at: 1 }));
    check(&chain(vec![build::ca(Some(0)), build::cert_sign()]), Ok(()));
}

#[test]
fn path_lengths_are_kept() {
    let upper = |path_length| Draft {
        extensions: vec![build::ca(path_length), build::cert_sign()],
        ..Draft::authority("upper", 22, "root", 20)
    };
    let chain =
        |length| [Draft::leaf("middle", 21), Draft::authority("middle", 21, "upper", 22), upper(length)];
    check(&chain(Some(0)), Err(PathError::PathLength { at: 2 }));
    check(&chain(Some(1)), Ok(()));
    check(&chain(None), Ok(()));
}

#[test]
fn the_leaf_must_be_one_for_this_purpose() {
    let leaf = |extensions| [Draft { extensions, ..Draft::leaf("root", 20) }];
    check(
        &leaf(vec![build::ca(None), build::digital_signature(), build::server_auth()]),
        Err(PathError::LeafIsAuthority),
    );
    check(&leaf(vec![build::digital_signature()]), Err(PathError::Purpose));
    check(&leaf(vec![build::server_auth()]), Err(PathError::KeyUsage { at: 0 }));
    check(&leaf(vec![build::cert_sign(), build::server_auth()]), Err(PathError::KeyUsage { at: 0 }));
}

#[test]
fn unknown_critical_extensions_are_refused() {
    let constraints = |critical| build::extension(build::NAME_CONSTRAINTS, critical, &[0x30, 0]);
    let leaf = |critical| Draft {
        extensions: vec![build::digital_signature(), build::server_auth(), constraints(critical)],
        ..Draft::leaf("root", 20)
    };
    let middle = |critical| Draft {
        extensions: vec![build::ca(None), build::cert_sign(), constraints(critical)],
        ..Draft::authority("middle", 21, "root", 20)
    };
    check(&[leaf(true)], Err(PathError::UnknownCritical { at: 0 }));
    check(&[leaf(false)], Ok(()));
    check(&[Draft::leaf("middle", 21), middle(true)], Err(PathError::UnknownCritical { at: 1 }));
}

fn refused(draft: &Draft) -> CertificateError {
    Certificate::from_der(&draft.der()).unwrap_err()
}

#[test]
fn malformed_certificates_are_refused_by_name() {
    let plain = || Draft::leaf("root", 20);
    assert_eq!(Certificate::from_der(&[0x30; 16 * 1024 + 1]), Err(CertificateError::TooLarge));
    assert_eq!(Certificate::from_der(&[plain().der(), vec![0]].concat()), Err(CertificateError::Der));
    assert_eq!(refused(&Draft { version: vec![0xa0, 3, 2, 1, 1], ..plain() }), CertificateError::Der);
    assert_eq!(refused(&Draft { version: Vec::new(), ..plain() }), CertificateError::Der);
    for serial in [vec![2, 1, 0], vec![2, 1, 0xff], [vec![2, 21], vec![1; 21]].concat()] {
        assert_eq!(refused(&Draft { serial, ..plain() }), CertificateError::Serial);
    }
    let es384 = vec![0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];
    assert_eq!(refused(&Draft { inner_algorithm: es384, ..plain() }), CertificateError::AlgorithmMismatch);
    let twice = vec![build::digital_signature(), build::digital_signature()];
    assert_eq!(refused(&Draft { extensions: twice, ..plain() }), CertificateError::DuplicateExtension);
    let many = (0..33).map(|number| build::extension(&[0x2a, number], false, &[])).collect();
    assert_eq!(refused(&Draft { extensions: many, ..plain() }), CertificateError::TooMany);
    let names = build::tlv(0x30, &[&[0x82, 1, b'a'].repeat(65)]);
    let names = vec![build::extension(build::NAMES, false, &names)];
    assert_eq!(refused(&Draft { extensions: names, ..plain() }), CertificateError::TooMany);
}

#[test]
fn sloppy_extensions_are_refused() {
    for (oid, content) in [
        (build::NAMES, &b"\x30\x0b\x82\x09good\0evil"[..]),
        (build::NAMES, &b"\x30\x02\x82\x00"[..]),
        (build::NAMES, &b"\x30\x00"[..]),
        (build::PURPOSES, &b"\x30\x00"[..]),
        // The default written out, a wrong TRUE, trailing bytes, unused bits that are set or that should be cut off.
        (build::BASIC, &b"\x30\x03\x01\x01\x00"[..]),
        (build::BASIC, &b"\x30\x03\x01\x01\x01"[..]),
        (build::BASIC, &b"\x30\x00\x00"[..]),
        (build::USAGE, &b"\x03\x02\x00\x80"[..]),
        (build::USAGE, &b"\x03\x02\x07\x81"[..]),
        (build::USAGE, &b"\x03\x01\x00"[..]),
    ] {
        let draft =
            Draft { extensions: vec![build::extension(oid, true, content)], ..Draft::leaf("root", 20) };
        assert_eq!(refused(&draft), CertificateError::Der, "{content:02x?}");
    }
}

#[test]
fn an_unsupported_signature_algorithm_is_refused() {
    // ecdsa-with-SHA1 in both places.
    let es256 = [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
    let sha1 = [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1, 2];
    let mut der = Draft::leaf("root", 20).der();
    let places: Vec<usize> =
        der.windows(8).enumerate().filter(|(_, window)| *window == es256).map(|(place, _)| place).collect();
    for place in places {
        der[place..place + 8].copy_from_slice(&sha1);
    }
    assert_eq!(Certificate::from_der(&der), Err(CertificateError::Algorithm));
}

#[test]
fn pem_holds_exactly_one_certificate() {
    let pem = authorities().root.to_pem();
    assert_eq!(Certificate::from_pem(&pem).unwrap(), authorities().root);
    let two = format!("{pem}{pem}");
    for text in ["", "no pem", &two, &pem.replace('A', "*"), &pem[..pem.len() - 10]] {
        assert_eq!(Certificate::from_pem(text), Err(CertificateError::Pem));
    }
    assert_eq!(Certificate::all_from_pem(&two).unwrap().len(), 2);
}

#[test]
fn profiles_refuse_what_does_not_fit_them() {
    let authorities = authorities();
    let issuer = authorities.issuer();
    let enclave = domain().enclave(&names::EnclaveId::from_bytes([7; 16]));
    let leaf = key(3);
    let issue = |dns_name: &str, seconds: u64| {
        profile::Facade { dns_name, enclave: &enclave }
            .issue(&issuer, leaf.public_key_spki(), Validity::starting(NOW, seconds), serial(3))
            .map(drop)
    };
    assert_eq!(issue("a.localhost", HOUR), Ok(()));
    for name in
        ["", "A.localhost", "*.localhost", "a..localhost", "a.localhost.", "-a.localhost", "127.0.0.1", "a b"]
    {
        assert_eq!(issue(name, HOUR), Err(IssueError::Name), "{name}");
    }
    assert_eq!(issue("a.localhost", profile::FACADE_LIFE + 1), Err(IssueError::Validity));
    let part = profile::Part { part: names::Part::Gateway, trust_domain: &domain(), dns_names: &[] };
    let late = Validity::starting(NOW + profile::ISSUING_LIFE, HOUR);
    assert_eq!(part.issue(&issuer, leaf.public_key_spki(), late, serial(3)), Err(IssueError::OutlivesIssuer));
    assert!(matches!(
        part.issue(&issuer, &[0x30, 0], Validity::starting(NOW, HOUR), serial(3)),
        Err(IssueError::SubjectKey(_))
    ));
    assert!(matches!(Issuer::new(&authorities.issuing, &leaf), Err(IssueError::IssuerKey)));
    let facade = authorities.facade();
    assert!(matches!(Issuer::new(&facade, &leaf), Err(IssueError::NotAnAuthority)));
}

#[test]
fn the_issuing_authority_makes_no_authorities() {
    let authorities = authorities();
    let lower = key(6);
    let lower_certificate = profile::Issuing { common_name: "lower" }
        .issue(&authorities.issuer(), lower.public_key_spki(), Validity::starting(NOW, HOUR), serial(6))
        .unwrap();
    let enclave = domain().enclave(&names::EnclaveId::from_bytes([7; 16]));
    let leaf = profile::Facade { dns_name: "a.localhost", enclave: &enclave }
        .issue(
            &Issuer::new(&lower_certificate, &lower).unwrap(),
            key(3).public_key_spki(),
            Validity::starting(NOW, HOUR / 2),
            serial(3),
        )
        .unwrap();
    let chain = [leaf.der(), lower_certificate.der(), authorities.issuing.der()];
    let refused =
        path::verify(&chain, std::slice::from_ref(&authorities.root), NOW, Oid::SERVER_AUTH).unwrap_err();
    assert_eq!(refused, PathError::PathLength { at: 2 });
}

/// RFC 3279, 2.3.1.
const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];

#[test]
fn only_attestation_keys_may_be_rsa() {
    let tlv = build::tlv;
    let modulus = [&[0][..], &[0xff; 256]].concat();
    let numbers = tlv(0x30, &[&tlv(2, &[&modulus]), &tlv(2, &[&[1, 0, 1]])]);
    let identifier = tlv(0x30, &[&tlv(6, &[RSA_ENCRYPTION]), &[5, 0]]);
    let spki = tlv(0x30, &[&identifier, &tlv(3, &[&[0], &numbers])]);
    let (authorities, domain, validity) = (authorities(), domain(), Validity::starting(NOW, HOUR));
    let (node, purpose) = (domain.node("node-1").unwrap(), profile::KeyPurpose::Enclave);
    let attestation = profile::AttestationKey { node: &node, purpose };
    let certificate = attestation.issue(&authorities.issuer(), &spki, validity, serial(3)).unwrap();
    assert_eq!(certificate.spki(), spki);
    let part = profile::Part { part: names::Part::Gateway, trust_domain: &domain, dns_names: &[] };
    assert!(matches!(
        part.issue(&authorities.issuer(), &spki, validity, serial(3)),
        Err(IssueError::SubjectKey(_))
    ));
}
