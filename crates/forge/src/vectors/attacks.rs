//! Known attacks.

use evidence::tree::{Tree, leaf};
use evidence::{Audience, Bytes, Proof};
use logs::enclave::{EnclaveLog, Event, Reason, Record, Start};
use names::{Digest, EnclaveId, hex};
use pki::profile::KeyPurpose;
use serde_json::json;
use tpm2::Handle;
use tpm2::attributes::ObjectAttributes as Attribute;

use super::{Vector, root};
use crate::{TpmKey, World, ima_list};

pub(super) fn vectors() -> Vec<Vector> {
    let mut vectors = statements();
    vectors.extend(keys());
    vectors.extend(anchors());
    vectors.extend(logs());
    vectors.extend(two_values());
    vectors
}

fn statements() -> Vec<Vector> {
    let world = World::new();
    let mut draft = world.draft();
    let [first, second, third] = [1, 2, 3].map(|byte| Digest::from_bytes([byte; 32]));
    draft.other_leaves = vec![first, second, third];
    let mut inner = draft.seal();
    let right = Tree::new(vec![third, leaf(&inner.statement.0)]).expect("two leaves").root();
    inner.statement = Bytes([first.as_bytes().as_slice(), second.as_bytes()].concat());
    inner.proof = Proof { index: 0, count: 2, path: vec![right] };
    vec![
        Vector::drafted(
            "audience_mismatch",
            "relay: an answer that Mallory asked for with the victim's nonce",
            |d| {
                d.statement.audience = Audience::Key(Digest::from_bytes([0x66; 32]));
            },
        ),
        Vector::new("statement_malformed", "an inner node in the place of a leaf", &world, &inner),
        Vector::drafted("verdict_other_boot", "a reboot after the verdict", |draft| draft.counts = (12, 0)),
        Vector::sealed("quote_data_mismatch", "the same path in a tree of another size", |evidence| {
            (evidence.proof.index, evidence.proof.count) = (1, 2);
        }),
    ]
}

fn keys() -> Vec<Vector> {
    let world = World::new();
    let signed = |expect, name, key: &TpmKey, purpose| {
        let certificate = world.certify(key, &world.node, purpose);
        let mut draft = world.draft();
        draft.statement.ak_name = key.name();
        let claims = draft.verdict.as_mut().expect("the draft has a verdict");
        claims.submods.node.ak_names.insert("ak-enclave".into(), hex(&key.name()));
        let evidence = draft.seal_with(key, |chain| vec![certificate, chain[1].clone()]);
        Vector::new(expect, name, &world, &evidence)
    };
    let mut owners = TpmKey::attestation(5);
    owners.hierarchy = Handle::OWNER;
    let unrestricted = TpmKey::with_attributes(
        5,
        Attribute::FIXED_TPM | Attribute::FIXED_PARENT | Attribute::SENSITIVE_DATA_ORIGIN | Attribute::SIGN,
    );
    vec![
        signed("ok", "another certified key of the node", &TpmKey::attestation(6), KeyPurpose::Enclave),
        signed("ak_purpose", "the node's key for Keylime", &TpmKey::attestation(6), KeyPurpose::Keylime),
        signed("ak_hierarchy", "a key of the owner hierarchy", &owners, KeyPurpose::Enclave),
        signed(
            "ak_attributes",
            "a made-up quote by a key that signs anything",
            &unrestricted,
            KeyPurpose::Enclave,
        ),
    ]
}

/// A software TPM under a vendor's name: the chains have the same names, and only the anchor tells.
fn anchors() -> Vec<Vector> {
    let (vendor, software) = (World::new(), World::of_another_root());
    let both = json!([root(&vendor, "tpm"), root(&software, "simulated")]);
    let evidence = software.draft().seal();
    let of = |expect, name| Vector::new(expect, name, &software, &evidence);
    vec![
        of("level_simulated", "a software TPM under a vendor's name").with("roots", both.clone()),
        of("ak_chain", "the same where only the vendor is trusted")
            .with("roots", json!([root(&vendor, "tpm")])),
        Vector::sealed("ok", "the vendor's own beside it", |_| ()).with("roots", both),
        Vector::sealed("verdict_chain", "a verdict below another root with the same names", |good| {
            good.verdict = evidence.verdict.clone();
        }),
        Vector::sealed("ak_chain", "nobody is trusted", |_| ()).with("roots", json!([])),
    ]
}

