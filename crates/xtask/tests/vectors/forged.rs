//! Vectors of forged evidence: right by default, wrong in one place each.

use appraisal::{Policy, Reference, Source, Versions};
use base64ct::{Base64, Encoding};
use evidence::tree::{Tree, leaf};
use evidence::{Bytes, Channel, Evidence, NoChannel, Purpose};
use forge::{Draft, NOW, TpmKey, World};
use logs::enclave::{Event, Reason};
use names::{Digest, EnclaveId, Level, Part};
use pki::profile::KeyPurpose;
use serde_json::{Value, json};

use crate::format::{Question, Root, TreeCase, Vector};

/// Codes that no vector of either maker shows, each with its reason.
pub const WITHOUT_VECTOR: &[&str] = &[];

fn digest(byte: u8) -> Digest {
    Digest::from_bytes([byte; 32])
}

fn policy(world: &World) -> Policy {
    let version = Reference { digest: world.enclave.version, source: Source::PublisherSignature };
    Policy::new(Versions::OneOf(vec![version]))
}

fn question(world: &World) -> Question {
    Question {
        nonce: digest(0x42),
        audience: digest(0x01).to_string(),
        purpose: "serve".into(),
        channel: Some(digest(0xcc)),
        certificate: Some(Digest::of(world.facade_certificate.der())),
        request: None,
        spki: None,
        made_at: NOW - 1,
        max_age: 10,
    }
}

fn node_question(world: &World) -> Question {
    let audience = world.node.as_str().replace("node/node-1", "part/verifier");
    Question { audience, purpose: "node".into(), channel: None, certificate: None, ..question(world) }
}

/// A world and the vectors made of it so far.
struct Maker {
    world: World,
    made: Vec<Vector>,
}

impl Maker {
    fn vector(&self, name: &str, bundle: &Evidence, expect: &str) -> Vector {
        let root = Root {
            name: "forged root".into(),
            level: Level::Tpm,
            certificate: Base64::encode_string(self.world.root.der()),
        };
        Vector {
            name: name.into(),
            bundle: Some(serde_json::from_slice(&bundle.to_json()).unwrap()),
            challenge: Some(question(&self.world)),
            roots: vec![root],
            policy: Some(policy(&self.world)),
            at: Some(NOW),
            tree: None,
            expect: expect.into(),
        }
    }

