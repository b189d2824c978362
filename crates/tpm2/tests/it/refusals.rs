//! Each reason for which a structure, a key or a signature is refused.

use tpm2::algorithms::{Curve, NameAlgorithm};
use tpm2::attributes::ObjectAttributes as Attribute;
use tpm2::credential::{CredentialError, Randomness, Salt};
use tpm2::public::{Key, PublicFields, Scheme, Symmetric};
use tpm2::{
    Attest, AttestError, AttestationKeyError, EndorsementKeyError, HashAlgorithm, KeyError, Name,
    PcrSelection, PublicArea, Signature, SignatureError, WireError, make_credential, template,
    verify_signature,
};
use zeroize::Zeroizing;

use crate::support::{attest, attestation_attributes, fields, public, sign, testdata};

const MAGIC: u32 = 0xff54_4347;
const QUOTE: u16 = 0x8018;

#[test]
fn only_a_whole_quote_that_a_tpm_made_is_read() {
    let good = attest(MAGIC, QUOTE, b"nonce");
    assert_eq!(Attest::parse(&good).unwrap().extra_data(), b"nonce");
    // CVE-2024-29038: without this check a key signs whatever somebody calls a quote.
    assert_eq!(Attest::parse(&attest(0xff54_4348, QUOTE, b"")), Err(AttestError::Magic(0xff54_4348)));
    for kind in [0x8014, 0x8016, 0x8017, 0x8019, 0x801a, 0x801c] {
        assert_eq!(Attest::parse(&attest(MAGIC, kind, b"")), Err(AttestError::NotAQuote(kind)));
    }
    for length in 0..good.len() {
        assert_eq!(Attest::parse(&good[..length]), Err(AttestError::Wire(WireError::Truncated)), "{length}");
    }
    let longer = [good, vec![0]].concat();
    assert_eq!(Attest::parse(&longer), Err(AttestError::Wire(WireError::Trailing(1))));
    assert!(matches!(
        Attest::parse(&attest(MAGIC, QUOTE, &[0; 67])),
        Err(AttestError::Wire(WireError::TooLong { what: "extra data", .. }))
    ));
}

#[test]
fn clock_and_counters_are_read_where_they_are() {
    let attest = Attest::parse(&attest(MAGIC, QUOTE, b"")).unwrap();
    let clock = attest.clock();
    assert_eq!((clock.clock, clock.reset_count, clock.restart_count, clock.safe), (7, 3, 1, true));
    assert_eq!(attest.firmware_version(), 9);
    assert_eq!(attest.selection(), &PcrSelection::sha256(&[0]).unwrap());
    assert_eq!(attest.pcr_digest(), [0xaa; 32]);
}

#[test]
fn a_selection_has_one_form() {
    let good = attest(MAGIC, QUOTE, b"");
    let selection = good.len() - 34 - 6;
    let with = |offset: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[selection + offset] = value;
        Attest::parse(&bytes)
    };
    let value = |what, value| Err(AttestError::Wire(WireError::Value { what, value }));
    assert_eq!(with(2, 4), value("PCR bitmap size", 4));
    assert_eq!(with(2, 2), value("PCR bitmap size", 2));
    assert_eq!(with(1, 0x12), value("hash algorithm", 0x12));
    let mut twice = good.clone();
    twice[selection - 1] = 2;
    twice.splice(selection..selection, good[selection..selection + 6].to_vec());
    assert_eq!(Attest::parse(&twice), value("repeated PCR bank", 0x0b));
    twice[selection - 1] = 17;
    assert_eq!(Attest::parse(&twice), value("PCR bank count", 17));
    assert!(PcrSelection::sha256(&[24]).is_err());
}

#[test]
fn safe_is_yes_or_no() {
    let mut bytes = attest(MAGIC, QUOTE, b"");
    bytes[4 + 2 + 2 + 2 + 8 + 4 + 4] = 2;
    assert!(matches!(
        Attest::parse(&bytes),
        Err(AttestError::Wire(WireError::Value { what: "yes or no", value: 2 }))
    ));
}

fn refusal(change: impl FnOnce(&mut PublicFields)) -> Result<(), AttestationKeyError> {
    let mut fields = fields();
    change(&mut fields);
    PublicArea::new(&fields).unwrap().check_restricted_signing_key()
}