fn logs() -> Vec<Vector> {
    let world = World::new();
    let claim = world.enclave.clone();
    let (enclave, spki) = (claim.id, claim.spki);
    let reason = || Reason::new("for a test").expect("it is plain text");
    let mut stopped = world.draft();
    stopped.events.push(Event::Stop { enclave, incarnation: 3, reason: reason() });
    let log = stopped.log();
    let hidden = log.hide_foreign(&EnclaveId::from_bytes([0xe2; 16]));
    let hidden = EnclaveLog::parse(&hidden, log.pcr()).expect("a hidden log is one");
    let open = log.records().iter().take(4).chain(hidden.records().last());
    let bytes: Vec<u8> = open.flat_map(Record::encode).collect();
    let mut stopped = stopped.seal();
    stopped.enclave_log = Bytes(bytes);
    let mut swapped = world.draft();
    swapped.events.swap(0, 1);
    let swapped = swapped.log().hide_foreign(&enclave);
    vec![
        Vector::new("log_hidden_entry", "a hidden stop, everything else in the open", &world, &stopped),
        Vector::drafted("log_statement_mismatch", "another version started under the same name", |draft| {
            let version = Digest::from_bytes([0x0e; 32]);
            let (instance, owner, facade) = (claim.instance, Some(claim.owner), claim.facade);
            draft.events.push(Event::Start(Start {
                enclave,
                incarnation: 4,
                version,
                instance,
                owner,
                facade,
            }));
            draft.events.push(Event::Key { enclave, incarnation: 4, spki });
        }),
        Vector::sealed("log_replay", "a reordered log, numbered anew", |good| {
            good.enclave_log = Bytes(swapped)
        }),
        Vector::node("boot_log_data", "Secure Boot switched on in the log, digests kept", |draft| {
            draft.boot(crate::boot_log_with_secure_boot(0));
            let log = draft.boot_log.as_mut().expect("the draft ships it");
            let name: Vec<u8> = "SecureBoot".encode_utf16().flat_map(u16::to_le_bytes).collect();
            let at = log.windows(name.len()).position(|part| part == name).expect("it is measured");
            log[at + name.len()] = 1;
        }),
        Vector::node("verdict_missing", "files measured after the quote, which are not judged", |draft| {
            let later = ima_list(&[("/usr/bin/later", Digest::from_bytes([9; 32]))]);
            draft.ima_log = Some([crate::IMA_LIST(), later].concat());
        }),
    ]
}

/// Two readers must not see two values.
fn two_values() -> Vec<Vector> {
    let zeros = hex(&[0; 32]);
    let good = || Vector::sealed("evidence_malformed", "", |_| ());
    let named = |vector: Vector, name: &str| vector.with("name", json!(name));
    vec![
        named(
            good()
                .with_text(|text| text.replacen("\"pcrs\":{", &format!("\"pcrs\":{{\"0\":\"{zeros}\","), 1)),
            "a register twice",
        ),
        named(
            good().with_text(|text| text.replacen("\"count\":", "\"count\":1,\"count\":", 1)),
            "a count twice",
        ),
        named(
            good().with_text(|text| text.replacen("\"index\":2", "\"index\":2.0", 1)),
            "an index with a fraction",
        ),
        named(
            good().with_text(|text| text.replacen("\"index\":2", "\"index\":true", 1)),
            "an index that is a truth",
        ),
        named(good().with_text(|text| format!("{text} {{}}")), "a second value after it"),
    ]
}
