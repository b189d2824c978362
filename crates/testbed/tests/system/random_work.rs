//! What random users do, and what of it was acknowledged: that has to be there whatever happens to the server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use serde_json::Value;
use testbed::{PASSWORD, Said, User, World};

const NAMES: [&str; 3] = ["one", "two", "three"];
/// Exit codes of a command whose server may be gone at any moment: docs/user-guide.md. None of them is a panic.
const EXPECTED: [i32; 6] = [0, 1, 4, 5, 6, 7];

/// Repeats a run: the seed that it printed.
const SEED_VARIABLE: &str = "SEALWRIGHT_TEST_SEED";

/// xorshift64 (Marsaglia, 2003): enough for moments to kill at, and the same for the same seed.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The same for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// A number below the bound.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    /// The start of another sequence.
    pub fn fork(&mut self) -> Self {
        Self::new(self.below(u64::MAX))
    }
}

/// The seed that was asked for, or one of this moment. It is printed.
pub fn seed() -> u64 {
    let given = std::env::var(SEED_VARIABLE).ok().map(|text| text.parse().unwrap());
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    let seed = given.unwrap_or_else(|| u64::try_from(now() & u128::from(u64::MAX)).unwrap() | 1);
    println!("{SEED_VARIABLE}={seed}");
    seed
}

/// What a user knows of an enclave's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    There,
    Gone,
    /// The answer did not arrive.
    Unknown,
}

/// What was acknowledged to one user.
#[derive(Debug, Default)]
pub struct Acknowledged {
    /// Accounts that this user has made.
    pub accounts: BTreeSet<String>,
    /// Versions of this user's app.
    pub versions: BTreeSet<String>,
    /// Commands that worked.
    pub commands: usize,
    enclaves: BTreeMap<&'static str, Fate>,
    tried: u32,
}

impl Acknowledged {
    fn enclave(&mut self, name: &'static str, said: &Said, works: Fate) {
        let fate = self.enclaves.entry(name).or_insert(Fate::Gone);
        *fate = match said.code {
            0 => works,
            // It was there, or was not, before.
            5 | 6 => *fate,
            // A creation takes nothing away, and a deletion brings nothing.
            _ if *fate == works => works,
            _ => Fate::Unknown,
        };
    }

    /// The user's enclaves are those that were acknowledged.
    pub fn check_enclaves(&self, user: &User<'_>, found: &[Value]) {
        for (name, fate) in &self.enclaves {
            let there = found.iter().any(|enclave| enclave["name"] == *name);
            let agrees = match fate {
                Fate::There => there,
                Fate::Gone => !there,
                Fate::Unknown => true,
            };
            assert!(agrees, "{}'s enclave {name} was acknowledged as {fate:?}: {found:#?}", user.name());
        }
    }
}

/// The name of this user's own app.
pub fn app_of(user: &User<'_>) -> String {
    format!("app-of-{}", user.name())
}

/// One user's random doings.
pub struct Worker<'a> {
    world: &'a World,
    user: User<'a>,
    /// What the server said yes to.
    pub acknowledged: Acknowledged,
}

impl<'a> Worker<'a> {
    /// A user who is signed up.
    pub fn new(world: &'a World, name: &str) -> Self {
        Self { world, user: world.user(name), acknowledged: Acknowledged::default() }
    }

    /// The user.
    pub fn user(&self) -> &User<'a> {
        &self.user
    }

    /// Does one thing after the other, whatever comes of it, until told to end.
    pub fn keep_busy(&mut self, mut random: Random, over: &AtomicBool) {
        while !over.load(Ordering::SeqCst) {
            let said = self.one_thing(&mut random);
            // The server may be gone at any moment; the command says so in its own codes, and never panics.
            assert!(EXPECTED.contains(&said.code), "{said:#?}");
            self.acknowledged.commands += usize::from(said.code == 0);
            if said.code == 4 {
                // A refresh whose answer was lost ends the session; the password does not.
                let again = self.log_in();
                assert!([0, 7].contains(&again.code), "{again:#?}");
            }
        }
    }

    fn one_thing(&mut self, random: &mut Random) -> Said {
        let name = NAMES[usize::try_from(random.below(3)).unwrap()];
        match random.below(12) {
            0..=4 => {
                let said = self.user.run(&["enclave", "create", name, "--app", "hello", "--no-wait"]);
                self.acknowledged.enclave(name, &said, Fate::There);
                said
            }
            5 => self.user.run(&["enclave", "stop", name]),
            6 => self.user.run(&["enclave", "start", name, "--no-wait"]),
            7 => {
                let said = self.user.run(&["enclave", "delete", name, "--yes"]);
                self.acknowledged.enclave(name, &said, Fate::Gone);
                said
            }
            8 => self.publish(),
            9 => self.sign_somebody_up(),
            10 => self.log_in(),
            _ => self.user.run(&["enclave", "list"]),
        }
    }

    fn publish(&mut self) -> Said {
        self.acknowledged.tried += 1;
        let version = format!("1.0.{}", self.acknowledged.tried);
        let file = self.world.hello(&app_of(&self.user), &version, "hi");
        let said = self.user.run(&["app", "publish", &file]);
        if said.code == 0 {
            self.acknowledged.versions.insert(version);
        }
        said
    }

    fn sign_somebody_up(&mut self) -> Said {
        self.acknowledged.tried += 1;
        let name = format!("{}-friend-{}", self.user.name(), self.acknowledged.tried);
        let said = with_password(&self.world.user(&name), "signup");
        if said.code == 0 {
            self.acknowledged.accounts.insert(name);
        }
        said
    }

    fn log_in(&self) -> Said {
        with_password(&self.user, "login")
    }
}

fn with_password(user: &User<'_>, verb: &str) -> Said {
    user.run_with(&["auth", verb, user.name(), "--password-stdin"], format!("{PASSWORD}\n").as_bytes())
}
