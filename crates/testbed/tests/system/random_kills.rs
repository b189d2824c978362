//! kill -9 of `up` at random moments, while users sign up, publish, log in, and create, stop, start and delete enclaves.
//!
//! A hundred kills by default, as many as `make soak` says by [`KILLS_VARIABLE`].

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use testbed::{Up, World};

use crate::consistency::{Lasting, check_kept, check_rows_and_folders, check_rows_at_rest, settled};
use crate::random_work::{Random, Worker, app_of, seed};

const KILLS: u32 = 100;
/// More than [`KILLS`].
const KILLS_VARIABLE: &str = "SEALWRIGHT_TEST_KILLS";
/// Worlds side by side: most of a kill is waiting for a start.
const WORLDS: u32 = 2;
/// Kills in one world after which everything is looked at.
const BATCH: u32 = 25;
const FIRST_KILLS: u32 = 10;
/// Longest life of an `up` that is killed while it starts, and of one that was ready.
const START_MILLIS: u64 = 1800;
const READY_MILLIS: u64 = 900;
const USERS: [&str; 2] = ["alice", "bob"];

fn kills() -> u32 {
    std::env::var(KILLS_VARIABLE).map_or(KILLS, |text| text.parse().unwrap())
}

/// When an `up` is killed.
enum Moment {
    Starting,
    Ready,
}

fn kill_once(world: &World, random: &mut Random, workers: &mut [Worker<'_>], moment: &Moment) {
    let up = world.begin(None);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for worker in workers {
            let (random, over) = (random.fork(), &over);
            scope.spawn(move || worker.keep_busy(random, over));
        }
        let up = match moment {
            Moment::Starting => {
                std::thread::sleep(Duration::from_millis(random.below(START_MILLIS)));
                up
            }
            Moment::Ready => {
                let up = up.ready();
                std::thread::sleep(Duration::from_millis(random.below(READY_MILLIS)));
                up
            }
        };
        over.store(true, Ordering::SeqCst);
        // No process of it may be left.
        up.kill9();
    });
}

/// Every process of an enclave has a running row, and every running row has processes.
fn check_processes(up: &Up, enclaves: &[Value]) {
    let running: BTreeSet<&str> = enclaves
        .iter()
        .filter(|enclave| enclave["state"] == "running")
        .map(|enclave| enclave["id"].as_str().unwrap())
        .collect();
    let tree = up.tree();
    let commands: Vec<&str> = tree.iter().map(|found| found.command.as_str()).collect();
    let ids = commands.iter().filter_map(|command| command.split_once("/enclaves/")?.1.get(..32));
    assert_eq!(ids.collect::<BTreeSet<&str>>(), running, "{commands:#?}");
}

fn check_all(world: &World, lasting: &Lasting, workers: &[Worker<'_>]) {
    let up = world.up();
    lasting.check(world);
    let users: Vec<_> = workers.iter().map(Worker::user).collect();
    let enclaves = settled(&users);
    check_rows_and_folders(world, &enclaves);
    check_processes(&up, &enclaves);
    for worker in workers {
        worker.acknowledged.check_enclaves(worker.user(), &worker.user().enclaves());
        if let Some(friend) = worker.acknowledged.accounts.last() {
            world.user(friend).log_in();
        }
    }
    assert_eq!(up.interrupt().code, Some(0));
    check_rows_at_rest(world, &enclaves);
    for worker in workers {
        check_kept(
            world,
            &worker.acknowledged.accounts,
            &app_of(worker.user()),
            &worker.acknowledged.versions,
        );
    }
}

fn kill_many(kills: u32, mut random: Random) {
    let world = World::new();
    let up = world.up();
    let mut workers = USERS.map(|name| Worker::new(&world, name));
    for worker in &workers {
        worker.user().sign_up();
    }
    workers[0].user().ok(&["app", "publish", &world.hello("hello", "1.0.0", "hi")]);
    workers[1].user().ok(&["app", "list"]);
    let lasting = Lasting::of(&world, &USERS);
    up.kill9();

    let began = Instant::now();
    for number in 1..=kills {
        let moment = if number % 2 == 0 { Moment::Starting } else { Moment::Ready };
        kill_once(&world, &mut random, &mut workers, &moment);
        if number % BATCH == 0 || number == kills {
            check_all(&world, &lasting, &workers);
            let [commands, accounts, versions] = [
                workers.iter().map(|worker| worker.acknowledged.commands).sum::<usize>(),
                workers.iter().map(|worker| worker.acknowledged.accounts.len()).sum(),
                workers.iter().map(|worker| worker.acknowledged.versions.len()).sum(),
            ];
            println!(
                "{number} kills in {} s; {commands} commands worked, {accounts} sign-ups and {versions} versions kept",
                began.elapsed().as_secs()
            );
        }
    }

    let up = world.up();
    for worker in &workers {
        let user = worker.user();
        user.log_in();
        for enclave in user.enclaves() {
            let name = enclave["name"].as_str().unwrap();
            if enclave["state"] != "running" {
                user.ok(&["enclave", "start", name]);
            }
            user.verify(name);
        }
        user.ok(&["enclave", "create", "last", "--app", "hello"]);
        user.verify("last");
        user.ok(&["enclave", "delete", "last", "--yes"]);
        assert!(worker.acknowledged.commands > 0);
    }
    assert_eq!(up.interrupt().code, Some(0));
}

#[test]
fn up_killed_in_its_first_start_makes_what_is_missing_in_the_next() {
    let mut random = Random::new(seed());
    let world = World::new();
    for _ in 0..FIRST_KILLS {
        let up = world.begin(None);
        std::thread::sleep(Duration::from_millis(random.below(START_MILLIS)));
        up.kill9();
        if world.data().join("client").exists() {
            // It was whole; begin again.
            std::fs::remove_dir_all(world.data()).unwrap();
        }
    }
    let up = world.up();
    let alice = world.user("alice");
    alice.sign_up();
    alice.ok(&["app", "publish", &world.hello("hello", "1.0.0", "hi")]);
    alice.ok(&["enclave", "create", "notes", "--app", "hello"]);
    alice.verify("notes");
    up.kill9();
}

#[test]
fn up_killed_at_random_loses_nothing_acknowledged_and_leaves_no_orphan() {
    let mut random = Random::new(seed());
    let (kills, began) = (kills(), Instant::now());
    std::thread::scope(|scope| {
        for number in 0..WORLDS {
            let (share, random) = ((kills + number) / WORLDS, random.fork());
            scope.spawn(move || kill_many(share, random));
        }
    });
    println!("{kills} kills in {} s", began.elapsed().as_secs());
}
