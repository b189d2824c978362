//! Nodes by their policy: each refusal by one thing that the policy does not allow.

use std::collections::BTreeSet;

use appraisal::node::{Binary, CODES, NodePolicy, NodeRefused, appraise_node, named_digest};
use evidence::{Verified, verify};
use forge::{Draft, NOW, World, boot_log_with_secure_boot, ima_list};
use logs::ima::ImaLog;
use names::Level;

use crate::{digest, verified};

const PATH: &str = "/usr/bin/later";

/// A line that the kernel could not measure truly.
const VIOLATION: &str = "10 0000000000000000000000000000000000000000 ima-ng \
    sha256:0000000000000000000000000000000000000000000000000000000000000000 /usr/bin/later\n";

struct Case {
    refused: NodeRefused,
    policy: fn(&mut NodePolicy),
    node: fn(&mut Draft<'_>),
}

fn judged(world: &World, node: impl FnOnce(&mut Draft<'_>)) -> Verified {
    let mut draft = world.node_draft();
    node(&mut draft);
    verify(world.node_challenge(), &draft.seal(), &world.roots(Level::Tpm), NOW).unwrap()
}

fn measuring(draft: &mut Draft<'_>, more: &[u8]) {
    draft.measure([forge::IMA_LIST().as_slice(), more].concat());
}

/// What `boot` leaves in the registers is allowed.
fn allowing(policy: &mut NodePolicy, boot: fn() -> Vec<u8>) {
    let world = World::new();
    let mut draft = world.node_draft();
    draft.boot(boot());
    for (pcr, value) in draft.boot_pcrs().0 {
        policy.boot_pcrs.entry(pcr).or_default().push(value);
    }
}

fn cases() -> Vec<Case> {
    let same: fn(&mut NodePolicy) = |_| ();
    let secure_boot_off: fn(&mut NodePolicy) = |policy| {
        policy.secure_boot = true;
        allowing(policy, || boot_log_with_secure_boot(0));
    };
    vec![
        Case {
            refused: NodeRefused::Registers("signed selection differs".into()),
            policy: |policy| policy.pcrs.push(15),
            node: |_| (),
        },
        Case {
            refused: NodeRefused::Registers("signed selection differs".into()),
            policy: |policy| policy.pcrs.retain(|pcr| *pcr != 14),
            node: |_| (),
        },
        Case {
            refused: NodeRefused::BootRegister(format!("PCR 14 = {}", digest(0))),
            policy: |policy| drop(policy.boot_pcrs.remove(&14)),
            node: |_| (),
        },
        Case {
            refused: NodeRefused::BootRegister(format!("PCR 14 = {}", digest(0))),
            policy: |policy| drop(policy.boot_pcrs.insert(14, vec![digest(9)])),
            node: |_| (),
        },
        Case {
            refused: NodeRefused::SecureBoot("not in the boot log".into()),
            policy: |policy| policy.secure_boot = true,
            node: |_| (),
        },
        Case {
            refused: NodeRefused::SecureBoot("off".into()),
            policy: secure_boot_off,
            node: |draft| draft.boot(boot_log_with_secure_boot(0)),
        },
        Case {
            refused: NodeRefused::Violation(PATH.into()),
            policy: |policy| drop(policy.files.insert(PATH.into(), BTreeSet::new())),
            node: |draft| measuring(draft, VIOLATION.as_bytes()),
        },
        Case {
            refused: NodeRefused::UnknownFile(PATH.into()),
            policy: same,
            node: |draft| measuring(draft, &ima_list(&[(PATH, digest(9))])),
        },
        Case {
            refused: NodeRefused::ChangedFile("/usr/bin/true".into()),
            policy: same,
            node: |draft| measuring(draft, &ima_list(&[("/usr/bin/true", digest(9))])),
        },
        Case {
            refused: NodeRefused::ChangedFile("/usr/bin/sealwright".into()),
            policy: same,
            node: |draft| measuring(draft, &ima_list(&[("/usr/bin/sealwright", digest(9))])),
        },
        Case {
            refused: NodeRefused::ChangedFile("/usr/bin/sealwright-facade".into()),
            policy: same,
            node: |draft| measuring(draft, &ima_list(&[("/usr/bin/sealwright-facade", digest(9))])),
        },
    ]
}

#[test]
fn what_a_node_policy_does_not_allow_is_refused_and_named() {
    let world = World::new();
    for case in cases() {
        let mut policy = world.node_policy();
        (case.policy)(&mut policy);
        assert_eq!(appraise_node(&policy, &judged(&world, case.node)), Err(case.refused));
    }
}

#[test]
fn evidence_about_an_enclave_says_nothing_about_its_node() {
    let world = World::new();
    let policy = world.node_policy();
    let without = appraise_node(&policy, &verified(&world, |_| ()));
    assert_eq!(without, Err(NodeRefused::Purpose("boot log or IMA list missing".into())));
    let with_logs = verified(&world, |draft| {
        draft.boot_log = Some(forge::BOOT_LOG());
        draft.ima_log = Some(forge::IMA_LIST());
    });
    let refused = appraise_node(&policy, &with_logs);
    assert_eq!(refused, Err(NodeRefused::Purpose("it speaks of an enclave".into())));
}

#[test]
fn every_refusal_of_a_node_is_produced() {
    let mut produced: BTreeSet<&str> = cases().iter().map(|case| case.refused.code()).collect();
    // `evidence_about_an_enclave_says_nothing_about_its_node`
    produced.insert(NodeRefused::Purpose(String::new()).code());
    let missing: Vec<&str> = CODES.iter().copied().filter(|code| !produced.contains(code)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn a_refusal_says_what_and_which_one() {
    let refused = NodeRefused::UnknownFile(PATH.into());
    assert_eq!(refused.to_string(), "a file was measured that the node policy does not know: /usr/bin/later");
}

#[test]
fn a_node_that_runs_what_it_may_is_trusted() {
    let world = World::new();
    let node = appraise_node(&world.node_policy(), &judged(&world, |_| ())).unwrap();
    assert_eq!((node.node(), node.ak_name()), (&world.node, &world.ak.name()));
    assert_eq!((node.level(), node.counts(), node.ima_position()), (Level::Tpm, (11, 2), 3));
    assert_eq!(node.boot_pcrs(), &world.node_draft().boot_pcrs());
    assert_eq!(node.agent(), Some(&world.draft().statement.agent));
    assert_eq!(node.facades(), [world.enclave.facade]);
}

#[test]
fn secure_boot_that_was_on_is_enough() {
    let world = World::new();
    let mut policy = world.node_policy();
    policy.secure_boot = true;
    allowing(&mut policy, || boot_log_with_secure_boot(1));
    let verified = judged(&world, |draft| draft.boot(boot_log_with_secure_boot(1)));
    assert!(appraise_node(&policy, &verified).is_ok());
}

#[test]
fn lines_after_the_quoted_prefix_are_not_judged() {
    let world = World::new();
    let verified = judged(&world, |draft| {
        let later = ima_list(&[(PATH, digest(9))]);
        draft.ima_log = Some([forge::IMA_LIST(), later].concat());
    });
    let node = appraise_node(&world.node_policy(), &verified).unwrap();
    assert_eq!(node.ima_position(), 3);
}

#[test]
fn a_binary_after_the_quoted_prefix_was_not_seen() {
    let world = World::new();
    let mut policy = world.node_policy();
    policy.agents.push(Binary { path: PATH.into(), digest: digest(9) });
    let later = ima_list(&[(PATH, digest(9))]);
    let unquoted = judged(&world, |draft| draft.ima_log = Some([forge::IMA_LIST(), later.clone()].concat()));
    let node = appraise_node(&policy, &unquoted).unwrap();
    assert_eq!(node.agent(), Some(&world.draft().statement.agent));
    let quoted = judged(&world, |draft| measuring(draft, &later));
    // The later one of the policy's list, where both were seen.
    assert_eq!(appraise_node(&policy, &quoted).unwrap().agent(), Some(&digest(9)));
}

#[test]
fn a_binary_that_was_not_measured_was_not_seen() {
    let world = World::new();
    let mut policy = world.node_policy();
    policy.facades.push(Binary { path: PATH.into(), digest: digest(9) });
    // The path of one binary and the digest of the other are nobody's.
    policy.facades.push(Binary { path: "/usr/bin/sealwright".into(), digest: digest(0x77) });
    let node = appraise_node(&policy, &judged(&world, |_| ())).unwrap();
    assert_eq!(node.facades(), [world.enclave.facade]);
    let bare = judged(&world, |draft| draft.measure(ima_list(&[("/usr/bin/true", digest(0x77))])));
    let node = appraise_node(&policy, &bare).unwrap();
    assert_eq!((node.agent(), node.facades()), (None, [].as_slice()));
}

#[test]
fn a_violation_is_refused_in_an_excluded_folder_too() {
    // Nothing vouches for the path beside it.
    let world = World::new();
    let mut policy = world.node_policy();
    policy.excluded = vec!["/usr/bin/".into()];
    let verified = judged(&world, |draft| measuring(draft, VIOLATION.as_bytes()));
    assert_eq!(appraise_node(&policy, &verified), Err(NodeRefused::Violation(PATH.into())));
}

#[test]
fn below_an_excluded_folder_anything_may_be_measured() {
    let world = World::new();
    let mut policy = world.node_policy();
    policy.excluded = vec!["/var/lib/containers/".into()];
    let inside = judged(&world, |draft| measuring(draft, &ima_list(&[("/var/lib/containers/a", digest(9))])));
    assert!(appraise_node(&policy, &inside).is_ok());
    let beside = judged(&world, |draft| measuring(draft, &ima_list(&[("/var/lib/containers", digest(9))])));
    let refused = appraise_node(&policy, &beside);
    assert_eq!(refused, Err(NodeRefused::UnknownFile("/var/lib/containers".into())));
}

#[test]
fn two_versions_of_an_agent_may_be_allowed() {
    let world = World::new();
    let mut policy = world.node_policy();
    policy.agents.push(Binary { path: "/usr/bin/sealwright".into(), digest: digest(9) });
    let both = judged(&world, |draft| measuring(draft, &ima_list(&[("/usr/bin/sealwright", digest(9))])));
    assert_eq!(appraise_node(&policy, &both).unwrap().agent(), Some(&digest(9)));
}

#[test]
fn digests_are_written_with_their_algorithm() {
    let list = ima_list(&[(PATH, digest(9))]);
    let entries = ImaLog::parse_ascii(&list).unwrap();
    assert_eq!(named_digest(&entries.entries()[0]), format!("sha256:{}", "09".repeat(32)));
}

#[test]
fn a_policys_digest_is_over_all_of_it() {
    let world = World::new();
    let policy = world.node_policy();
    let changes: [fn(&mut NodePolicy); 4] = [
        |policy| policy.secure_boot = true,
        |policy| policy.excluded.push("/x/".into()),
        |policy| policy.agents.clear(),
        |policy| policy.id.push('2'),
    ];
    for change in changes {
        let mut changed = policy.clone();
        change(&mut changed);
        assert_ne!(changed.digest(), policy.digest());
    }
    let json = serde_json::to_vec(&policy).unwrap();
    assert_eq!(policy.digest(), names::Digest::of(&json));
    assert_eq!(serde_json::from_slice::<NodePolicy>(&json).unwrap(), policy);
}