fn rsa_key(scheme: Scheme, exponent: u32) -> Key {
    Key::Rsa { symmetric: Symmetric::Null, scheme, bits: 2048, exponent, modulus: vec![0xff; 256] }
}

#[test]
fn a_key_that_could_sign_anything_else_is_no_attestation_key() {
    use AttestationKeyError as Refusal;
    let all = attestation_attributes();
    assert_eq!(refusal(|_| {}), Ok(()));
    assert_eq!(refusal(|fields| fields.attributes = without(all, Attribute::USER_WITH_AUTH)), Ok(()));
    for (attribute, reason) in [
        (Attribute::RESTRICTED, Refusal::NotRestricted),
        (Attribute::SIGN, Refusal::NotSigning),
        (Attribute::FIXED_TPM, Refusal::NotFixed),
        (Attribute::FIXED_PARENT, Refusal::NotFixed),
        (Attribute::SENSITIVE_DATA_ORIGIN, Refusal::ForeignOrigin),
    ] {
        assert_eq!(refusal(|fields| fields.attributes = without(all, attribute)), Err(reason));
    }
    assert_eq!(refusal(|fields| fields.attributes = all | Attribute::DECRYPT), Err(Refusal::Decrypts));
    assert_eq!(refusal(|fields| fields.name_algorithm = NameAlgorithm::Sha384), Err(Refusal::NameAlgorithm));
    assert_eq!(refusal(|fields| fields.key = Key::Sealed { unique: vec![] }), Err(Refusal::NotAsymmetric));
    let sha256 = HashAlgorithm::Sha256;
    for scheme in [Scheme::Null, Scheme::Oaep(sha256), Scheme::Rsassa(HashAlgorithm::Sha1)] {
        assert_eq!(refusal(|fields| fields.key = rsa_key(scheme, 0)), Err(Refusal::Scheme), "{scheme:?}");
    }
    for scheme in [Scheme::Rsassa(sha256), Scheme::Rsapss(sha256)] {
        assert_eq!(refusal(|fields| fields.key = rsa_key(scheme, 65_537)), Ok(()));
        assert_eq!(refusal(|fields| fields.key = rsa_key(scheme, 3)), Err(Refusal::Exponent));
    }
}

#[test]
fn a_key_that_others_may_know_is_no_endorsement_key() {
    use EndorsementKeyError as Refusal;
    let check = |attributes: Attribute| {
        let mut fields = fields();
        fields.attributes = attributes;
        PublicArea::new(&fields).unwrap().check_restricted_decryption_key()
    };
    let good = template::ek_p256().unwrap();
    assert_eq!(good.check_restricted_decryption_key(), Ok(()));
    let all = good.attributes();
    assert_eq!(check(without(all, Attribute::RESTRICTED)), Err(Refusal::NotRestricted));
    assert_eq!(check(without(all, Attribute::DECRYPT)), Err(Refusal::NotDecrypting));
    assert_eq!(check(all | Attribute::SIGN), Err(Refusal::Signs));
    assert_eq!(check(without(all, Attribute::FIXED_TPM)), Err(Refusal::NotFixed));
    assert_eq!(check(without(all, Attribute::SENSITIVE_DATA_ORIGIN)), Err(Refusal::ForeignOrigin));
}

/// `all` without one attribute, through the bytes: the type itself can only add.
fn without(all: Attribute, one: Attribute) -> Attribute {
    let mut bytes = public().as_bytes().to_vec();
    bytes[4..8].copy_from_slice(&(all.bits() & !one.bits()).to_be_bytes());
    PublicArea::parse(&bytes).unwrap().attributes()
}

