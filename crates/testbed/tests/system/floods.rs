//! Floods at a running `up`: its memory and the facade's stay bounded, and another user is served meanwhile.
//!
//! The times of that user are printed here and judged by `make bench` (group `floods`): other tests run beside this one.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use testbed::floods::{Flood, OtherUser, Tally, Target, percentile};
use testbed::{Found, PASSWORD, Up, World};

/// Most that `up` may have resident. Under a flood of logins it is the C library that keeps memory: 19 MiB of a hash in each of
/// its arenas, eight to a core, though two passwords are hashed at one time. A flood that grew without bound would pass it soon.
const UP_MEBIBYTES: u64 = 1024;
/// The same of a facade, which has a thousand strangers at most.
const FACADE_MEBIBYTES: u64 = 192;
const QUIET: Duration = Duration::from_secs(2);
const WINDOW: Duration = Duration::from_secs(8);
/// A flood of nonces ends when all are asked for.
const NONCES: Duration = Duration::from_secs(25);
/// Longest time until the other user, who comes new, is served.
const SERVED: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(100);

/// The most that processes had resident while this looked.
#[derive(Default)]
struct Peak(AtomicU64);

impl Peak {
    async fn follow(&self, process: &Found, over: &AtomicBool) {
        while !over.load(Ordering::SeqCst) {
            self.0.fetch_max(process.resident().unwrap_or_default(), Ordering::Relaxed);
            tokio::time::sleep(LOOK).await;
        }
    }

    fn mebibytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed) >> 20
    }
}

struct Seen {
    tally: Tally,
    up: u64,
    facade: u64,
    arrival: Duration,
    times: Vec<Duration>,
}

async fn under(flood: Flood, target: &Target, other: &OtherUser, [up, facade]: [&Found; 2]) -> Seen {
    let (of_up, of_facade, over) = (Peak::default(), Peak::default(), AtomicBool::new(false));
    let time = match flood {
        Flood::Challenges | Flood::DeviceCodes | Flood::Evidence => NONCES,
        _ => WINDOW,
    };
    let work = async {
        let (tally, arrival) = tokio::join!(flood.run(target, time), async {
            // In the middle of it.
            tokio::time::sleep(WINDOW / 2).await;
            tokio::time::timeout(SERVED, other.arrives()).await
        });
        over.store(true, Ordering::SeqCst);
        (tally, arrival.expect("another user is served in time").expect("another user is served"))
    };
    let ((tally, arrival), times, (), ()) =
        tokio::join!(work, other.times(WINDOW), of_up.follow(up, &over), of_facade.follow(facade, &over));
    let times = times.expect("a user with a connection is served");
    Seen { tally, up: of_up.mebibytes(), facade: of_facade.mebibytes(), arrival, times }
}

fn process(up: &Up, named: &str) -> Found {
    // What starts it names it too, and is smaller.
    let named = up.tree().into_iter().filter(|found| found.command.contains(named));
    named.max_by_key(|found| found.resident()).unwrap()
}

#[test]
fn floods_find_bounded_memory_and_other_users_are_served() {
    let world = World::new();
    let up = world.up();
    let alice = world.user("alice");
    alice.sign_up();
    alice.ok(&["app", "publish", &world.hello("hello", "1.0.0", "hi")]);
    let notes = alice.json(&["enclave", "create", "notes", "--app", "hello"]);
    let gateway: SocketAddr = up.place().url.strip_prefix("https://").unwrap().parse().unwrap();
    let target = Target {
        gateway,
        edge: up.place().edge.parse().unwrap(),
        enclave: notes["host"].as_str().unwrap().to_owned(),
        account: ("flood".to_owned(), PASSWORD.to_owned()),
    };
    let processes = [&up.tree()[0], &process(&up, "sealwright-facade")];
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        OtherUser::sign_up(gateway, &target.account.0, PASSWORD).await.unwrap();
        let other = OtherUser::sign_up(gateway, "other", PASSWORD).await.unwrap();
        let mut quiet = other.times(QUIET).await.unwrap();
        let quiet = percentile(&mut quiet, 0.99);
        println!("quiet: p99 {quiet:?}");
        for flood in Flood::ALL {
            let mut seen = under(flood, &target, &other, processes).await;
            let p99 = percentile(&mut seen.times, 0.99);
            println!(
                "{}: {} of {} wanted connections at once; {:?}; up {} MiB, facade {} MiB; another user: p99 {p99:?} ({:.1} times), new {:?}",
                flood.name(),
                flood.connections(),
                flood.wanted(),
                seen.tally,
                seen.up,
                seen.facade,
                p99.as_secs_f64() / quiet.as_secs_f64(),
                seen.arrival,
            );
            assert!(seen.up <= UP_MEBIBYTES, "up has {} MiB under {}", seen.up, flood.name());
            assert!(seen.facade <= FACADE_MEBIBYTES, "the facade has {} MiB under {}", seen.facade, flood.name());
            assert!(seen.tally.connections > 0, "{} did not arrive", flood.name());
        }
    });
    // And afterwards all is as it was.
    alice.verify("notes");
    assert!(alice.get("notes", "/").contains("hi"));
    assert_eq!(up.interrupt().code, Some(0));
}
