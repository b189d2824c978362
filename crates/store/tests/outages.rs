//! PostgreSQL goes away, hangs, comes back, asks for a password: what was acknowledged stays, and nobody has to restart us.
#![allow(clippy::unwrap_used, missing_docs)]

mod relay;

use std::collections::BTreeSet;
use std::error::Error as _;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fixtures::{Access, Server};
use store::{DatabaseUrl, Store, StoreError, User, UserId};

use crate::relay::{Cut, Relay};

fn user(number: u32) -> User {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    User {
        id: UserId::from_bytes(id),
        name: format!("user-{number}"),
        password_hash: "$argon2id$x".into(),
        role: store::Role::User,
        disabled_at: None,
        created_at: 1,
    }
}

async fn open(url: &str) -> Store {
    Store::open(&url.parse().unwrap()).await.unwrap()
}

async fn read(store: &Store) -> Result<(), StoreError> {
    store.user_by_name("user-0").await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_stopped_is_unavailable_until_it_is_back() {
    let server = Server::start(Access::Socket);
    let store = open(&server.new_database()).await;
    store.create_user(&user(0)).await.unwrap();
    server.shut_down();
    assert!(matches!(read(&store).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.create_user(&user(1)).await, Err(StoreError::Unavailable(_))));
    server.start_again();
    read(&store).await.unwrap();
    store.create_user(&user(1)).await.unwrap();
    assert!(store.user_by_name("user-0").await.unwrap().is_some());
}

/// As the machine's administrator, or a connection pooler, may do at any time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_the_server_ended_cost_no_request() {
    let server = Server::start(Access::Socket);
    let url = server.new_database();
    let store = open(&url).await;
    for number in 0..5 {
        read(&store).await.unwrap();
        store.create_user(&user(number)).await.unwrap();
        server.sql(
            &url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
        );
    }
    read(&store).await.unwrap();
}

/// As after a restart of the server: no request may meet two dead connections in a row and give up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_pool_of_dead_connections_costs_no_request() {
    let server = Server::start(Access::Socket);
    let store = open(&server.new_database()).await;
    store.create_user(&user(0)).await.unwrap();
    for round in 1..5 {
        let busy = futures_util::future::join_all((0..32).map(|_| read(&store))).await;
        assert!(busy.iter().all(Result::is_ok), "{busy:?}");
        server.kill();
        server.start_again();
        read(&store).await.unwrap();
        store.create_user(&user(round)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_told_within_the_deadline() {
    let server = Server::start(Access::Socket);
    let store = open(&server.new_database()).await;
    store.create_user(&user(0)).await.unwrap();
    server.pause();
    let began = Instant::now();
    let (second, reading) = (user(1), read(&store));
    let (reading, writing) = tokio::join!(reading, store.create_user(&second));
    assert!(matches!(reading, Err(StoreError::Unavailable(_))), "{reading:?}");
    assert!(matches!(writing, Err(StoreError::Unavailable(_))), "{writing:?}");
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    server.resume();
    read(&store).await.unwrap();
    store.create_user(&user(1)).await.unwrap();
}

/// Eight writers, three kill -9 of the whole server in the middle of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kill_9_of_the_server() {
    const WRITERS: u32 = 8;
    const EACH: u32 = 60;
    let server = Arc::new(Server::start(Access::Socket));
    let url = server.new_database();
    let store = open(&url).await;
    let (told, mut acknowledged) = tokio::sync::mpsc::unbounded_channel();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (store, told) = (store.clone(), told.clone());
            tokio::spawn(async move {
                for number in writer * EACH..(writer + 1) * EACH {
                    while !written(&store, number).await {}
                    told.send(number).unwrap();
                }
            })
        })
        .collect();
    drop(told);
    let mut seen = BTreeSet::new();
    while let Some(number) = acknowledged.recv().await {
        seen.insert(number);
        if [50, 150, 300].contains(&seen.len()) {
            let server = Arc::clone(&server);
            tokio::task::spawn_blocking(move || {
                server.kill();
                server.start_again();
            })
            .await
            .unwrap();
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(seen.len(), usize::try_from(WRITERS * EACH).unwrap());
    assert_eq!(server.sql(&url, "SELECT COUNT(*) FROM users").trim(), (WRITERS * EACH).to_string());
}

/// One try; `true` once the row is there for certain.
async fn written(store: &Store, number: u32) -> bool {
    match store.create_user(&user(number)).await {
        // The name is in use when the try before had an unknown outcome and was done.
        Ok(()) | Err(StoreError::NameTaken) => true,
        Err(StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_)) => false,
        Err(error) => panic!("{error:?}"),
    }
}

