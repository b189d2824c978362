//! What honest evidence may look like, and the nearest thing that it may not.

use logs::enclave::{Event, Reason, Start};
use names::{Digest, Level, hex};
use serde_json::json;

use super::{LEVELS, Vector};
use crate::{Draft, NOW, RsaScheme, TpmKey, World};

pub(super) fn vectors() -> Vec<Vector> {
    let mut vectors = purposes();
    vectors.extend(keys());
    vectors.extend(trees());
    vectors.extend(logs());
    vectors.extend(times());
    vectors.extend(levels());
    vectors
}

fn purposes() -> Vec<Vector> {
    let world = World::new();
    let issue = world.issue_draft().seal();
    let release = world.release_draft().seal();
    vec![
        Vector::sealed("ok", "purpose serve", |_| ()),
        Vector::new("ok", "purpose issue", &world, &issue)
            .with("challenge/purpose", json!("issue"))
            .with("challenge/audience", json!("spiffe://sealwright.internal/part/signer"))
            .with("challenge/request", json!(hex(&[0x55; 32])))
            .with("challenge/spki", json!(world.enclave.spki))
            .without("challenge/channel")
            .without("challenge/certificate"),
        Vector::new("ok", "purpose release, as a record", &world, &release).recorded(),
        Vector::new("purpose_mismatch", "purpose release, shown to a client", &world, &release),
        Vector::node("verdict_missing", "purpose node: everything holds but a client's policy", |_| ()),
        Vector::drafted("ok", "both node logs beside evidence about an enclave", |draft| {
            draft.boot_log = Some(crate::BOOT_LOG());
            draft.ima_log = Some(crate::IMA_LIST());
        }),
        Vector::drafted("boot_log_replay", "a boot log beside it, of another boot", |draft| {
            draft.boot_log = Some(crate::boot_log_with_secure_boot(1));
        }),
    ]
}

fn keys() -> Vec<Vector> {
    let mut vectors = Vec::new();
    let schemes = [(RsaScheme::Rsassa, "RSASSA"), (RsaScheme::Rsapss, "RSAPSS")];
    for (place, (scheme, name)) in schemes.into_iter().enumerate() {
        let world = World::with_attestation_key(TpmKey::rsa_attestation(scheme));
        let mut evidence = world.draft().seal();
        vectors.push(Vector::new("ok", &format!("an RSA-2048 key, {name}"), &world, &evidence));
        *evidence.signature.0.last_mut().expect("it is signed") ^= 1;
        vectors.push(Vector::new("quote_signature", &format!("{name}, a changed bit"), &world, &evidence));
        let (other, _) = schemes[1 - place];
        evidence.signature.0 = TpmKey::rsa_attestation(other).sign(&evidence.quote.0);
        vectors.push(Vector::new("quote_signature", &format!("{name}, the other scheme"), &world, &evidence));
        evidence.signature.0 = TpmKey::attestation(5).sign(&evidence.quote.0);
        vectors.push(Vector::new(
            "quote_signature",
            &format!("{name}, a signature by ECDSA"),
            &world,
            &evidence,
        ));
        evidence.signature.0.clear();
        vectors.push(Vector::new("signature_malformed", &format!("{name}, no signature"), &world, &evidence));
    }
    vectors
}

/// The statement is the last leaf, so that every shape of path is met.
fn trees() -> Vec<Vector> {
    let sealed = |others: u8| {
        move |draft: &mut Draft<'_>| {
            draft.other_leaves = (0..others).map(|byte| Digest::of(&[byte])).collect()
        }
    };
    (0..9).map(|others| Vector::drafted("ok", &format!("a tree of {}", others + 1), sealed(others))).collect()
}

fn reason() -> Reason {
    Reason::new("for a test").expect("it is plain text")
}

