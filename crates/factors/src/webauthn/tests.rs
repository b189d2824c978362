use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64ct::{Base64UrlUnpadded, Encoding};

use super::*;

const SITE: Site<'_> = Site { origin: "https://portal.example", id: "portal.example" };
const CHALLENGE: &[u8] = b"0123456789abcdef";
const ID: &[u8] = b"a credential";
/// Present, verified.
const FLAGS: u8 = 0x05;

enum Key {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl Key {
    fn all() -> [Self; 3] {
        let ed25519 = Ed25519KeyPair::generate().unwrap();
        let rsa = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        [Self::ecdsa(), Self::Ed25519(ed25519), Self::Rsa(rsa)]
    }

    fn ecdsa() -> Self {
        Self::Ecdsa(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    fn cose(&self) -> Vec<u8> {
        match self {
            Self::Ecdsa(key) => {
                let point = key.public_key().as_ref();
                [
                    &[0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32],
                    &point[1..33],
                    &[0x22, 0x58, 32],
                    &point[33..],
                ]
                .concat()
            }
            Self::Ed25519(key) => {
                [&[0xa4, 1, 1, 3, 0x27, 0x20, 6, 0x21, 0x58, 32], key.public_key().as_ref()].concat()
            }
            Self::Rsa(key) => {
                // RFC 8017, A.1.1: of 2048 bits, n stands after nine bytes of DER, e in the last three.
                let der = key.public_key().as_ref();
                let (n, e) = (&der[9..265], &der[der.len() - 3..]);
                [&[0xa4, 1, 3, 3, 0x39, 1, 0, 0x20, 0x59, 1, 0], n, &[0x21, 0x43], e].concat()
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Ecdsa(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }
}

fn client_data(kind: &str, challenge: &[u8], origin: &str, more: &str) -> Vec<u8> {
    let challenge = Base64UrlUnpadded::encode_string(challenge);
    format!(r#"{{"type":"{kind}","challenge":"{challenge}","origin":"{origin}"{more}}}"#).into_bytes()
}

fn creating() -> Vec<u8> {
    client_data("webauthn.create", CHALLENGE, SITE.origin, r#","crossOrigin":false"#)
}

fn getting() -> Vec<u8> {
    client_data("webauthn.get", CHALLENGE, SITE.origin, "")
}

fn authenticator_data(site: &str, flags: u8, counter: u32, rest: &[u8]) -> Vec<u8> {
    [digest(&SHA256, site.as_bytes()).as_ref(), &[flags], &counter.to_be_bytes(), rest].concat()
}

fn credential(id: &[u8], key: &[u8]) -> Vec<u8> {
    let length = u16::try_from(id.len()).unwrap().to_be_bytes();
    [&[0; 16], &length[..], id, key].concat()
}

fn object(data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap().to_be_bytes();
    [&b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59"[..], &length, data].concat()
}

fn attested_data(flags: u8, key: &[u8]) -> Vec<u8> {
    authenticator_data(
        SITE.id,
        flags | 0x40,
        0,
        &[credential(ID, key), vec![0; 300]].concat()[..16 + 2 + ID.len() + key.len()],
    )
}

fn try_register(client_data: &[u8], attestation_object: &[u8]) -> Result<Registered, Refused> {
    register(SITE, CHALLENGE, &RegistrationParts { id: ID, client_data, attestation_object })
}

fn try_verify(key: &Key, client_data: &[u8], data: &[u8]) -> Result<Asserted, Refused> {
    let signature = key.sign(&[data, digest(&SHA256, client_data).as_ref()].concat());
    let parts = AssertionParts { id: ID, client_data, authenticator_data: data, signature: &signature };
    verify(SITE, CHALLENGE, &PublicKey::parse(&key.cose()).unwrap(), &parts)
}

/// A key of 300 bytes needs the long form of the object's length; a short one would not be canonical.
fn padded(data: &[u8]) -> Vec<u8> {
    if data.len() < 256 {
        let length = u8::try_from(data.len()).unwrap();
        return [&b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58"[..], &[length], data].concat();
    }
    object(data)
}

#[test]
fn passkeys_of_each_algorithm_register_and_sign_in() {
    for key in Key::all() {
        let registered = try_register(&creating(), &padded(&attested_data(FLAGS, &key.cose()))).unwrap();
        assert_eq!((registered.id(), registered.public_key()), (hex(ID), hex(&key.cose())));
        assert!(PublicKey::from_hex(&registered.public_key()).is_ok());
        let asserted = try_verify(&key, &getting(), &authenticator_data(SITE.id, FLAGS, 7, b"")).unwrap();
        assert_eq!(asserted.counter(), 7);
    }
}

#[test]
fn what_is_for_another_ceremony_challenge_or_page_is_refused() {
    let key = Key::ecdsa();
    let data = authenticator_data(SITE.id, FLAGS, 1, b"");
    let object = padded(&attested_data(FLAGS, &key.cose()));
    for (kind, other) in [("webauthn.get", "webauthn.create"), ("webauthn.create", "webauthn.get")] {
        for (client_data, why) in [
            (client_data(other, CHALLENGE, SITE.origin, ""), Refused::Type),
            (client_data("", CHALLENGE, SITE.origin, ""), Refused::Type),
            (client_data(kind, b"0123456789abcdeg", SITE.origin, ""), Refused::Challenge),
            (client_data(kind, b"", SITE.origin, ""), Refused::Challenge),
            (client_data(kind, CHALLENGE, "https://evil.example", ""), Refused::Origin),
            (client_data(kind, CHALLENGE, "https://portal.example.evil.example", ""), Refused::Origin),
            (client_data(kind, CHALLENGE, "http://portal.example", ""), Refused::Origin),
            (client_data(kind, CHALLENGE, "https://portal.example:8443", ""), Refused::Origin),
            (client_data(kind, CHALLENGE, SITE.origin, r#","crossOrigin":true"#), Refused::Origin),
            (
                client_data(kind, CHALLENGE, SITE.origin, r#","topOrigin":"https://evil.example""#),
                Refused::Origin,
            ),
            (client_data(kind, CHALLENGE, SITE.origin, r#","type":"webauthn.get""#), Refused::Malformed),
            (b"{}".to_vec(), Refused::Malformed),
            (b"\xff".to_vec(), Refused::Malformed),
            (vec![b' '; 20_000], Refused::TooLarge),
        ] {
            let text = String::from_utf8_lossy(&client_data).into_owned();
            match kind {
                "webauthn.get" => assert_eq!(try_verify(&key, &client_data, &data), Err(why), "{text}"),
                _ => assert_eq!(try_register(&client_data, &object), Err(why), "{text}"),
            }
        }
    }
    // Members that we do not know may come (WebAuthn L3, 5.8.1).
    let more = client_data("webauthn.get", CHALLENGE, SITE.origin, r#","other_keys_can_be_added_here":"x""#);
    assert!(try_verify(&key, &more, &data).is_ok());
}

#[test]
fn authenticator_data_of_another_site_or_without_the_user_is_refused() {
    let key = Key::ecdsa();
    for (site, flags, why) in [
        ("evil.example", FLAGS, Refused::RelyingParty),
        ("", FLAGS, Refused::RelyingParty),
        (SITE.id, 0x04, Refused::Presence),
        (SITE.id, 0x01, Refused::Verification),
        (SITE.id, 0x00, Refused::Presence),
        (SITE.id, FLAGS | 0x80, Refused::Flags),
        (SITE.id, FLAGS | 0x02, Refused::Flags),
        (SITE.id, FLAGS | 0x20, Refused::Flags),
        (SITE.id, FLAGS | 0x10, Refused::Flags),
    ] {
        assert_eq!(
            try_verify(&key, &getting(), &authenticator_data(site, flags, 1, b"")),
            Err(why),
            "{site} {flags:x}"
        );
        let data = authenticator_data(site, flags | 0x40, 1, &credential(ID, &key.cose()));
        assert_eq!(try_register(&creating(), &padded(&data)), Err(why), "{site} {flags:x}");
    }
    assert!(try_verify(&key, &getting(), &authenticator_data(SITE.id, FLAGS | 0x18, 1, b"")).is_ok());
    let with_key = authenticator_data(SITE.id, FLAGS | 0x40, 1, &credential(ID, &key.cose()));
    assert_eq!(try_verify(&key, &getting(), &with_key), Err(Refused::Flags));
    let with_more = authenticator_data(SITE.id, FLAGS, 1, b"x");
    assert_eq!(try_verify(&key, &getting(), &with_more), Err(Refused::Malformed));
}

#[test]
fn every_changed_byte_of_a_signed_message_is_refused() {
    for key in Key::all() {
        let (client_data, data) = (getting(), authenticator_data(SITE.id, FLAGS, 1, b""));
        let signature = key.sign(&[&data[..], digest(&SHA256, &client_data).as_ref()].concat());
        let public = PublicKey::parse(&key.cose()).unwrap();
        let check = |client_data: &[u8], data: &[u8], signature: &[u8]| {
            verify(
                SITE,
                CHALLENGE,
                &public,
                &AssertionParts { id: ID, client_data, authenticator_data: data, signature },
            )
        };
        assert!(check(&client_data, &data, &signature).is_ok());
        let changed = |bytes: &[u8], place: usize| {
            let mut changed = bytes.to_vec();
            changed[place] ^= 1;
            changed
        };
        for place in 0..client_data.len() {
            assert!(check(&changed(&client_data, place), &data, &signature).is_err(), "client data {place}");
        }
        for place in 0..data.len() {
            assert!(check(&client_data, &changed(&data, place), &signature).is_err(), "data {place}");
        }
        for place in 0..signature.len() {
            assert!(check(&client_data, &data, &changed(&signature, place)).is_err(), "signature {place}");
        }
        let other = PublicKey::parse(&Key::ecdsa().cose()).unwrap();
        let parts = AssertionParts {
            id: ID,
            client_data: &client_data,
            authenticator_data: &data,
            signature: &signature,
        };
        assert_eq!(verify(SITE, CHALLENGE, &other, &parts), Err(Refused::Signature));
    }
}

#[test]
fn another_credential_id_or_a_cut_object_is_refused() {
    let key = Key::ecdsa();
    let object = padded(&attested_data(FLAGS, &key.cose()));
    let client_data = creating();
    let parts = RegistrationParts { id: b"another", client_data: &client_data, attestation_object: &object };
    assert_eq!(register(SITE, CHALLENGE, &parts), Err(Refused::Credential));
    for length in 0..object.len() {
        assert!(try_register(&client_data, &object[..length]).is_err(), "{length}");
    }
    assert!(try_register(&client_data, &[&object[..], b"\0"].concat()).is_err());
    let empty = authenticator_data(SITE.id, FLAGS | 0x40, 0, &credential(b"", &key.cose()));
    assert_eq!(try_register(&client_data, &padded(&empty)), Err(Refused::Credential));
    let long = authenticator_data(SITE.id, FLAGS | 0x40, 0, &credential(&[1; 1024], &key.cose()));
    assert_eq!(try_register(&client_data, &padded(&long)), Err(Refused::Credential));
    let without = authenticator_data(SITE.id, FLAGS, 0, b"");
    assert_eq!(try_register(&client_data, &padded(&without)), Err(Refused::Malformed));
}

#[test]
fn an_attestation_that_was_not_asked_for_is_refused() {
    let data = attested_data(FLAGS, &Key::ecdsa().cose());
    let length = u8::try_from(data.len()).unwrap();
    let object = |format: &[u8], statement: &[u8]| {
        [b"\xa3\x63fmt", format, b"\x67attStmt", statement, b"\x68authData\x58", &[length], &data].concat()
    };
    assert!(try_register(&creating(), &object(b"\x64none", b"\xa0")).is_ok());
    assert_eq!(try_register(&creating(), &object(b"\x66packed", b"\xa0")), Err(Refused::Attestation));
    assert_eq!(
        try_register(&creating(), &object(b"\x64none", b"\xa1\x63sig\x40")),
        Err(Refused::Attestation)
    );
}

#[test]
fn keys_of_other_types_or_forms_are_refused() {
    let good = Key::ecdsa().cose();
    let with = |place: usize, byte: u8| {
        let mut changed = good.clone();
        changed[place] = byte;
        changed
    };
    for (key, why) in [
        (with(2, 1), Refused::Key),
        (with(4, 0x27), Refused::Key),
        (with(6, 2), Refused::Key),
        // Not on the curve.
        (with(20, good[20] ^ 1), Refused::Key),
        // Five pairs said as in an indefinite map; an integer in a longer form; more after the end.
        (with(0, 0xbf), Refused::Malformed),
        ([&good[..1], &[0x18], &good[1..]].concat(), Refused::Malformed),
        ([&good[..], &[0]].concat(), Refused::Malformed),
        (good[..good.len() - 1].to_vec(), Refused::Malformed),
        (Vec::new(), Refused::Malformed),
    ] {
        assert_eq!(PublicKey::parse(&key), Err(why), "{}", hex(&key));
    }
    let small =
        [&[0xa4, 1, 3, 3, 0x39, 1, 0, 0x20, 0x58, 128][..], &[0xff; 128], &[0x21, 0x43, 1, 0, 1]].concat();
    let key = PublicKey::parse(&small).unwrap();
    assert_eq!(key.verify(b"", &[1; 128]), Err(Refused::Signature), "1024 bits are too few");
}

#[test]
fn the_challenge_is_read_before_anything_is_checked() {
    assert_eq!(challenge(&creating()).unwrap(), CHALLENGE);
    assert_eq!(challenge(b"[]"), Err(Refused::Malformed));
}