/// The reply to a commit is lost: the row is there, and nobody may say that it is not, nor write it twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_reply_is_lost_is_told_as_unknown_and_not_repeated() {
    let server = Server::start(Access::Socket);
    let url = server.new_database();
    let relay = Relay::before(&url);
    let store = open(&relay.url(&url)).await;
    for (number, cut, there) in [(1, Cut::ReplyToCommit, "1"), (2, Cut::Commit, "0")] {
        relay.arm(cut);
        let outcome = store.create_user(&user(number)).await;
        assert!(matches!(outcome, Err(StoreError::OutcomeUnknown(_))), "{cut:?}: {outcome:?}");
        let count = format!("SELECT COUNT(*) FROM users WHERE name = 'user-{number}'");
        assert_eq!(server.sql(&url, &count).trim(), there, "{cut:?}");
    }
    store.create_user(&user(2)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_on_a_connection_that_dies_is_done_on_another() {
    let server = Server::start(Access::Socket);
    let url = server.new_database();
    let relay = Relay::before(&url);
    let store = open(&relay.url(&url)).await;
    store.create_user(&user(0)).await.unwrap();
    relay.arm(Cut::Read);
    assert!(store.user_by_name("user-0").await.unwrap().is_some());
    assert!(relay.has_cut());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_takes_no_writes_is_told_as_read_only() {
    let server = Server::start(Access::Socket);
    let url = server.new_database();
    let store = open(&url).await;
    store.create_user(&user(0)).await.unwrap();
    server.sql(&url, "ALTER DATABASE test_0 SET default_transaction_read_only = on");
    server.sql(
        &url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
    assert!(matches!(store.create_user(&user(1)).await, Err(StoreError::ReadOnly(_))));
    read(&store).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_come_from_a_file_and_servers_prove_their_name() {
    let server = Server::start(Access::Port);
    let url = server.by_port(&server.new_database());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, server.password()).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();

    let named = url.replace("127.0.0.1", "localhost");
    let root = server.certificate();
    let good = format!(
        "{named}?sslmode=verify-full&sslrootcert={}&password_file={}",
        root.display(),
        file.display()
    );
    let store = open(&good).await;
    store.create_user(&user(0)).await.unwrap();
    let encrypted =
        "SELECT COUNT(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND datname = 'test_0'";
    let encrypted: u32 = server.sql(&server.new_database(), encrypted).trim().parse().unwrap();
    assert!(encrypted >= 2, "{encrypted}");

    // Nobody that the machine trusts vouches for it, and its name is not 127.0.0.1.
    let unknown = format!("{named}?sslmode=verify-full&password_file={}", file.display());
    let another_name = good.replace("localhost", "127.0.0.1");
    for url in [unknown, another_name] {
        let refused = Store::open(&url.parse().unwrap()).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_refused_and_not_repeated_in_the_error() {
    let server = Server::start(Access::Port);
    let url = server.by_port(&server.new_database()).replace("sealwright@", "sealwright:Wr0ngSecret@");
    let url: DatabaseUrl = url.parse().unwrap();
    let error = Store::open(&url).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    let mut shown = format!("{url} {url:?} {error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        shown.push_str(&error.to_string());
        cause = error.source();
    }
    assert!(!shown.contains("Wr0ngSecret"), "{shown}");
}
