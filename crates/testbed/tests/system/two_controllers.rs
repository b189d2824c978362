//! Two controllers of one node on one database, and one of them dies.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fixtures::{Access, Server};
use serde_json::Value;
use testbed::{User, World, processes_of, until};

use crate::alone::{Part, controller_config, gateway_config, logged, node, write_context};

const CREATES: usize = 50;
const AT_ONCE: usize = 5;
/// So many are asked for before the first controller is killed.
const BEFORE: usize = 15;
/// User ids of one controller.
const UIDS: u32 = 131_072;
const SETTLED: Duration = Duration::from_secs(200);

/// kill -9 of one controller among fifty creates: each enclave ends running or failed with a reason, once, and none without a row; and the
/// edge finds those of both.
#[test]
fn of_two_controllers_one_may_die_and_nothing_is_done_twice_or_lost() {
    let server = Server::start(Access::Socket);
    let database = server.new_database();
    let world = World::new();
    let (folders, parts) = node(&world);
    let sockets = ["-one", "-two"].map(|own| format!("{}/controller{own}.sock", folders.run));
    let start = |own: &'static str, uid_base| {
        let config = controller_config(&world, &folders, &database, own, &format!(", uid_base: {uid_base}"));
        Part::start_as(&world, "controller", &format!("controller{own}"), &config)
    };
    let (one, two) = (start("-one", sandbox::DEFAULT_BASE), start("-two", sandbox::DEFAULT_BASE + UIDS));
    let controllers = format!("[{}]", sockets.join(", "));
    let edge_part =
        Part::start_as(&world, "edge", "edge", &format!("listen: 127.0.0.1:0\ncontroller: {controllers}\n"));
    let edge = logged(&world, "edge", "edge listens address=");
    let more = ", settings: {quota: {active: 60, total: 60}}";
    let config = gateway_config(&folders, &database, &edge, &controllers, more);
    let gateway_part = Part::start_as(&world, "gateway", "gateway", &config);
    let gateway = logged(&world, "gateway", "gateway listens address=");
    logged(&world, "agent", "enrolled node=");
    write_context(&world, &folders, &gateway, &edge);

    let alice = world.user("alice");
    alice.sign_up();
    alice.ok(&["app", "publish", &world.hello("hello", "1.0.0", "hi")]);
    create_all(&alice, one);

    let rows = until(SETTLED, "every enclave running or failed", || {
        let rows = alice.enclaves();
        let is_over = |row: &Value| matches!(row["state"].as_str(), Some("running" | "failed"));
        rows.iter().all(is_over).then_some(rows)
    });
    assert_eq!(rows.len(), CREATES);
    let failed: Vec<&Value> = rows.iter().filter(|row| row["state"] == "failed").collect();
    assert!(failed.iter().all(|row| row["reason"].is_string()), "{failed:#?}");
    println!("{} of {CREATES} failed: {failed:#?}", failed.len());
    assert!(failed.len() < CREATES / 2, "the other controller takes over");
    check_processes(&world, &rows, two.pid());
    for row in &rows {
        // Once by the first and once by the second, at most.
        assert!(row["incarnation"].as_u64().is_some_and(|number| number <= 2), "{row:#?}");
    }
    let running = |row: &&Value| row["state"] == "running";
    for row in rows.iter().filter(running).step_by(10) {
        let name = row["name"].as_str().unwrap();
        alice.verify(name);
        assert!(alice.get(name, "/").contains("hi"));
    }
    let name = rows.iter().find(running).and_then(|row| row["name"].as_str()).unwrap();
    assert!(alice.ok(&["enclave", "logs", name]).stdout.contains("hello listens"));
    alice.ok(&["enclave", "stop", name]);
    alice.ok(&["enclave", "delete", name, "--yes"]);
    for part in [gateway_part, edge_part, two].into_iter().chain(parts.into_iter().rev()) {
        let (name, code) = part.stop();
        assert_eq!(code, Some(0), "{name}");
    }
}

/// Asks for all of them, and kills the controller when some are on their way.
fn create_all(alice: &User<'_>, victim: Part) {
    let asked = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for first in 0..AT_ONCE {
            let asked = &asked;
            scope.spawn(move || {
                for number in (first..CREATES).step_by(AT_ONCE) {
                    let name = format!("n{number}");
                    alice.ok(&["enclave", "create", &name, "--app", "hello", "--no-wait"]);
                    asked.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        until(SETTLED, "some creates", || (asked.load(Ordering::SeqCst) >= BEFORE).then_some(()));
        victim.kill9();
    });
}

/// One process tree below the second controller for each enclave that runs, and none for any other, nor any of the first's.
fn check_processes(world: &World, rows: &[Value], controller: u32) {
    let mut trees: BTreeMap<&str, usize> = BTreeMap::new();
    let found = processes_of(&world.data());
    assert!(found.iter().all(|process| !process.command.contains("/enclaves-one/")), "{found:#?}");
    for row in rows {
        let id = row["id"].as_str().unwrap();
        let is_tree = |process: &&testbed::Found| {
            process.parent == controller && process.command.contains(&format!("/enclaves-two/{id}/"))
        };
        trees.insert(id, found.iter().filter(is_tree).count());
        assert_eq!(trees[id], usize::from(row["state"] == "running"), "{row:#?} {found:#?}");
    }
    let all = found.iter().filter(|process| process.parent == controller).count();
    assert_eq!(all, trees.values().sum::<usize>(), "none without a row: {found:#?}");
}