fn logs() -> Vec<Vector> {
    let world = World::new();
    let (enclave, spki) = (world.enclave.id, world.enclave.spki);
    let earlier = Start {
        enclave,
        incarnation: 1,
        version: Digest::from_bytes([8; 32]),
        instance: world.enclave.instance,
        owner: None,
        facade: world.enclave.facade,
    };
    let lived_before = move |draft: &mut Draft<'_>| {
        draft.events.insert(0, Event::Start(earlier));
        draft.events.insert(1, Event::Key { enclave, incarnation: 1, spki });
    };
    vec![
        Vector::drafted("ok", "a key that was replaced by the stated one", |draft| {
            draft.events[2] = Event::Key { enclave, incarnation: 3, spki: Digest::from_bytes([9; 32]) };
            draft.events.push(Event::Rekey { enclave, incarnation: 3, spki });
        }),
        Vector::drafted("ok", "an earlier start, never stopped", lived_before),
        Vector::drafted("ok", "an earlier start, stopped late", |draft| {
            lived_before(draft);
            draft.events.push(Event::Stop { enclave, incarnation: 1, reason: reason() });
        }),
        Vector::drafted("enclave_stopped", "an earlier start, and a stop of the present one", |draft| {
            lived_before(draft);
            draft.events.push(Event::Stop { enclave, incarnation: 3, reason: reason() });
        }),
        Vector::drafted("log_malformed", "a stop of a start that never was", |draft| {
            draft.events.push(Event::Stop { enclave, incarnation: 4, reason: reason() });
        }),
        Vector::drafted("log_malformed", "a rekey before the key", |draft| {
            draft.events[2] = Event::Rekey { enclave, incarnation: 3, spki };
        }),
        Vector::drafted("log_malformed", "a key of an earlier start after the later one", |draft| {
            draft.events.push(Event::Key { enclave, incarnation: 1, spki });
        }),
        Vector::drafted("ok", "nothing hidden", |draft| draft.hide = false),
        Vector::drafted("log_replay", "the log's register is not quoted", |draft| {
            draft.pcrs.retain(|pcr| *pcr != 13);
        }),
        Vector::drafted("pcr_selection", "a bank of another hash", |draft| draft.bank = 0x0004),
        Vector::node("ima_replay", "the IMA list's register is not quoted", |draft| {
            draft.pcrs.retain(|pcr| *pcr != 10);
        }),
    ]
}

fn times() -> Vec<Vector> {
    let verdict = |expect: &str, name: &str, iat: u64, exp: u64| {
        Vector::drafted(expect, name, move |draft| {
            let claims = draft.verdict.as_mut().expect("the draft has a verdict");
            (claims.iat, claims.exp) = (iat, exp);
        })
    };
    let made_at = |expect: &str, name: &str, made_at: u64| {
        Vector::sealed(expect, name, |_| ()).with("challenge/made_at", json!(made_at))
    };
    vec![
        verdict("ok", "a verdict in its last second", NOW - 59, NOW + 1),
        verdict("verdict_expired", "a verdict a second later", NOW - 60, NOW),
        verdict("ok", "a verdict five seconds ahead", NOW + 5, NOW + 65),
        verdict("verdict_expired", "a verdict six seconds ahead", NOW + 6, NOW + 66),
        verdict("verdict_expired", "a verdict of no time", NOW, NOW),
        made_at("ok", "a challenge in its first second", NOW),
        made_at("ok", "a challenge in its last second", NOW - 10),
        made_at("challenge_expired", "a challenge a second later", NOW - 11),
        // Without a verdict only the certificates have an age.
        Vector::drafted("verdict_missing", "the last second of the key's certificate", |draft| {
            draft.verdict = None
        })
        .recorded()
        .with("at", json!(NOW + 3600)),
        Vector::drafted("ak_chain", "a second after the key's certificate", |draft| draft.verdict = None)
            .recorded()
            .with("at", json!(NOW + 3601)),
        Vector::drafted("ak_chain", "a second before the key's certificate", |draft| draft.verdict = None)
            .recorded()
            .with("at", json!(NOW - 61)),
    ]
}

/// The level is the least of the anchor's and of what the verifier saw.
fn levels() -> Vec<Vector> {
    let mut vectors = Vec::new();
    for anchor in LEVELS {
        for seen in LEVELS {
            let expect = match anchor.min(seen) {
                Level::Simulated => "level_simulated",
                Level::Virtual => "level_too_low",
                Level::Tpm | Level::Tee => "ok",
            };
            let vector = Vector::drafted(expect, &format!("anchor {anchor}, seen {seen}"), |draft| {
                draft.verdict.as_mut().expect("the draft has a verdict").submods.node.level = seen;
            });
            vectors.push(vector.with("roots", json!([super::root(&World::new(), anchor.as_str())])));
        }
    }
    vectors
}
