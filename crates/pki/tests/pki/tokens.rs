//! Tokens, key sets, enrolments: every refusal by a token that deserves it.

use base64ct::{Base64UrlUnpadded, Encoding};
use names::{Level, Part};
use pki::{
    Oid, SigningKey, Validity,
    csr::{self, Csr, CsrError},
    enrolment::{self, EnrolmentClaims, EnrolmentRefused},
    jwk::{Jwk, JwkError, Jwks},
    jws::{self, JwsError, KeyHint, Unverified},
    path::PathError,
    profile,
    token::{
        self, AccessClaims, CLOCK_LEEWAY, Confirmation, ENCLAVE_TOKEN_LIFE, Expected, Signed, TokenRefusal,
        verify_access_token,
    },
};
use serde::{Deserialize, Serialize};

use crate::{HOUR, NOW, authorities, domain, key, serial};

const GATEWAY: &str = "spiffe://sealwright.internal/part/gateway";
const ENCLAVE: &str = "spiffe://sealwright.internal/enclave/07070707070707070707070707070707";
const CERTIFICATE: [u8; 32] = [5; 32];

fn claims() -> AccessClaims {
    AccessClaims {
        iss: GATEWAY.into(),
        sub: "user".into(),
        aud: ENCLAVE.into(),
        iat: NOW,
        nbf: NOW,
        exp: NOW + ENCLAVE_TOKEN_LIFE,
        jti: "1".into(),
        cnf: Some(Confirmation::certificate(&CERTIFICATE)),
        username: None,
    }
}

fn keys() -> Jwks {
    Jwks::new(vec![Jwk::from_spki(key(1).public_key_spki()).unwrap()]).unwrap()
}

fn verify(token: &str) -> Result<AccessClaims, TokenRefusal> {
    let expected = Expected { issuer: GATEWAY, audience: ENCLAVE, now: NOW };
    verify_access_token(token, &keys(), &expected, &CERTIFICATE)
}

fn refused(claims: &AccessClaims) -> TokenRefusal {
    verify(&token::issue(claims, &key(1)).unwrap()).unwrap_err()
}

/// A token of any header and payload, signed with the right key.
fn raw(header: &str, payload: &str) -> String {
    let encode = |text: &str| Base64UrlUnpadded::encode_string(text.as_bytes());
    let input = format!("{}.{}", encode(header), encode(payload));
    let signature = pki::ecdsa_der_to_raw(&key(1).sign_sha256(input.as_bytes()).unwrap()).unwrap();
    format!("{input}.{}", Base64UrlUnpadded::encode_string(&signature))
}

fn header() -> String {
    format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"{}"}}"#, keys().keys()[0].id())
}

#[test]
fn a_good_token_is_accepted() {
    assert_eq!(verify(&token::issue(&claims(), &key(1)).unwrap()), Ok(claims()));
}

#[test]
fn each_wrong_claim_has_its_own_refusal() {
    let other = |change: fn(&mut AccessClaims)| {
        let mut claims = claims();
        change(&mut claims);
        refused(&claims)
    };
    assert_eq!(other(|claims| claims.iss = ENCLAVE.into()), TokenRefusal::Issuer);
    assert_eq!(other(|claims| claims.aud = GATEWAY.into()), TokenRefusal::Audience);
    assert_eq!(other(|claims| claims.nbf = NOW + CLOCK_LEEWAY + 1), TokenRefusal::NotYetValid);
    assert_eq!(other(|claims| claims.iat = NOW + CLOCK_LEEWAY + 1), TokenRefusal::NotYetValid);
    assert_eq!(other(|claims| claims.exp = NOW), TokenRefusal::Expired);
    assert_eq!(other(|claims| claims.exp = NOW + ENCLAVE_TOKEN_LIFE + 1), TokenRefusal::TooLongLived);
    assert_eq!(other(|claims| claims.cnf = None), TokenRefusal::Unbound);
    assert_eq!(other(|claims| claims.cnf = Some(Confirmation::certificate(&[6; 32]))), TokenRefusal::Binding);
}

#[test]
fn a_token_of_another_key_is_refused() {
    let token = token::issue(&claims(), &key(2)).unwrap();
    assert_eq!(verify(&token), Err(TokenRefusal::UnknownKey));
    // The right key id on a foreign signature.
    let hint = KeyHint::Id(keys().keys()[0].id().into());
    let token = jws::sign("at+jwt", &hint, &claims(), &key(2)).unwrap();
    assert_eq!(verify(&token), Err(TokenRefusal::Signature));
    let token = jws::sign("at+jwt", &KeyHint::Chain(vec![vec![1]]), &claims(), &key(1)).unwrap();
    assert_eq!(verify(&token), Err(TokenRefusal::UnknownKey));
}

