//! Access tokens: what is accepted, and everything that is not.

use std::time::{Duration, Instant};

use base64ct::{Base64UrlUnpadded, Encoding};
use http::{Method, StatusCode, header};
use hyper_util::rt::TokioIo;
use pki::SigningKey;
use pki::jwk::Jwk;
use pki::jws::{self, KeyHint};
use serde_json::{Value, json};

use crate::rig::{Answer, Identity, Rig, Session, get, json_request, now, rig, trust_domain};

fn issuer() -> String {
    trust_domain().part(names::Part::Gateway).to_string()
}

pub fn header(token: &str) -> Value {
    let part = token.split('.').next().unwrap();
    serde_json::from_slice(&Base64UrlUnpadded::decode_vec(part).unwrap()).unwrap()
}

pub fn payload(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&Base64UrlUnpadded::decode_vec(part).unwrap()).unwrap()
}

/// Signs any claims with the gateway's own key.
pub fn forge(rig: &Rig, typ: &str, claims: &Value) -> String {
    let key = rig.token_key();
    let public = Jwk::from_spki(key.public_key_spki()).unwrap();
    jws::sign(typ, &KeyHint::Id(public.id().into()), claims, &key).unwrap()
}

fn changed(session: &Session<'_>, change: impl FnOnce(&mut Value)) -> Value {
    let mut claims = payload(session.access_token());
    change(&mut claims);
    claims
}

#[tokio::test]
async fn a_token_names_an_opaque_user_one_audience_and_ten_minutes() {
    let rig = rig().await;
    let alice = Identity::new("alice");
    let session = rig.user("alice", Some(&alice)).await;
    let claims = payload(session.access_token());
    assert_eq!(claims["iss"], issuer());
    assert_eq!(claims["aud"], issuer());
    assert_eq!(claims["sub"], session.user_id());
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 600);
    let thumbprint = Base64UrlUnpadded::encode_string(alice.thumbprint().as_bytes());
    assert_eq!(claims["cnf"]["x5t#S256"], thumbprint);
    assert_eq!(session.get("/v1/me").await.expect(StatusCode::OK)["name"], "alice");
}

/// The original gave enclaves the HS256 secret (portal.md 1.1, defect 4). What a facade reads here can't sign, and tokens made from it are
/// refused: `alg` none, HS256 with the public key as the secret, no `kid`, an unknown key.
#[tokio::test]
async fn what_facades_read_can_not_sign_tokens() {
    let rig = rig().await;
    let session = rig.user("alice", None).await;
    let served = rig.send(None, get("/.well-known/jwks.json", None)).await;
    assert_eq!(served.body, rig.file("jwks.json"));
    let keys = served.json();
    let members: Vec<&String> = keys["keys"][0].as_object().unwrap().keys().collect();
    assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x", "y"]);

    let claims = Base64UrlUnpadded::encode_string(payload(session.access_token()).to_string().as_bytes());
    let kid = &keys["keys"][0]["kid"];
    let signature = Base64UrlUnpadded::encode_string(&[7; 64]);
    for header in [
        json!({"alg": "none", "typ": "at+jwt", "kid": kid}),
        json!({"alg": "HS256", "typ": "at+jwt", "kid": kid}),
    ] {
        let header = Base64UrlUnpadded::encode_string(header.to_string().as_bytes());
        for signature in ["", signature.as_str()] {
            let token = format!("{header}.{claims}.{signature}");
            rig.send(None, get("/v1/me", Some(&token))).await.refused("token_invalid");
        }
    }
    let stranger = attested_tls::LocalKey::generate().unwrap();
    let id = Jwk::from_spki(stranger.public_key_spki()).unwrap().id().to_owned();
    for id in [id.as_str(), kid.as_str().unwrap()] {
        let token = jws::sign("at+jwt", &KeyHint::Id(id.into()), &payload(session.access_token()), &stranger)
            .unwrap();
        rig.send(None, get("/v1/me", Some(&token))).await.refused("token_invalid");
    }
}

/// CVE-2026-25537: `exp` and `nbf` of the wrong JSON type were treated as absent; RFC 8725 for the rest.
#[tokio::test]
async fn a_signed_token_with_one_wrong_claim_is_refused() {
    let rig = rig().await;
    let session = rig.user("alice", None).await;
    let me = async |token: &str| rig.send(None, get("/v1/me", Some(token))).await;
    let untouched = changed(&session, |_| {});
    me(&forge(&rig, "at+jwt", &untouched)).await.expect(StatusCode::OK);
    me(&forge(&rig, "JWT", &untouched)).await.refused("token_invalid");

    let later = now() + 3600;
    let enclave = trust_domain().enclave(&names::EnclaveId::from_bytes([1; 16])).to_string();
    for (name, value) in [
        ("exp", json!("9999999999")),
        ("exp", json!(9_999_999_999.5)),
        ("exp", json!(null)),
        ("exp", json!(later)),
        ("nbf", json!("0")),
        ("nbf", json!(later)),
        ("iat", json!(later)),
        ("aud", json!(enclave)),
        ("aud", json!([issuer()])),
        ("aud", json!("")),
        ("iss", json!("spiffe://elsewhere.internal/part/gateway")),
        ("sub", json!("alice")),
        ("jti", json!("made-up")),
    ] {
        let claims = changed(&session, |claims| claims[name] = value.clone());
        let refused = me(&forge(&rig, "at+jwt", &claims)).await;
        assert_eq!(refused.json()["code"], "token_invalid", "{name} {value}");
    }
    for name in ["exp", "nbf", "iat", "aud", "iss", "sub", "jti"] {
        let claims = changed(&session, |claims| {
            claims.as_object_mut().unwrap().remove(name);
        });
        me(&forge(&rig, "at+jwt", &claims)).await.refused("token_invalid");
    }
}

