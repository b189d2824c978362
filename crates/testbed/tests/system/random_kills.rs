//! kill -9 of `up` at random moments, while enclaves are being created, stopped, started and deleted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use testbed::{User, World};

use crate::consistency::{Lasting, check_rows_and_folders, check_rows_at_rest, settled};

const KILLS: u32 = 50;
const FIRST_KILLS: u32 = 10;
/// Longest life of an `up` that is killed while it starts, and of one that was ready.
const START_MILLIS: u64 = 1800;
const READY_MILLIS: u64 = 900;
/// Repeats a run: the seed that it printed.
const SEED_VARIABLE: &str = "SEALWRIGHT_TEST_SEED";
const NAMES: [&str; 3] = ["one", "two", "three"];

/// xorshift64 (Marsaglia, 2003): enough for moments to kill at, and the same for the same seed.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn seed() -> u64 {
    let given = std::env::var(SEED_VARIABLE).ok().map(|text| text.parse().unwrap());
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    given.unwrap_or_else(|| u64::try_from(now() & u128::from(u64::MAX)).unwrap() | 1)
}

/// Does one thing after the other to the user's enclaves, whatever comes of it, until told to end; how many worked.
fn keep_busy(user: &User<'_>, mut random: Random, over: &AtomicBool) -> usize {
    let mut done = 0;
    while !over.load(Ordering::SeqCst) {
        let name = NAMES[usize::try_from(random.below(3)).unwrap()];
        let said = match random.below(8) {
            0..=3 => user.run(&["enclave", "create", name, "--app", "hello", "--no-wait"]),
            4 => user.run(&["enclave", "stop", name]),
            5 => user.run(&["enclave", "start", name, "--no-wait"]),
            6 => user.run(&["enclave", "delete", name, "--yes"]),
            _ => user.run(&["enclave", "list"]),
        };
        // The server may be gone at any moment; the command says so in its own codes, and never panics.
        assert!([0, 1, 4, 5, 6, 7].contains(&said.code), "{said:#?}");
        done += usize::from(said.code == 0);
        if said.code == 4 {
            // A refresh whose answer was lost ends the session; the password does not.
            let input = format!("{}\n", testbed::PASSWORD);
            let again = user.run_with(&["auth", "login", user.name(), "--password-stdin"], input.as_bytes());
            assert!([0, 7].contains(&again.code), "{again:#?}");
        }
    }
    done
}

/// When an `up` is killed.
enum Moment {
    Starting,
    Ready,
}

fn kill_once(world: &World, random: &mut Random, users: &[&User<'_>], moment: &Moment) -> usize {
    let up = world.begin(None);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let mut busy = Vec::new();
        for user in users {
            let (random, over) = (Random(random.below(u64::MAX) | 1), &over);
            busy.push(scope.spawn(move || keep_busy(user, random, over)));
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
        up.kill9();
        busy.into_iter().map(|busy| busy.join().unwrap()).sum()
    })
}

#[test]
fn up_killed_in_its_first_start_makes_what_is_missing_in_the_next() {
    let seed = seed();
    println!("{SEED_VARIABLE}={seed}");
    let mut random = Random(seed);
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
fn up_killed_fifty_times_at_random_leaves_no_orphan_and_nothing_half_made() {
    let seed = seed();
    println!("{SEED_VARIABLE}={seed}");
    let mut random = Random(seed);
    let world = World::new();
    let up = world.up();
    let (alice, bob) = (world.user("alice"), world.user("bob"));
    alice.sign_up();
    bob.sign_up();
    alice.ok(&["app", "publish", &world.hello("hello", "1.0.0", "hi")]);
    bob.ok(&["app", "list"]);
    let lasting = Lasting::of(&world, &["alice", "bob"]);
    up.kill9();

    let mut done = 0;
    for number in 0..KILLS {
        let moment = if number % 2 == 0 { Moment::Starting } else { Moment::Ready };
        done += kill_once(&world, &mut random, &[&alice, &bob], &moment);
    }
    println!("{KILLS} kills among {done} commands that worked");
    assert!(done > 0);

    let up = world.up();
    lasting.check(&world);
    let enclaves = settled(&[&alice, &bob]);
    check_rows_and_folders(&world, &enclaves);
    for user in [&alice, &bob] {
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
    }
    assert_eq!(up.interrupt().code, Some(0));
    check_rows_at_rest(&world, &enclaves);
}