    /// The draft is changed before it is signed.
    fn draft(&mut self, expect: &str, name: &str, change: impl FnOnce(&mut Draft<'_>)) {
        let mut draft = self.world.draft();
        change(&mut draft);
        let vector = self.vector(name, &draft.seal(), expect);
        self.made.push(vector);
    }

    /// The evidence is changed after it was signed.
    fn sealed(&mut self, expect: &str, name: &str, change: impl FnOnce(&mut Evidence)) {
        let mut evidence = self.world.draft().seal();
        change(&mut evidence);
        let vector = self.vector(name, &evidence, expect);
        self.made.push(vector);
    }

    /// Good evidence; the vector around it is changed.
    fn around(&mut self, expect: &str, name: &str, change: impl FnOnce(&mut Vector, &World)) {
        let mut vector = self.vector(name, &self.world.draft().seal(), expect);
        change(&mut vector, &self.world);
        self.made.push(vector);
    }

    /// Evidence about the node, changed before it is signed.
    fn node(&mut self, expect: &str, name: &str, change: impl FnOnce(&mut Draft<'_>)) {
        let mut draft = self.world.node_draft();
        change(&mut draft);
        let mut vector = self.vector(name, &draft.seal(), expect);
        vector.challenge = Some(node_question(&self.world));
        vector.policy = Some(Policy::new(Versions::Any));
        self.made.push(vector);
    }
}

fn flip(bytes: &mut Bytes, at: usize) {
    bytes.0[at] ^= 1;
}

/// All of them.
pub fn vectors() -> Vec<Vector> {
    let mut maker = Maker { world: World::new(), made: Vec::new() };
    form(&mut maker);
    challenge(&mut maker);
    certificate(&mut maker);
    quote_and_key(&mut maker);
    log(&mut maker);
    verdict(&mut maker);
    node_logs(&mut maker);
    appraisal(&mut maker);
    trees(&mut maker);
    maker.made
}

fn form(maker: &mut Maker) {
    maker.sealed("ok", "good evidence", |_| ());
    maker.around("ok", "good evidence as a record", |vector, _| vector.challenge = None);
    let text = |vector: &mut Vector, change: &dyn Fn(&mut Value)| {
        let mut bundle = vector.bundle.clone().unwrap();
        change(&mut bundle);
        vector.bundle = Some(bundle);
    };
    maker.around("evidence_malformed", "an unknown member", |vector, _| {
        text(vector, &|bundle| bundle["more"] = json!(1));
    });
    maker.around("evidence_malformed", "another format", |vector, _| {
        text(vector, &|bundle| bundle["format"] = json!("sealwright/evidence/v2"));
    });
    maker.around("evidence_malformed", "a member twice", |vector, _| {
        let once = serde_json::to_string(vector.bundle.as_ref().unwrap()).unwrap();
        vector.bundle = Some(Value::String(once.replacen('{', "{\"quote\":\"\",", 1)));
    });
    maker.around("evidence_malformed", "a register with a leading zero", |vector, _| {
        text(vector, &|bundle| {
            let value = bundle["pcrs"]["1"].take();
            bundle["pcrs"].as_object_mut().unwrap().remove("1");
            bundle["pcrs"]["01"] = value;
        });
    });
    maker.around("evidence_malformed", "a digest in upper case", |vector, _| {
        text(vector, &|bundle| bundle["pcrs"]["0"] = json!("AB".repeat(32)));
    });
    maker.sealed("evidence_too_large", "too long a proof", |e| e.proof.path = vec![digest(0); 11]);
    maker.sealed("evidence_too_large", "too long a chain", |e| {
        e.ak_chain = vec![e.ak_chain[0].clone(); 5];
    });
    maker.sealed("statement_malformed", "a byte after the statement", |e| e.statement.0.push(0));
    maker.sealed("statement_malformed", "another magic", |e| flip(&mut e.statement, 0));
    maker.sealed("statement_malformed", "an unknown suite", |e| {
        let suite = b"sealwright/statement/v1".len() + 3;
        e.statement.0[suite] = 2;
    });
    maker.sealed("statement_inconsistent", "a serve statement that says it is about the node", |e| {
        let purpose = b"sealwright/statement/v1".len() + 6;
        e.statement.0[purpose] = 4;
    });
}

fn challenge(maker: &mut Maker) {
    let mut asked = |expect: &str, name: &str, change: fn(&mut Question)| {
        maker.around(expect, name, |vector, _| change(vector.challenge.as_mut().unwrap()));
    };
    asked("ok", "no channel of ours to compare with", |q| q.channel = None);
    asked("challenge_expired", "a challenge that is too old", |q| q.made_at = NOW - 11);
    asked("challenge_expired", "a challenge of the future", |q| q.made_at = NOW + 1);
    asked("purpose_mismatch", "evidence of another purpose", |q| q.purpose = "node".into());
    asked("nonce_mismatch", "an old answer to a new nonce", |q| q.nonce = digest(0x43));
    asked("audience_mismatch", "evidence for another client", |q| q.audience = digest(0x02).to_string());
    asked("audience_mismatch", "evidence for somebody, asked by nobody", |q| q.audience = String::new());
    asked("certificate_mismatch", "a man in the middle with another certificate", |q| {
        q.certificate = Some(digest(0x0a));
        q.audience = digest(0x0b).to_string();
    });
    asked("channel_mismatch", "evidence of another connection", |q| q.channel = Some(digest(0xcd)));
    maker.draft("channel_missing", "no channel where one is required", |draft| {
        draft.statement.channel = Channel::None(NoChannel::Recorded);
    });
    for (expect, name, request, key) in [
        ("ok", "evidence for a certificate request", 0x21, None),
        ("request_mismatch", "evidence for another request", 0x22, None),
        ("request_key_mismatch", "a request with another key", 0x21, Some(digest(0x23))),
    ] {
        maker.draft(expect, name, |draft| {
            draft.statement.purpose = Purpose::Issue;
            draft.statement.request = Some(digest(0x21));
            draft.statement.certificate = None;
            draft.statement.channel = Channel::None(NoChannel::NotOffered);
            draft.certificate = None;
        });
        let spki = key.unwrap_or(maker.world.enclave.spki);
        let vector = maker.made.last_mut().unwrap();
        let question = vector.challenge.as_mut().unwrap();
        (question.purpose, question.channel, question.certificate) = ("issue".into(), None, None);
        (question.request, question.spki) = (Some(digest(request)), Some(spki));
    }
}

fn certificate(maker: &mut Maker) {
    maker.sealed("certificate_missing", "evidence without the certificate", |e| e.certificate = None);
    maker.sealed("certificate_mismatch", "evidence with another certificate", |e| {
        flip(e.certificate.as_mut().unwrap(), 40);
    });
    let other = EnclaveId::from_bytes([0xee; 16]);
    for (expect, name, certificate) in [
        (
            "certificate_name_mismatch",
            "a certificate of another enclave",
            maker.world.certify_facade("a.b", &other),
        ),
        ("certificate_key_mismatch", "a certificate of another key", maker.world.verifier.clone()),
    ] {
        let shown = Digest::of(certificate.der());
        maker.draft(expect, name, |draft| {
            draft.statement.certificate = Some(shown);
            draft.certificate = Some(certificate);
        });
        maker.made.last_mut().unwrap().challenge.as_mut().unwrap().certificate = Some(shown);
    }
    maker.draft("certificate_malformed", "a certificate that is none", |draft| {
        draft.statement.certificate = Some(Digest::of(b"none"));
    });
    let vector = maker.made.last_mut().unwrap();
    vector.challenge.as_mut().unwrap().certificate = Some(Digest::of(b"none"));
    vector.bundle.as_mut().unwrap()["certificate"] = json!(Base64::encode_string(b"none"));
}

fn quote_and_key(maker: &mut Maker) {
    maker.sealed("proof_invalid", "an index beyond the leaves", |e| e.proof.index = 3);
    maker.sealed("proof_invalid", "a path that is too short", |e| {
        e.proof.path.pop();
    });
    maker.sealed("quote_data_mismatch", "a proof of another place", |e| {
        e.proof.path[0] = digest(0);
    });
    maker.sealed("quote_malformed", "a magic that is not a TPM's", |e| flip(&mut e.quote, 0));
    maker.sealed("quote_malformed", "a byte after the quote", |e| e.quote.0.push(0));
    maker.sealed("quote_signature", "another firmware version in the quote", |e| {
        let firmware = 6 + 2 + 34 + 2 + 32 + 17;
        flip(&mut e.quote, firmware);
    });
    maker.sealed("quote_signature", "a changed signature", |e| {
        let last = e.signature.0.len() - 1;
        flip(&mut e.signature, last);
    });
    maker.sealed("signature_malformed", "a signature of another hash", |e| e.signature.0[3] = 0x0c);
    maker.sealed("ak_malformed", "a byte after the key", |e| e.ak_public.0.push(0));
    maker.sealed("ak_attributes", "a key that is not restricted", |e| e.ak_public.0[5] &= !1);
    maker.sealed("ak_name_mismatch", "another key's public area", |e| {
        e.ak_public = Bytes(TpmKey::attestation(9).public.as_bytes().to_vec());
    });
    maker.sealed("ak_chain", "no chain", |e| e.ak_chain.clear());
    maker.sealed("ak_chain", "a chain with a changed signature", |e| {
        let last = e.ak_chain[0].0.len() - 1;
        flip(&mut e.ak_chain[0], last);
    });
    maker.around("ak_chain", "roots that are others", |vector, world| {
        vector.roots[0].certificate = Base64::encode_string(world.verifier.der());
    });
    maker.around("ak_chain", "a chain that has expired", |vector, _| {
        vector.at = Some(NOW + 3601);
        vector.challenge = None;
    });
    keys_of_others(maker);
    maker.sealed("pcr_selection", "a register less than quoted", |e| {
        e.pcrs.0.remove(&7);
    });
    maker.sealed("pcr_values", "another value than quoted", |e| {
        e.pcrs.0.insert(7, digest(7));
    });
}

fn keys_of_others(maker: &mut Maker) {
    let world = World::new();
    let ak = TpmKey::attestation(9);
    let certified = |node: &names::SpiffeId, purpose, key: &TpmKey| world.certify(key, node, purpose);
    let other_node: names::SpiffeId = "spiffe://sealwright.internal/node/node-2".parse().unwrap();
    for (expect, name, leaf) in [
        (
            "ak_purpose",
            "a quote by the node's other key",
            certified(&world.node, KeyPurpose::Keylime, &world.ak),
        ),
        ("ak_node_mismatch", "a key of another node", certified(&other_node, KeyPurpose::Enclave, &world.ak)),
        (
            "ak_certificate_mismatch",
            "a certificate of another attestation key",
            certified(&world.node, KeyPurpose::Enclave, &ak),
        ),
    ] {
        let evidence = world.draft().seal_with(&world.ak, |chain| vec![leaf, chain[1].clone()]);
        let vector = maker.vector(name, &evidence, expect);
        maker.made.push(vector);
    }
    let mut owner = TpmKey::attestation(5);
    owner.hierarchy = tpm_owner();
    let evidence = world.draft().seal_with(&owner, |chain| chain);
    let vector = maker.vector("a key of the owner hierarchy", &evidence, "ak_hierarchy");
    maker.made.push(vector);
}

/// TPM_RH_OWNER.
fn tpm_owner() -> tpm2::Handle {
    tpm2::Handle(0x4000_0001)
}

fn log(maker: &mut Maker) {
    let reason = || Reason::new("asked").unwrap();
    let (id, incarnation) = (maker.world.enclave.id, maker.world.enclave.incarnation);
    let foreign = EnclaveId::from_bytes([0xe2; 16]);
    maker.sealed("log_malformed", "half a record", |e| {
        e.enclave_log.0.pop();
    });
    maker.draft("ok", "another enclave that stops", |draft| {
        draft.events.push(Event::Stop { enclave: foreign, incarnation: 1, reason: reason() });
    });
    maker.draft("enclave_stopped", "a stopped enclave", |draft| {
        draft.events.push(Event::Stop { enclave: id, incarnation, reason: reason() });
    });
    maker.draft("enclave_never_started", "an enclave that was never started", |draft| {
        draft.events.retain(|event| event.enclave() != Some(&id));
    });
    maker.draft("enclave_not_keyed", "a start without a key", |draft| {
        draft.events.retain(|event| !matches!(event, Event::Key { enclave, .. } if *enclave == id));
    });
    maker.draft("log_statement_mismatch", "a key that was replaced", |draft| {
        draft.events.push(Event::Rekey { enclave: id, incarnation, spki: digest(0x55) });
    });
    maker.draft("log_malformed", "a second key without a rekey", |draft| {
        draft.events.push(Event::Key { enclave: id, incarnation, spki: digest(0x55) });
    });
    for (name, change) in [
        (
            "another version than logged",
            (|claim| claim.version = digest(0x66)) as fn(&mut evidence::EnclaveClaim),
        ),
        ("another instance than logged", |claim| claim.instance = digest(0x66)),
        ("another owner than logged", |claim| claim.owner = digest(0x66)),
        ("another facade than logged", |claim| claim.facade = digest(0x66)),
        ("another incarnation than logged", |claim| claim.incarnation = 2),
    ] {
        maker
            .draft("log_statement_mismatch", name, |draft| change(draft.statement.enclave.as_mut().unwrap()));
    }
    maker.draft("ok", "a gap, which is told and not refused", |draft| {
        draft.events.push(Event::Gap { reason: reason() });
    });
    maker.draft("log_incomplete", "a log that begins late", |draft| {
        draft.events.insert(0, Event::Baseline { found: digest(0x13), reason: reason() });
    });
    let mut stopped = maker.world.draft();
    stopped.events.push(Event::Stop { enclave: id, incarnation, reason: reason() });
    // Everything is hidden as if for the foreign enclave, the stop of the asked one too.
    let hidden = stopped.log().hide_foreign(&foreign);
    let mut evidence = stopped.seal();
    evidence.enclave_log = Bytes(hidden);
    let vector = maker.vector("a hidden stop", &evidence, "log_hidden_entry");
    maker.made.push(vector);
    let shorter = maker.world.draft().log().hide_foreign(&id);
    let mut longer = maker.world.draft();
    longer.events.push(Event::Gap { reason: reason() });
    let mut evidence = longer.seal();
    evidence.enclave_log = Bytes(shorter);
    let vector = maker.vector("a record less than the statement speaks for", &evidence, "log_count");
    maker.made.push(vector);
    let mut other = maker.world.draft();
    other.events.insert(0, Event::Gap { reason: reason() });
    other.events.pop();
    let log = other.log().hide_foreign(&id);
    maker.sealed("log_replay", "another log of the same length", |e| e.enclave_log = Bytes(log));
}

fn verdict(maker: &mut Maker) {
    for (expect, name, change) in [
        (
            "ok",
            "a verdict from a clock a little ahead",
            (|claims| claims.iat = NOW + 5) as fn(&mut evidence::VerdictClaims),
        ),
        ("verdict_expired", "a verdict of the future", |claims| {
            (claims.iat, claims.exp) = (NOW + 6, NOW + 50)
        }),
        ("verdict_expired", "a verdict that has expired", |claims| claims.exp = NOW),
        ("verdict_expired", "a verdict that lives too long", |claims| claims.exp = claims.iat + 61),
        ("verdict_malformed", "a verdict that ends before it begins", |claims| claims.exp = claims.iat - 1),
        ("verdict_malformed", "a verdict of another profile", |claims| claims.eat_profile = "x".into()),
        ("verdict_not_affirming", "a verdict that does not affirm", |claims| {
            claims.submods.node.status = "contraindicated".into();
        }),
        ("verdict_other_key", "a verdict about another key", |claims| {
            claims.submods.node.ak_names.insert("ak-enclave".into(), "00".repeat(34));
        }),
        ("verdict_other_node", "a verdict about another node", |claims| {
            claims.submods.node.node = "spiffe://sealwright.internal/node/node-2".parse().unwrap();
        }),
        ("verdict_other_boot", "a verdict before a reset", |claims| claims.submods.node.reset_count -= 1),
        ("verdict_other_boot", "a verdict before a restart", |claims| claims.submods.node.restart_count -= 1),
        ("verdict_registers", "a verdict about other registers", |claims| {
            claims.submods.node.boot_pcrs.0.insert(4, digest(4));
        }),
        ("verdict_registers", "a verdict about fewer registers", |claims| {
            claims.submods.node.boot_pcrs.0.remove(&4);
        }),
        ("agent_not_appraised", "a verdict that saw no agent", |claims| {
            claims.submods.node.agent_digest = None
        }),
        ("agent_not_appraised", "a verdict that saw another agent", |claims| {
            claims.submods.node.agent_digest = Some(digest(0x77));
        }),
        ("facade_not_appraised", "a verdict that saw no facade", |claims| {
            claims.submods.node.facade_digests.clear()
        }),
        ("level_simulated", "a verdict about a software TPM", |claims| {
            claims.submods.node.level = Level::Simulated;
        }),
        ("verdict_chain", "a verdict in another part's name", |claims| {
            claims.iss = "spiffe://sealwright.internal/part/gateway".parse().unwrap();
        }),
    ] {
        maker.draft(expect, name, |draft| change(draft.verdict.as_mut().unwrap()));
    }
    let gateway = maker.world.certify_part(Part::Gateway);
    maker.draft("verdict_chain", "a verdict by the gateway", |draft| {
        draft.verdict_certificate = gateway;
        draft.verdict.as_mut().unwrap().iss = "spiffe://sealwright.internal/part/gateway".parse().unwrap();
    });
    maker.sealed("verdict_signature", "a verdict with a changed signature", |e| {
        let token = e.verdict.take().unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let first = if signature.starts_with('A') { 'B' } else { 'A' };
        e.verdict = Some(format!("{signed}.{first}{}", &signature[1..]));
    });
    maker.sealed("verdict_malformed", "a verdict that is no token", |e| e.verdict = Some("a.b".into()));
    maker.sealed("verdict_missing", "no verdict", |e| e.verdict = None);
}

fn node_logs(maker: &mut Maker) {
    // A node has no verdict when the verifier asks, so a trust policy refuses it; what counts is how far it gets.
    maker.node("verdict_missing", "evidence about a node", |_| ());
    maker.node("node_logs_missing", "evidence about a node without its boot log", |draft| {
        draft.boot_log = None
    });
    maker.node("node_logs_missing", "evidence about a node without its IMA list", |draft| {
        draft.ima_log = None
    });
    maker.node("boot_log_malformed", "half a boot log", |draft| {
        draft.boot_log.as_mut().unwrap().pop();
    });
    maker.node("boot_log_data", "another version in the boot log", |draft| {
        let log = draft.boot_log.as_mut().unwrap();
        let version = log.windows(3).position(|bytes| bytes == b"v1\0").unwrap();
        log[version + 1] = b'2';
    });
    maker.node("boot_log_replay", "another digest in the boot log", |draft| {
        let log = draft.boot_log.as_mut().unwrap();
        let version = log.windows(3).position(|bytes| bytes == b"v1\0").unwrap();
        log[version - 5] ^= 1;
    });
    maker.node("ima_malformed", "an IMA line of an unknown template", |draft| {
        draft.ima_log.as_mut().unwrap().extend_from_slice(b"10 00 x y z\n");
    });
    maker.node("ima_replay", "an IMA line less", |draft| {
        let log = draft.ima_log.as_mut().unwrap();
        let last = log[..log.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap();
        log.truncate(last + 1);
    });
    maker.node("verdict_missing", "an IMA line more, which is not judged", |draft| {
        let log = draft.ima_log.as_mut().unwrap();
        let line = logs::ima::Entry::measured(b"/usr/bin/late", &digest(1)).unwrap().to_ascii();
        log.extend_from_slice(&line);
    });
}

fn appraisal(maker: &mut Maker) {
    let pin = |byte| vec![Reference { digest: digest(byte), source: Source::UserFile }];
    maker.around("level_simulated", "a root that is a software TPM's", |vector, _| {
        vector.roots[0].level = Level::Simulated;
    });
    maker.around("level_too_low", "a level below the wanted one", |vector, _| {
        vector.policy.as_mut().unwrap().min_level = Level::Tee;
    });
    let mut wanted = |expect: &str, name: &str, change: &dyn Fn(&mut Policy)| {
        maker.around(expect, name, |vector, _| change(vector.policy.as_mut().unwrap()));
    };
    wanted("ok", "any version", &|policy| policy.versions = Versions::Any);
    wanted("ok", "pinned agent and facade", &|policy| {
        (policy.agents, policy.facades) = (pin(0xa6), pin(0xfa))
    });
    wanted("pcr_selection_not_policy", "other registers than wanted", &|policy| {
        policy.pcrs.pop();
    });
    wanted("enclave_other", "another enclave", &|policy| {
        policy.enclave = Some(EnclaveId::from_bytes([0; 16]))
    });
    wanted("owner_other", "another owner", &|policy| policy.owner = Some(digest(0x09)));
    wanted("dns_name_other", "another name", &|policy| policy.dns_name = Some("x.enclaves.localhost".into()));
    wanted("incarnation_rollback", "an earlier start than one seen", &|policy| policy.min_incarnation = 4);
    wanted("ok", "the lowest start that is accepted", &|policy| policy.min_incarnation = 3);
    wanted("version_unknown", "another version under the same name", &|policy| {
        policy.versions = Versions::OneOf(pin(0x08));
    });
    wanted("agent_unknown", "another agent than pinned", &|policy| policy.agents = pin(0x08));
    wanted("facade_unknown", "another facade than pinned", &|policy| policy.facades = pin(0x08));
}

fn trees(maker: &mut Maker) {
    for count in 1..=9u32 {
        let leaves: Vec<Digest> = (0..count).map(|number| leaf(&number.to_be_bytes())).collect();
        let tree = Tree::new(leaves.clone()).unwrap();
        for index in 0..count {
            let proof = tree.proof(index).unwrap();
            let case = |path: Vec<Digest>, index, at: usize| TreeCase {
                leaf: leaves[at],
                index,
                count,
                path,
                root: tree.root(),
            };
            let at = index as usize;
            let mut add = |name: &str, tree: TreeCase, expect: &str| {
                maker.made.push(Vector {
                    name: format!("tree of {count}, leaf {index}: {name}"),
                    bundle: None,
                    challenge: None,
                    roots: Vec::new(),
                    policy: None,
                    at: None,
                    tree: Some(tree),
                    expect: expect.into(),
                });
            };
            add("its proof", case(proof.path.clone(), index, at), "ok");
            let longer = [proof.path.clone(), vec![digest(0)]].concat();
            add("a longer path", case(longer, index, at), "proof_invalid");
            if let Some((_, shorter)) = proof.path.split_last() {
                add("a shorter path", case(shorter.to_vec(), index, at), "proof_invalid");
                let other = (at + 1) % leaves.len();
                add("another leaf", case(proof.path.clone(), index, other), "quote_data_mismatch");
                add("an index beyond", case(proof.path.clone(), count, at), "proof_invalid");
            }
        }
    }
}
