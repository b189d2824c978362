//! What must hold whatever happened before: same users, same CA, rows and folders that belong together.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;
use store::{DatabaseUrl, Store};
use testbed::{User, World, ids_in, until};

use crate::SOON;

/// What stays the same over the life of a data folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lasting {
    root: Vec<u8>,
    users: BTreeSet<(String, String)>,
}

impl Lasting {
    /// As it is now; the users are logged in.
    pub fn of(world: &World, users: &[&str]) -> Self {
        let user = |name: &&str| {
            let status = world.user(name).json(&["auth", "status"]);
            (status["user"].as_str().unwrap().to_owned(), status["key"].as_str().unwrap().to_owned())
        };
        Self {
            root: fs::read(world.data().join("ca/root.pem")).unwrap(),
            users: users.iter().map(user).collect(),
        }
    }

    /// The users log in without signing up again, and everything is as it was.
    pub fn check(&self, world: &World) {
        let names: Vec<&str> = self.users.iter().map(|(name, _)| name.as_str()).collect();
        for name in &names {
            world.user(name).log_in();
        }
        assert_eq!(&Self::of(world, &names), self);
    }
}

/// Every enclave of these users settles: it runs, has stopped, or has failed with a reason.
pub fn settled(users: &[&User<'_>]) -> Vec<Value> {
    until(SOON, "all enclaves at rest", || {
        let enclaves: Vec<Value> = users.iter().flat_map(|user| user.enclaves()).collect();
        let at_rest = |enclave: &Value| match enclave["state"].as_str().unwrap() {
            "running" | "stopped" => true,
            "failed" => enclave["reason"].is_string(),
            _ => false,
        };
        enclaves.iter().all(at_rest).then_some(enclaves)
    })
}

/// No row that its user does not see, no folder without a row, no measured copy that is half made.
pub fn check_rows_and_folders(world: &World, enclaves: &[Value]) {
    let ids: BTreeSet<String> =
        enclaves.iter().map(|enclave| enclave["id"].as_str().unwrap().to_owned()).collect();
    let folders = ids_in(&world.data().join("enclaves"));
    assert!(folders.is_subset(&ids), "folders without a row: {folders:?}, rows {ids:?}");
    let digests: BTreeSet<String> =
        enclaves.iter().map(|enclave| enclave["version_digest"].as_str().unwrap().to_owned()).collect();
    let copies = ids_in(&world.data().join("apps"));
    assert!(copies.iter().all(|copy| copy.len() == 64), "half-made copies: {copies:?} of {digests:?}");
}

/// A world's own database; its `up` does not run.
fn database_of(world: &World) -> DatabaseUrl {
    DatabaseUrl::sqlite(world.data().join("db.sqlite"))
}

fn with_store<T>(url: &DatabaseUrl, look: impl AsyncFnOnce(Store) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { look(Store::open(url).await.unwrap()).await })
}

/// These accounts and versions were acknowledged, so they are stored; and the audit log is one chain to its end.
pub fn check_kept(world: &World, accounts: &BTreeSet<String>, app: &str, versions: &BTreeSet<String>) {
    check_kept_in(&database_of(world), accounts, app, versions);
}

/// The same in another database.
pub fn check_kept_at(url: &str, accounts: &BTreeSet<String>, app: &str, versions: &BTreeSet<String>) {
    check_kept_in(&url.parse().unwrap(), accounts, app, versions);
}

fn check_kept_in(url: &DatabaseUrl, accounts: &BTreeSet<String>, app: &str, versions: &BTreeSet<String>) {
    with_store(url, async |store| {
        for name in accounts {
            assert!(store.user_by_name(name).await.unwrap().is_some(), "the account {name} is lost");
        }
        for version in versions {
            assert!(store.app_version(app, version).await.unwrap().is_some(), "{app} {version} is lost");
        }
        check_audit_chain(&store).await;
    });
}

/// Every entry of the audit log follows from the one before, and the last is the end that the database names.
async fn check_audit_chain(store: &Store) {
    const PAGE: u32 = 500;
    let mut head = audit::Head::START;
    loop {
        let entries = store.audit_after(head.seq, PAGE).await.unwrap();
        if entries.is_empty() {
            break;
        }
        head = audit::verify(head, &entries).unwrap();
    }
    assert_eq!(head, store.audit_head().await.unwrap());
}

/// After an orderly end: no row names a process, none is between two states, and all of them belong to a user who sees it.
pub fn check_rows_at_rest(world: &World, enclaves: &[Value]) {
    let rows = with_store(&database_of(world), async |store| store.enclaves_to_reconcile().await.unwrap());
    for row in rows {
        assert_eq!(row.process, None, "{} names a process", row.id);
        assert_ne!(row.desired, store::Desired::Deleted, "{} was to be deleted", row.id);
        let seen = enclaves.iter().any(|enclave| enclave["id"] == row.id.to_string());
        assert!(seen, "{} is nobody's", row.id);
    }
}