#[test]
fn unknown_attributes_and_sizes_in_a_public_area_are_refused() {
    let good = public().as_bytes().to_vec();
    let with = |offset: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[offset] = value;
        PublicArea::parse(&bytes)
    };
    assert!(matches!(with(7, 1), Err(WireError::Value { what: "object attributes", .. })));
    assert!(matches!(with(1, 0x25), Err(WireError::Value { what: "object type", .. })));
    assert!(matches!(with(3, 0x04), Err(WireError::Value { what: "name algorithm", .. })));
    for length in 0..good.len() {
        assert_eq!(PublicArea::parse(&good[..length]), Err(WireError::Truncated));
    }
    assert_eq!(PublicArea::parse(&[good.as_slice(), &[0]].concat()), Err(WireError::Trailing(1)));
    let mut fields = fields();
    fields.auth_policy = vec![0; 20];
    assert!(matches!(PublicArea::new(&fields), Err(WireError::Value { what: "auth policy length", .. })));
    for (bits, modulus) in [(1024, 128), (2047, 256), (2048, 255), (2048, 384)] {
        fields.auth_policy.clear();
        fields.key = Key::Rsa {
            symmetric: Symmetric::Null,
            scheme: Scheme::Null,
            bits,
            exponent: 0,
            modulus: vec![1; modulus],
        };
        assert!(matches!(PublicArea::new(&fields), Err(WireError::Value { .. })), "{bits} {modulus}");
    }
}

#[test]
fn a_signature_is_only_good_for_its_message_and_key() {
    let signature = sign(b"message");
    assert_eq!(verify_signature(&public(), b"message", &signature), Ok(()));
    assert_eq!(verify_signature(&public(), b"massage", &signature), Err(SignatureError::Invalid));
    let mut other = fields();
    other.key = template::attestation_key(&[1; 32]).unwrap().key().clone();
    // A template's coordinates are no point.
    assert_eq!(
        verify_signature(&PublicArea::new(&other).unwrap(), b"message", &signature),
        Err(SignatureError::Key(KeyError::Point))
    );
    for zero in [Signature::Ecdsa { r: vec![], s: vec![] }, Signature::Ecdsa { r: vec![1], s: vec![0; 32] }] {
        assert_eq!(verify_signature(&public(), b"message", &zero), Err(SignatureError::Invalid));
    }
    let long = Signature::Ecdsa { r: vec![1; 33], s: vec![1] };
    assert_eq!(verify_signature(&public(), b"message", &long), Err(SignatureError::Key(KeyError::Integer)));
}

#[test]
fn leading_zeros_of_an_integer_may_be_left_out() {
    // A TPM may shorten r and s; find a message whose r begins with a zero byte.
    let (message, signature) = (0u32..)
        .map(|number| (number.to_be_bytes(), sign(&number.to_be_bytes())))
        .find(|(_, signature)| matches!(signature, Signature::Ecdsa { r, .. } if r[0] == 0))
        .unwrap();
    let Signature::Ecdsa { r, s } = signature else { panic!("ECDSA") };
    let short = Signature::Ecdsa { r: r[1..].to_vec(), s };
    assert_eq!(verify_signature(&public(), &message, &short), Ok(()));
    p256::ecdsa::Signature::from_der(&short.to_p256_der().unwrap()).unwrap();
}

#[test]
fn signature_structures_have_one_form() {
    let good = sign(b"").to_bytes().unwrap();
    assert_eq!(Signature::parse(&good).unwrap(), sign(b""));
    assert_eq!(
        Signature::parse(&[good.as_slice(), &[0]].concat()),
        Err(SignatureError::Wire(WireError::Trailing(1)))
    );
    for (hash, name) in [(4, HashAlgorithm::Sha1), (12, HashAlgorithm::Sha384), (13, HashAlgorithm::Sha512)] {
        let mut other = good.clone();
        other[3] = hash;
        assert_eq!(Signature::parse(&other), Err(SignatureError::HashRefused(name)));
    }
    let mut null = good;
    null[1] = 0x10;
    assert!(matches!(Signature::parse(&null), Err(SignatureError::Wire(WireError::Value { .. }))));
    assert_eq!(Signature::Rsassa(vec![]).to_p256_der(), Err(SignatureError::SchemeMismatch));
}

fn randomness(seed: u8) -> Randomness {
    Randomness { seed: Zeroizing::new([seed; 48]), padding: Zeroizing::new([1; 48]) }
}

fn endorsement_key() -> PublicArea {
    let mut fields = fields();
    let ek = template::ek_p256().unwrap();
    fields.attributes = ek.attributes();
    if let Key::Ecc { symmetric, scheme, .. } = &mut fields.key {
        *symmetric = Symmetric::Aes128;
        *scheme = Scheme::Null;
    }
    PublicArea::new(&fields).unwrap()
}

