//! The software TPM under a running `up` is killed, and hangs.

use std::time::Duration;

use rustix::process::Signal;
use testbed::World;

use crate::SOON;

/// The number of `up` whose TPM has ended: `sealwright help exit-codes`.
const START_AGAIN: Option<i32> = Some(9);
/// How long the TPM hangs: longer than a verdict lives without the next round, shorter than a client waits for evidence.
const HANGS: Duration = Duration::from_secs(5);

/// Its registers are lost, so nothing on this node can be proved any more: `up` ends, and the next one is a new boot.
#[test]
fn a_killed_tpm_ends_up_with_its_own_code_and_the_next_start_brings_all_back() {
    let world = World::new();
    let up = world.up();
    let alice = world.user("alice");
    alice.sign_up();
    alice.ok(&["app", "publish", &world.hello("hello", "1.0.0", "hi")]);
    let before = alice.json(&["enclave", "create", "notes", "--app", "hello"]);
    alice.verify("notes");

    up.software_tpm().signal(Signal::KILL);
    // Closed while it ends: no old evidence, no evidence without a quote.
    let unproved = alice.run(&["enclave", "verify", "notes", "--allow-simulated"]);
    assert_ne!(unproved.code, 0, "{unproved:#?}");
    let ended = up.ended_by_itself();
    assert_eq!(ended.code, START_AGAIN, "{}", ended.log);
    assert!(ended.log.contains("code: tpm_ended"), "{}", ended.log);

    let up = world.up();
    let after = alice.enclave_in("notes", &["running"], SOON);
    assert_eq!(after["id"], before["id"]);
    assert!(after["incarnation"].as_u64() > before["incarnation"].as_u64());
    alice.verify("notes");
    assert!(alice.get("notes", "/").contains("hi"));
    assert_eq!(up.interrupt().code, Some(0));
}

#[test]
fn a_tpm_that_hangs_makes_evidence_wait_and_nothing_else() {
    let world = World::new();
    let up = world.up();
    let (alice, bob) = (world.user("alice"), world.user("bob"));
    alice.sign_up();
    alice.ok(&["app", "publish", &world.hello("hello", "1.0.0", "hi")]);
    let before = alice.json(&["enclave", "create", "notes", "--app", "hello"]);

    let tpm = up.software_tpm();
    tpm.signal(Signal::STOP);
    std::thread::scope(|scope| {
        let proof = scope.spawn(|| alice.run(&["enclave", "verify", "notes", "--allow-simulated"]));
        let start = scope.spawn(|| alice.run(&["enclave", "create", "diary", "--app", "hello"]));
        let hung = std::time::Instant::now();
        // Accounts have nothing to do with it.
        bob.sign_up();
        assert_eq!(alice.json(&["enclave", "show", "notes"])["state"], "running");
        assert!(hung.elapsed() < HANGS, "the control plane waited for the TPM");
        std::thread::sleep(HANGS.saturating_sub(hung.elapsed()));
        assert!(!proof.is_finished() && !start.is_finished(), "nothing is proved or started without a TPM");
        tpm.signal(Signal::CONT);
        let (proof, start) = (proof.join().unwrap(), start.join().unwrap());
        assert_eq!((proof.code, start.code), (0, 0), "{proof:#?}\n{start:#?}");
    });

    let after = alice.json(&["enclave", "show", "notes"]);
    assert_eq!((&after["state"], &after["incarnation"]), (&before["state"], &before["incarnation"]));
    alice.verify("notes");
    alice.verify("diary");
    assert_eq!(up.interrupt().code, Some(0));
}
