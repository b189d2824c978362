//! The clock jumps by an hour while everything runs: what it has run out for is refused, and comes back by itself.
//!
//! Gateway, controller, agent, verifier, signer and the user's command see the jump; an enclave's facade, which starts with
//! an environment of its own, does not, as on a node whose clock is right while the control plane's is wrong.

use std::time::Duration;

use testbed::{Said, User, World, until};

const HOUR: i64 = 3600;
/// A verdict is made every twenty seconds and lives for sixty.
const AGAIN: Duration = Duration::from_secs(90);

/// What a client may say of a proof while the clocks differ; anything else is a fault of ours.
const CLOCK_REASONS: [&str; 8] = [
    "verdict_expired",
    "verdict_missing",
    "verdict_future",
    "verdict_window",
    "statement_time",
    "challenge_expired",
    "ak_chain",
    "verdict_chain",
];

fn verify(user: &User<'_>, name: &str) -> Said {
    user.run(&["enclave", "verify", name, "--allow-simulated"])
}

/// Proved at once, or refused for the time alone and proved by itself a little later.
fn proves_itself_again(user: &User<'_>, name: &str) {
    until(AGAIN, &format!("a proof of {name} after the jump"), || {
        let said = verify(user, name);
        if said.code == 0 {
            return Some(());
        }
        println!("after the jump: {:?} {}", said.reason(), said.stderr);
        let is_time =
            CLOCK_REASONS.iter().any(|code| said.stdout.contains(code) || said.stderr.contains(code));
        assert!(is_time, "{said:#?}");
        None
    });
}

#[test]
fn a_clock_that_jumps_an_hour_and_back_ends_no_enclave_and_no_session() {
    let world = World::with_clock();
    let up = world.up();
    let alice = world.user("alice");
    alice.sign_up();
    alice.ok(&["app", "publish", &world.hello("hello", "1.0.0", "hi")]);
    let before = alice.json(&["enclave", "create", "notes", "--app", "hello"]);
    alice.verify("notes");
    let unchanged = || {
        let now = alice.json(&["enclave", "show", "notes"]);
        assert_eq!((&now["state"], &now["incarnation"]), (&"running".into(), &before["incarnation"]));
    };

    for ahead in [HOUR, 0] {
        world.jump_clock(ahead);
        // The session lives for longer than an hour, whatever the access token does.
        until(AGAIN, "an answer after the jump", || {
            let said = alice.run(&["enclave", "list"]);
            assert!([0, 4, 7].contains(&said.code), "{said:#?}");
            (said.code == 0).then_some(())
        });
        unchanged();
        proves_itself_again(&alice, "notes");
        // Sign-ups, logins and starts are as before.
        let name = format!("friend-{ahead}");
        world.user(&name).sign_up();
        alice.log_in();
        alice.ok(&["enclave", "create", &format!("at-{ahead}"), "--app", "hello", "--no-wait"]);
        unchanged();
    }
    proves_itself_again(&alice, "notes");
    let logs = world.logs();
    assert!(!logs.contains("panicked"), "{logs}");
    assert_eq!(up.interrupt().code, Some(0));
}