#[tokio::test]
async fn an_expired_token_says_so() {
    let rig = rig().await;
    let session = rig.user("alice", None).await;
    let claims = changed(&session, |claims| {
        for name in ["iat", "nbf", "exp"] {
            claims[name] = json!(claims[name].as_u64().unwrap() - 601);
        }
    });
    rig.send(None, get("/v1/me", Some(&forge(&rig, "at+jwt", &claims)))).await.refused("token_expired");
}

/// A token with a good signature whose session is not there, or is another user's.
#[tokio::test]
async fn a_token_needs_a_session_of_its_user() {
    let rig = rig().await;
    let alice = rig.user("alice", None).await;
    let bob = rig.user("bob", None).await;
    let no_session = changed(&alice, |claims| claims["jti"] = json!(format!("{}.1", "0".repeat(32))));
    rig.send(None, get("/v1/me", Some(&forge(&rig, "at+jwt", &no_session)))).await.refused("session_revoked");
    let mixed = changed(&alice, |claims| claims["sub"] = json!(bob.user_id()));
    rig.send(None, get("/v1/me", Some(&forge(&rig, "at+jwt", &mixed)))).await.refused("session_revoked");
}

/// RFC 8705, 3: a stolen token is useless without the key.
#[tokio::test]
async fn a_bound_token_needs_its_certificate() {
    let rig = rig().await;
    let (alice, mallory) = (Identity::new("alice"), Identity::new("mallory"));
    let session = rig.user("alice", Some(&alice)).await;
    let me = || get("/v1/me", Some(session.access_token()));
    rig.send(Some(&alice), me()).await.expect(StatusCode::OK);
    rig.send(Some(&mallory), me()).await.refused("token_invalid");
    rig.send(None, me()).await.refused("token_invalid");
}

#[tokio::test]
async fn only_one_bearer_header_is_a_token() {
    let rig = rig().await;
    let session = rig.user("alice", None).await;
    let token = session.access_token().to_owned();
    let answer = rig.send(None, get("/v1/me", None)).await;
    answer.refused("token_missing");
    assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Bearer");
    let mut twice = get("/v1/me", Some(&token));
    twice.headers_mut().append(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    rig.send(None, twice).await.refused("token_invalid");
    let mut basic = get("/v1/me", None);
    basic.headers_mut().insert(header::AUTHORIZATION, "Basic YTpi".parse().unwrap());
    rig.send(None, basic).await.refused("token_missing");
    rig.send(None, get(&format!("/v1/me?access_token={token}"), None)).await.refused("token_missing");
    rig.send(None, get("/v1/me", Some(&"x".repeat(5000)))).await.refused("token_invalid");
}

/// The gateway remembers on a connection that a token's signature was right, and nothing else of it: neither other bytes, nor time, nor a session
/// that has ended get past that.
#[tokio::test]
async fn a_token_that_was_good_on_a_connection_is_looked_at_again() {
    let rig = rig().await;
    let session = rig.user("alice", None).await;
    let stream = TokioIo::new(rig.connection().await.stream);
    let (mut sender, exchange) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(exchange);
    let mut me = async |token: &str| {
        sender.ready().await.unwrap();
        let answer = sender.send_request(get("/v1/me", Some(token))).await.unwrap();
        Answer::read(&Method::GET, "/v1/me", answer).await
    };
    let token = session.access_token();
    me(token).await.expect(StatusCode::OK);
    let (signed, _) = token.rsplit_once('.').unwrap();
    let broken = format!("{signed}.{}", Base64UrlUnpadded::encode_string(&[7; 64]));
    me(&broken).await.refused("token_invalid");
    me(token).await.expect(StatusCode::OK);

    let short = forge(&rig, "at+jwt", &changed(&session, |claims| claims["exp"] = json!(now() + 2)));
    me(&short).await.expect(StatusCode::OK);
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut last = me(&short).await;
    while last.status == StatusCode::OK && Instant::now() < deadline {
        last = me(&short).await;
    }
    last.refused("token_expired");

    me(token).await.expect(StatusCode::OK);
    session.call(Method::DELETE, "/v1/sessions/current", Value::Null).await.expect(StatusCode::NO_CONTENT);
    me(token).await.refused("session_revoked");
}

/// Every route but the public ones asks who is calling.
#[tokio::test]
async fn no_route_works_without_a_token() {
    let rig = rig().await;
    for (method, path) in [
        (Method::GET, "/v1/me"),
        (Method::DELETE, "/v1/sessions/current"),
        (Method::POST, "/v1/blobs/missing"),
        (Method::PUT, "/v1/blobs/00"),
        (Method::POST, "/v1/apps"),
        (Method::GET, "/v1/apps"),
        (Method::GET, "/v1/apps/hello"),
        (Method::POST, "/v1/enclaves"),
        (Method::GET, "/v1/enclaves"),
        (Method::GET, "/v1/enclaves/a"),
        (Method::DELETE, "/v1/enclaves/a"),
        (Method::POST, "/v1/enclaves/a/start"),
        (Method::POST, "/v1/enclaves/a/stop"),
        (Method::POST, "/v1/enclaves/a/token"),
        (Method::GET, "/v1/enclaves/a/logs"),
        (Method::GET, "/v1/enclaves/a/stages"),
    ] {
        rig.send(None, json_request(method, path, None, &Value::Null)).await.refused("token_missing");
    }
}