#[test]
fn another_type_or_algorithm_is_refused() {
    let payload = serde_json::to_string(&claims()).unwrap();
    let with = |from: &str, to: &str| verify(&raw(&header().replace(from, to), &payload)).unwrap_err();
    assert_eq!(with("at+jwt", "JWT"), TokenRefusal::Type);
    for algorithm in ["none", "HS256", "RS256", "ES384", "es256", ""] {
        assert_eq!(with("ES256", algorithm), TokenRefusal::Algorithm, "{algorithm}");
    }
}

#[test]
fn headers_that_we_do_not_know_are_refused() {
    let payload = serde_json::to_string(&claims()).unwrap();
    for member in [
        r#""crit":["exp"]"#,
        r#""jku":"https://evil.example""#,
        r#""jwk":{}"#,
        r#""b64":false"#,
        r#""alg":"ES256""#,
        r#""kid":"x""#,
    ] {
        let header = header().replace('}', &format!(",{member}}}"));
        let expected = TokenRefusal::Malformed(JwsError::Header);
        assert_eq!(verify(&raw(&header, &payload)), Err(expected), "{member}");
    }
}

#[test]
fn times_are_integers_and_claims_stand_once() {
    let payload = serde_json::to_string(&claims()).unwrap();
    let exp = format!(r#""exp":{}"#, NOW + ENCLAVE_TOKEN_LIFE);
    assert!(payload.contains(&exp));
    for other in [
        format!(r#""exp":{}.5"#, NOW + 60),
        format!(r#""exp":"{}""#, NOW + 60),
        r#""exp":-1"#.into(),
        r#""exp":null"#.into(),
        r#""exp":1e18"#.into(),
        r#""x":1"#.into(),
        format!("{exp},{exp}"),
    ] {
        let payload = payload.replace(&exp, &other);
        assert_eq!(verify(&raw(&header(), &payload)), Err(TokenRefusal::Claims), "{other}");
    }
    let audiences = payload.replace(&format!(r#""aud":"{ENCLAVE}""#), &format!(r#""aud":["{ENCLAVE}"]"#));
    assert_eq!(verify(&raw(&header(), &audiences)), Err(TokenRefusal::Claims));
}

#[test]
fn broken_forms_are_refused() {
    let good = token::issue(&claims(), &key(1)).unwrap();
    for token in
        ["", "a", "a.b", "a.b.c", &good[..good.len() - 1], &format!("{good}="), &good.replace('.', "..")]
    {
        assert!(
            matches!(verify(token), Err(TokenRefusal::Malformed(JwsError::Form | JwsError::Header))),
            "{token}"
        );
    }
    let long = "a".repeat(jws::MAX_TOKEN + 1);
    assert_eq!(verify(&long), Err(TokenRefusal::Malformed(JwsError::TooLarge)));
    // Another last character that decodes to the same bytes: one value, one form.
    let (rest, last) = good.split_at(good.len() - 1);
    let sibling = match last {
        "A" => "B",
        "Q" => "R",
        "g" => "h",
        "w" => "x",
        other => panic!("64 bytes end in {other}"),
    };
    assert_eq!(verify(&format!("{rest}{sibling}")), Err(TokenRefusal::Malformed(JwsError::Form)));
}

#[test]
fn a_session_token_is_bound_if_it_says_so() {
    let session = |cnf: Option<&[u8; 32]>, presented: Option<&[u8; 32]>| {
        let claims =
            AccessClaims { aud: GATEWAY.into(), cnf: cnf.map(Confirmation::certificate), ..claims() };
        let token = token::issue(&claims, &key(1)).unwrap();
        let expected = Expected { issuer: GATEWAY, audience: GATEWAY, now: NOW };
        Signed::verify(&token, &keys())?.for_gateway(&keys(), &expected, presented).map(drop)
    };
    assert_eq!(session(None, None), Ok(()));
    assert_eq!(session(None, Some(&CERTIFICATE)), Ok(()));
    assert_eq!(session(Some(&CERTIFICATE), Some(&CERTIFICATE)), Ok(()));
    assert_eq!(session(Some(&CERTIFICATE), None), Err(TokenRefusal::Unbound));
    assert_eq!(session(Some(&CERTIFICATE), Some(&[6; 32])), Err(TokenRefusal::Binding));
}

#[test]
fn a_token_whose_signature_was_right_is_asked_everything_else_each_time() {
    let claims = AccessClaims { aud: GATEWAY.into(), ..claims() };
    let token = token::issue(&claims, &key(1)).unwrap();
    let signed = Signed::verify(&token, &keys()).unwrap();
    let (expected, bound) = (Expected { issuer: GATEWAY, audience: GATEWAY, now: NOW }, Some(&CERTIFICATE));
    let refused = |keys: &Jwks, expected: &Expected<'_>, certificate| {
        signed.for_gateway(keys, expected, certificate).map(drop).unwrap_err()
    };
    assert_eq!(signed.for_gateway(&keys(), &expected, bound), Ok(&claims));
    let later = Expected { now: claims.exp, ..expected };
    assert_eq!(refused(&keys(), &later, bound), TokenRefusal::Expired);
    let earlier = Expected { now: NOW - CLOCK_LEEWAY - 1, ..expected };
    assert_eq!(refused(&keys(), &earlier, bound), TokenRefusal::NotYetValid);
    assert_eq!(refused(&keys(), &Expected { audience: ENCLAVE, ..expected }, bound), TokenRefusal::Audience);
    assert_eq!(refused(&keys(), &expected, Some(&[6; 32])), TokenRefusal::Binding);
    let others = Jwks::new(vec![Jwk::from_spki(key(2).public_key_spki()).unwrap()]).unwrap();
    assert_eq!(refused(&others, &expected, bound), TokenRefusal::UnknownKey);
    assert!(signed.is(&token));
    assert!(!signed.is(token::issue(&claims, &key(2)).unwrap().as_str()) && !signed.is(&token[1..]));
}

#[test]
fn every_refusal_has_a_listed_code() {
    let refusals = [
        TokenRefusal::Malformed(JwsError::Form),
        TokenRefusal::Algorithm,
        TokenRefusal::Type,
        TokenRefusal::UnknownKey,
        TokenRefusal::Signature,
        TokenRefusal::Claims,
        TokenRefusal::Issuer,
        TokenRefusal::Audience,
        TokenRefusal::NotYetValid,
        TokenRefusal::Expired,
        TokenRefusal::TooLongLived,
        TokenRefusal::Unbound,
        TokenRefusal::Binding,
    ];
    assert!(refusals.iter().map(TokenRefusal::code).eq(token::CODES.iter().copied()));
}

#[test]
fn key_sets_come_back_and_bad_ones_are_refused() {
    let set = keys();
    let json = set.to_json();
    assert_eq!(Jwks::parse(json.as_bytes()), Ok(set));
    let with = |from: &str, to: &str| Jwks::parse(json.replace(from, to).as_bytes()).unwrap_err();
    assert_eq!(with(r#""kty""#, r#""d":"AAAA","kty""#), JwkError::Form);
    assert_eq!(with("P-256", "P-384"), JwkError::Key);
    assert_eq!(with(r#""kid":""#, r#""kid":"x"#), JwkError::KeyId);
    assert_eq!(with(r#""x":""#, r#""x":"AAAA"#), JwkError::Key);
    assert_eq!(Jwks::parse(&vec![b' '; 64 * 1024 + 1]), Err(JwkError::TooLarge));
    let one = Jwk::from_spki(key(1).public_key_spki()).unwrap();
    assert_eq!(Jwks::new(vec![one; 65]), Err(JwkError::TooLarge));
}

#[test]
fn the_thumbprint_is_that_of_rfc_7638() {
    // RFC 7517, appendix A.1, the EC key; its thumbprint as computed by jose and jwcrypto.
    let decode = |text: &str| <[u8; 32]>::try_from(Base64UrlUnpadded::decode_vec(text).unwrap()).unwrap();
    let x = decode("MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4");
    let y = decode("4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM");
    let jwk = Jwk::from_spki(&pki::p256_spki(&x, &y)).unwrap();
    assert_eq!(jwk.id(), "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s");
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Word {
    word: String,
}

#[test]
fn a_token_with_its_chain_is_verified_against_anchors() {
    let authorities = authorities();
    let part = profile::Part { part: Part::Verifier, trust_domain: &domain(), dns_names: &[] };
    let leaf = part
        .issue(&authorities.issuer(), key(4).public_key_spki(), Validity::starting(NOW, HOUR), serial(4))
        .unwrap();
    let word = Word { word: "yes".into() };
    let sign = |seed| jws::sign("t", &KeyHint::Chain(authorities.chain(&leaf)), &word, &key(seed)).unwrap();
    let roots = [authorities.root.clone()];
    let token = sign(4);
    let (verified, chain) =
        Unverified::parse(&token).unwrap().verify_chain(&roots, NOW, Oid::PART_VERIFIER).unwrap();
    assert_eq!(verified.claims::<Word>().as_ref(), Ok(&word));
    assert_eq!(chain.leaf(), &leaf);
    let purpose =
        Unverified::parse(&token).unwrap().verify_chain(&roots, NOW, Oid::PART_GATEWAY).unwrap_err();
    assert_eq!(purpose, JwsError::Chain(PathError::Purpose));
    let forged = sign(5);
    let refused =
        Unverified::parse(&forged).unwrap().verify_chain(&roots, NOW, Oid::PART_VERIFIER).unwrap_err();
    assert_eq!(refused, JwsError::Signature);
    let bare = jws::sign("t", &KeyHint::Id("x".into()), &Word { word: "x".into() }, &key(4)).unwrap();
    let refused =
        Unverified::parse(&bare).unwrap().verify_chain(&roots, NOW, Oid::PART_VERIFIER).unwrap_err();
    assert_eq!(refused, JwsError::NoChain);
}

#[test]
fn enrolments_are_verified_and_refused_by_name() {
    let authorities = authorities();
    let leaf = |part| {
        profile::Part { part, trust_domain: &domain(), dns_names: &[] }
            .issue(&authorities.issuer(), key(4).public_key_spki(), Validity::starting(NOW, HOUR), serial(4))
            .unwrap()
    };
    let claims = || EnrolmentClaims {
        iss: domain().part(Part::Verifier),
        iat: NOW,
        exp: NOW + enrolment::MAX_ENROLMENT_LIFE,
        jti: "1".into(),
        ak_name: "00".into(),
        purpose: "ak-enclave".into(),
        node: domain().node("node-1").unwrap(),
        level: Level::Simulated,
    };
    let check = |claims: &EnrolmentClaims, part| {
        let token = enrolment::sign(claims, &authorities.chain(&leaf(part)), &key(4)).unwrap();
        enrolment::verify(&token, std::slice::from_ref(&authorities.root), NOW)
    };
    let verified = check(&claims(), Part::Verifier).unwrap();
    assert_eq!((verified.claims(), verified.purpose()), (&claims(), profile::KeyPurpose::Enclave));
    let other_part = JwsError::Chain(PathError::Purpose);
    assert_eq!(check(&claims(), Part::Gateway), Err(EnrolmentRefused::Token(other_part)));
    for (refused, claims) in [
        (EnrolmentRefused::Issuer, EnrolmentClaims { iss: domain().part(Part::Signer), ..claims() }),
        (EnrolmentRefused::Expired, EnrolmentClaims { exp: NOW, ..claims() }),
        (EnrolmentRefused::Expired, EnrolmentClaims { exp: NOW + 61, ..claims() }),
        (EnrolmentRefused::Expired, EnrolmentClaims { iat: NOW + 6, ..claims() }),
        (EnrolmentRefused::Id, EnrolmentClaims { jti: String::new(), ..claims() }),
        (EnrolmentRefused::Id, EnrolmentClaims { jti: "x".repeat(65), ..claims() }),
        (EnrolmentRefused::Purpose, EnrolmentClaims { purpose: "ak".into(), ..claims() }),
    ] {
        assert_eq!(check(&claims, Part::Verifier), Err(refused));
    }
}

#[test]
fn requests_are_refused_by_name() {
    let good = csr::build(&key(9), "x").unwrap();
    assert_eq!(Csr::from_der(&vec![0x30; csr::MAX_REQUEST + 1]), Err(CsrError::TooLarge));
    assert_eq!(Csr::from_der(&good[..good.len() - 1]), Err(CsrError::Der));
    // Another key in place of the one that signed.
    let (ours, theirs) = (key(9), key(8));
    let place = good.windows(91).position(|window| window == ours.public_key_spki()).unwrap();
    let mut swapped = good.clone();
    swapped[place..place + 91].copy_from_slice(theirs.public_key_spki());
    assert_eq!(Csr::from_der(&swapped), Err(CsrError::Signature));
    let mut bent = good;
    bent[place + 60] ^= 1;
    assert!(matches!(Csr::from_der(&bent), Err(CsrError::Key(_))));
}
