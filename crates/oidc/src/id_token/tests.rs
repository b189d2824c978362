use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};

use super::*;

const NOW: u64 = 1_700_000_000;
const EXPECTED: Expected<'_> =
    Expected { issuer: "https://op.example", client_id: "us", nonce: "the nonce", now: NOW };

struct Signer {
    p256: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
    rsa: RsaKeyPair,
}

fn text(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

impl Signer {
    fn new() -> Self {
        Self {
            p256: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            ed25519: Ed25519KeyPair::generate().unwrap(),
            rsa: RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap(),
        }
    }

    /// RFC 8017, A.1.1: of 2048 bits, n stands after nine bytes of DER.
    fn modulus(&self) -> &[u8] {
        &self.rsa.public_key().as_ref()[9..265]
    }

    fn set(&self) -> Value {
        let point = self.p256.public_key().as_ref();
        json!({"keys": [
            {"kid": "ec", "kty": "EC", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..]), "use": "sig"},
            {"kid": "ed", "kty": "OKP", "crv": "Ed25519", "x": text(self.ed25519.public_key().as_ref()), "alg": "EdDSA"},
            {"kid": "rsa", "kty": "RSA", "n": text(self.modulus()), "e": "AQAB"},
            {"kid": "sealing", "kty": "RSA", "n": text(self.modulus()), "e": "AQAB", "use": "enc"},
            {"kid": "unknown", "kty": "ML-DSA", "pub": "x"},
        ]})
    }

    fn keys(&self) -> Keys {
        Keys::parse(self.set().to_string().as_bytes()).unwrap()
    }

    fn token(&self, header: &Value, claims: &str) -> String {
        let signed = format!("{}.{}", text(header.to_string().as_bytes()), text(claims.as_bytes()));
        let (random, message) = (SystemRandom::new(), signed.as_bytes());
        let signature = match header["alg"].as_str().unwrap() {
            "ES256" => self.p256.sign(&random, message).unwrap().as_ref().to_vec(),
            "EdDSA" => self.ed25519.sign(message).as_ref().to_vec(),
            "RS256" => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                self.rsa.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
            // With the public key as the secret, as in the confusion of algorithms.
            "HS256" => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, self.modulus());
                hmac::sign(&key, message).as_ref().to_vec()
            }
            _ => Vec::new(),
        };
        format!("{signed}.{}", text(&signature))
    }
}

fn claims() -> Value {
    json!({
        "iss": "https://op.example", "sub": "alice", "aud": "us", "exp": NOW + 300, "iat": NOW, "nonce": "the nonce",
        "email": "bob@victim.example", "email_verified": true,
    })
}

fn with(member: &str, value: Value) -> String {
    let mut claims = claims();
    claims[member] = value;
    claims.to_string()
}

#[test]
fn tokens_of_each_algorithm_are_accepted() {
    let signer = Signer::new();
    for (alg, kid) in [("ES256", "ec"), ("EdDSA", "ed"), ("RS256", "rsa")] {
        for header in [json!({"alg": alg, "kid": kid}), json!({"alg": alg, "typ": "JWT"})] {
            let token = signer.token(&header, &claims().to_string());
            let identity = check(&token, &signer.keys(), &EXPECTED).unwrap();
            assert_eq!((identity.issuer(), identity.subject()), ("https://op.example", "alice"));
            assert_eq!(identity.expires_at(), NOW + 300);
        }
    }
}

/// RFC 8725, 2.1: `none`, and HMAC with the public key.
#[test]
fn other_algorithms_and_keys_are_refused() {
    let signer = Signer::new();
    let refused = |header: Value, why| {
        let token = signer.token(&header, &claims().to_string());
        assert_eq!(check(&token, &signer.keys(), &EXPECTED), Err(why), "{header}");
    };
    for alg in ["none", "None", "HS256", "RS512", "PS256", ""] {
        refused(json!({"alg": alg, "kid": "rsa"}), Refused::Algorithm);
    }
    refused(json!({"alg": "ES256", "kid": "rsa"}), Refused::Key);
    refused(json!({"alg": "RS256", "kid": "sealing"}), Refused::Key);
    refused(json!({"alg": "ES256", "kid": "another"}), Refused::Key);
    refused(json!({"alg": "ES256", "kid": "ec", "crit": ["x"]}), Refused::Malformed);
    refused(json!({"alg": "ES256", "kid": "ec", "crit": []}), Refused::Malformed);
    refused(json!({"alg": "ES256", "kid": "ec", "b64": false}), Refused::Malformed);
    let stranger = Signer::new().token(&json!({"alg": "ES256", "kid": "ec"}), &claims().to_string());
    assert_eq!(check(&stranger, &signer.keys(), &EXPECTED), Err(Refused::Signature));
}

