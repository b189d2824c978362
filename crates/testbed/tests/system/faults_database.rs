//! PostgreSQL is stopped, killed and paused at random moments of random work, under an `up` that is never started again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fixtures::{Access, Server};
use testbed::World;

use crate::consistency::{check_kept_at, settled};
use crate::random_work::{Random, Worker, app_of, seed};

/// Rounds of each fault.
const ROUNDS: u32 = 2;
/// Work before and during a fault.
const WORK_MILLIS: u64 = 1500;
const USERS: [&str; 2] = ["alice", "bob"];

#[derive(Debug, Clone, Copy)]
enum Fault {
    Killed,
    ShutDown,
    Paused,
}

fn strike(server: &Server, fault: Fault, lasts: Duration) {
    match fault {
        Fault::Killed => server.kill(),
        Fault::ShutDown => server.shut_down(),
        Fault::Paused => server.pause(),
    }
    std::thread::sleep(lasts);
    match fault {
        Fault::Killed | Fault::ShutDown => server.start_again(),
        Fault::Paused => server.resume(),
    }
}

#[test]
fn a_database_that_fails_in_the_middle_of_anything_loses_nothing_acknowledged() {
    let mut random = Random::new(seed());
    let server = Server::start(Access::Socket);
    let url = server.new_database();
    let world = World::new();
    let up = world.begin(Some(&format!("database: \"{url}\"\n"))).ready();
    let mut workers = USERS.map(|name| Worker::new(&world, name));
    for worker in &workers {
        worker.user().sign_up();
    }
    workers[0].user().ok(&["app", "publish", &world.hello("hello", "1.0.0", "hi")]);
    workers[0].user().ok(&["enclave", "create", "kept", "--app", "hello"]);
    let before = workers[0].user().json(&["enclave", "show", "kept"]);

    for fault in [Fault::Killed, Fault::ShutDown, Fault::Paused].repeat(ROUNDS as usize) {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for worker in &mut workers {
                let (random, over) = (random.fork(), &over);
                scope.spawn(move || worker.keep_busy(random, over));
            }
            std::thread::sleep(Duration::from_millis(random.below(WORK_MILLIS)));
            strike(&server, fault, Duration::from_millis(random.below(WORK_MILLIS)));
            std::thread::sleep(Duration::from_millis(random.below(WORK_MILLIS)));
            over.store(true, Ordering::SeqCst);
        });
        for worker in &workers {
            // A session whose refresh was lost is over; the account is not.
            worker.user().log_in();
        }
        settled(&[workers[0].user(), workers[1].user()]);
        for worker in &workers {
            worker.acknowledged.check_enclaves(worker.user(), &worker.user().enclaves());
        }
        println!("{fault:?}: nothing is lost");
    }

    let alice = workers[0].user();
    let after = alice.json(&["enclave", "show", "kept"]);
    assert_eq!((&after["state"], &after["incarnation"]), (&"running".into(), &before["incarnation"]));
    alice.verify("kept");
    for worker in &workers {
        let acknowledged = &worker.acknowledged;
        println!(
            "{} commands, {} accounts, {} versions of {}",
            acknowledged.commands,
            acknowledged.accounts.len(),
            acknowledged.versions.len(),
            worker.user().name()
        );
        check_kept_at(&url, &acknowledged.accounts, &app_of(worker.user()), &acknowledged.versions);
    }
    assert_eq!(up.interrupt().code, Some(0));
}