#[test]
fn credentials_are_refused_for_keys_and_secrets_that_do_not_fit() {
    let (ek, name) = (endorsement_key(), public().name());
    assert!(make_credential(&ek, &name, &[1; 32], &randomness(1)).is_ok());
    for secret in [&[][..], &[1; 33]] {
        assert_eq!(make_credential(&ek, &name, secret, &randomness(1)), Err(CredentialError::SecretTooLong));
    }
    // A signing key, and a template without a point.
    assert_eq!(make_credential(&public(), &name, b"s", &randomness(1)), Err(CredentialError::NotStorageKey));
    assert_eq!(
        make_credential(&template::ek_p256().unwrap(), &name, b"s", &randomness(1)),
        Err(CredentialError::Key(KeyError::Point))
    );
    // Not a scalar: zero, and more than the order of the group.
    for seed in [0, 0xff] {
        assert_eq!(make_credential(&ek, &name, b"s", &randomness(seed)), Err(CredentialError::Randomness));
    }
    assert!(matches!(Salt::for_key(&public(), &randomness(1)), Err(CredentialError::NotStorageKey)));
}

#[test]
fn credentials_differ_by_name_secret_and_randomness() {
    let ek = endorsement_key();
    let (one, other) = (public().name(), ek.name());
    let make =
        |name: &Name, secret: &[u8], seed| make_credential(&ek, name, secret, &randomness(seed)).unwrap();
    let base = make(&one, b"secret", 1);
    assert_eq!(base, make(&one, b"secret", 1));
    assert_ne!(base.id_object, make(&other, b"secret", 1).id_object);
    assert_ne!(base.id_object, make(&one, b"sacret", 1).id_object);
    assert_ne!(base.encrypted_secret, make(&one, b"secret", 2).encrypted_secret);
}

#[test]
fn a_name_is_an_algorithm_and_a_digest() {
    let name = public().name();
    assert_eq!(name.as_bytes()[..2], [0, 0x0b]);
    assert_eq!(Name::parse(name.as_bytes()).as_ref(), Ok(&name));
    assert_eq!(Name::parse(&name.as_bytes()[..33]), Err(WireError::Truncated));
    assert_eq!(Name::parse(&[name.as_bytes(), &[0]].concat()), Err(WireError::Trailing(1)));
    assert!(Name::parse(&[0, 0x10]).is_err());
}

#[test]
fn an_unusable_rsa_modulus_is_refused() {
    // Even, and all zero as in a template.
    for byte in [0xfe, 0] {
        let mut fields = fields();
        fields.key = Key::Rsa {
            symmetric: Symmetric::Null,
            scheme: Scheme::Rsassa(HashAlgorithm::Sha256),
            bits: 2048,
            exponent: 0,
            modulus: vec![byte; 256],
        };
        let public = PublicArea::new(&fields).unwrap();
        let signature = Signature::parse(&testdata("keylime-quotesig.out")).unwrap();
        assert_eq!(verify_signature(&public, b"", &signature), Err(SignatureError::Key(KeyError::Rsa)));
        assert_eq!(public.spki_der(), Err(KeyError::Rsa));
    }
}

#[test]
fn p384_keys_verify_signatures_over_sha256() {
    use p384::ecdsa::signature::hazmat::PrehashSigner;
    use sha2::Digest;
    let key = p384::ecdsa::SigningKey::from_slice(&[0x24; 48]).unwrap();
    let point = key.verifying_key().to_sec1_bytes();
    let mut fields = fields();
    fields.key = Key::Ecc {
        symmetric: Symmetric::Null,
        scheme: Scheme::Ecdsa(HashAlgorithm::Sha256),
        curve: Curve::P384,
        x: point[1..49].to_vec(),
        y: point[49..].to_vec(),
    };
    let public = PublicArea::new(&fields).unwrap();
    let signature: p384::ecdsa::Signature = key.sign_prehash(&sha2::Sha256::digest(b"message")).unwrap();
    let (r, s) = signature.split_bytes();
    let signature = Signature::Ecdsa { r: r.to_vec(), s: s.to_vec() };
    assert_eq!(verify_signature(&public, b"message", &signature), Ok(()));
    assert_eq!(verify_signature(&public, b"massage", &signature), Err(SignatureError::Invalid));
    assert_eq!(public.subject_public_key().unwrap(), point.to_vec());
}