/// CVE-2026-25537: a time of another type was taken for absent. CVE-2026-9087: whose account it is, is issuer and subject.
#[test]
fn every_wrong_claim_has_its_reason() {
    let signer = Signer::new();
    for (member, value, why) in [
        ("iss", json!("https://evil.example"), Refused::Issuer),
        ("iss", json!("https://op.example/"), Refused::Issuer),
        ("iss", json!(null), Refused::Claims),
        ("aud", json!("them"), Refused::Audience),
        ("aud", json!([]), Refused::Audience),
        ("aud", json!(["us", "them"]), Refused::Audience),
        ("aud", json!(7), Refused::Claims),
        ("azp", json!("them"), Refused::Audience),
        ("exp", json!(NOW - 60), Refused::Expired),
        ("exp", json!("9999999999"), Refused::Claims),
        ("exp", json!(9.9e12), Refused::Claims),
        ("exp", json!(null), Refused::Claims),
        ("exp", json!(-1), Refused::Claims),
        ("iat", json!(NOW + 61), Refused::Time),
        ("iat", json!(NOW - 601), Refused::Time),
        ("iat", json!("0"), Refused::Claims),
        ("nbf", json!(NOW + 61), Refused::Time),
        ("nbf", json!("0"), Refused::Claims),
        ("nonce", json!("another"), Refused::Nonce),
        ("nonce", json!(""), Refused::Nonce),
        ("nonce", json!(null), Refused::Claims),
        ("sub", json!(""), Refused::Subject),
        ("sub", json!("x".repeat(256)), Refused::Subject),
        ("sub", json!("\u{e4}"), Refused::Subject),
        ("sub", json!(1), Refused::Claims),
    ] {
        let token = signer.token(&json!({"alg": "ES256", "kid": "ec"}), &with(member, value.clone()));
        assert_eq!(check(&token, &signer.keys(), &EXPECTED), Err(why), "{member}: {value}");
    }
    for (member, value) in
        [("aud", json!(["us"])), ("azp", json!("us")), ("nbf", json!(NOW)), ("exp", json!(NOW - 59))]
    {
        let token = signer.token(&json!({"alg": "ES256", "kid": "ec"}), &with(member, value));
        assert!(check(&token, &signer.keys(), &EXPECTED).is_ok(), "{member}");
    }
    let twice = claims().to_string().replacen('{', r#"{"sub":"bob","#, 1);
    let token = signer.token(&json!({"alg": "ES256", "kid": "ec"}), &twice);
    assert_eq!(check(&token, &signer.keys(), &EXPECTED), Err(Refused::Claims), "a member twice");
}

/// CVE-2026-27840: a token that was cut was accepted.
#[test]
fn cut_and_changed_tokens_are_refused() {
    let signer = Signer::new();
    let token = signer.token(&json!({"alg": "ES256", "kid": "ec"}), &claims().to_string());
    for length in 0..token.len() {
        assert!(check(&token[..length], &signer.keys(), &EXPECTED).is_err(), "{length}");
    }
    for other in [
        format!("{token}."),
        format!("{token}=="),
        format!("{token}.x"),
        format!(" {token}"),
        "x".repeat(17_000),
    ] {
        assert!(check(&other, &signer.keys(), &EXPECTED).is_err());
    }
}

#[test]
fn key_sets_are_bounded_and_keys_that_we_do_not_know_are_passed_over() {
    assert_eq!(Keys::parse(b"[]").err(), Some(crate::KeyError::Form));
    let many = json!({"keys": vec![json!({"kty": "x"}); 65]}).to_string();
    assert_eq!(Keys::parse(many.as_bytes()).err(), Some(crate::KeyError::TooLarge));
    assert!(
        Keys::parse(br#"{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},{"kty":"oct","k":"AA"}]}"#)
            .is_ok()
    );
}
